"""Dense displacements to choose from: optical flow, every candidate motion, and every motion with flow on top.

For the last the other key frame is first aligned by the motion, so that optical flow (DIS, Kroeger et al. 2016) has
only small displacements left to find; alone it fails for turns, zooms and far ways.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from ...lines.weight_free.motion_hypotheses import optical_flow
from ..layers import FREE
from ..motion.motions import Motion, RigidMotion, Sides, both, lengths, pixel_grid, put
from .likeness import fetch

SMALLEST = 16  # px; DIS fails on smaller pictures

Flow = Sides  # forward and backward, float32 (H, W, 2) px


@dataclass(frozen=True, eq=False)
class Hypothesis:
    """One displacement for each side, of the pixels of whole key frames.

    Attributes:
        number: of the motion in the list of motions, or :data:`FREE`.
        motion: None for free flow.
        rest: what is added to the motion, (H, W, 2) for each side, or None for the motion alone.
        error: float16 (H, W) for each side, px: disagreement of both directions; None where there is no flow.
        kept: the displacement itself, float32 (H, W, 2) for each side, where it takes long to compute.
    """

    number: int
    motion: Motion | None
    rest: Sides | None
    error: Sides | None
    kept: Sides | None = None

    def field(self, side: int, grid: np.ndarray) -> np.ndarray:
        """float32 (H, W, 2), px, from key frame ``side`` into the other one."""
        if self.kept is not None:
            return self.kept[side]
        field = np.zeros_like(grid) if self.motion is None else self.motion.displacement(side, grid)
        return field if self.rest is None else field + self.rest[side]

    def field_at(self, side: int, pixels: np.ndarray, points: np.ndarray) -> np.ndarray:
        """:meth:`field` (N, 2) of the pixels numbered ``pixels`` (N,) alone, which lie at ``points`` (N, 2)."""
        if self.kept is not None:
            return self.kept[side].reshape(-1, 2).take(pixels, axis=0)
        field = np.zeros_like(points) if self.motion is None else self.motion.displacement(side, points)
        return field if self.rest is None else field + self.rest[side].reshape(-1, 2).take(pixels, axis=0)


def _flow(first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """:func:`.optical_flow`; no motion where the pictures are too small for it."""
    return np.zeros((*first.shape, 2), np.float32) if min(first.shape) < SMALLEST else optical_flow(first, last)


def _disagreement(fields: Flow, grid: np.ndarray) -> Sides:
    def apart(side: int) -> np.ndarray:
        own, other = fields[side], fields[1 - side]
        return lengths(own + fetch(other, own, grid)).clip(0, 1e4).astype(np.float16)

    return both(apart)


def _flow_on_top(motion: RigidMotion, number: int, greys: Sequence[np.ndarray], grid: np.ndarray) -> Hypothesis:
    """A motion and the flow that remains after it."""
    height, width = greys[0].shape

    def whole(side: int) -> np.ndarray:
        own, other = greys[side], greys[1 - side]
        aligned = cv2.warpPerspective(
            other,
            motion.from_side(side),
            (width, height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        rest = _flow(own, aligned)
        return motion.displacement(side, grid + rest) + rest

    fields = both(whole)
    rests = both(lambda side: (fields[side] - motion.displacement(side, grid)).astype(np.float16))
    return Hypothesis(number, motion, rests, _disagreement(fields, grid))


def hypotheses(
    greys: Sequence[np.ndarray],
    motions: Sequence[Motion],
    flow: Flow | None = None,
    tell: Callable[[float], None] = lambda share: None,
    bending: Callable[[int], bool] = lambda number: True,
) -> list[Hypothesis]:
    """All displacements to choose from, free flow first, then for each motion itself and, if rigid, with flow on top.

    Args:
        greys: the key frames, uint8 (H, W).
        flow: px, in place of DIS between the key frames as they are.
        tell: called with the share done; may raise to cancel.
        bending: whether the rigid motion of a number may have flow on top.
    """
    grid = pixel_grid(*greys[0].shape)
    free = flow or both(lambda side: _flow(greys[side], greys[1 - side]))
    found = [Hypothesis(FREE, None, free, _disagreement(free, grid))]
    for number, motion in enumerate(motions):
        tell(number / len(motions))
        if isinstance(motion, RigidMotion):
            found.append(Hypothesis(number, motion, None, None))
            if bending(number):
                found.append(_flow_on_top(motion, number, greys, grid))
        else:
            kept = motion.displacement(0, grid), motion.displacement(1, grid)
            found.append(Hypothesis(number, motion, None, None, kept))
    return found


def chosen_fields(found: Sequence[Hypothesis], chosen: Sides, grid: np.ndarray) -> Sides:
    """The displacement (h, w, 2) chosen at each pixel of each side."""

    def field_of(side: int) -> np.ndarray:
        field, points, numbers = np.empty_like(grid), grid.reshape(-1, 2), chosen[side].ravel()
        for number in np.flatnonzero(np.bincount(numbers)).tolist():
            own = np.flatnonzero(numbers == number)
            put(field, own, found[number].field_at(side, own, points.take(own, axis=0)))
        return field

    return both(field_of)


def without_flow(found: Sequence[Hypothesis]) -> np.ndarray:
    """Place in ``found`` of each one's motion without flow on top, int (N,); its own where there is none."""
    alone = {hypothesis.number: place for place, hypothesis in enumerate(found) if hypothesis.rest is None}
    return np.array([alone.get(hypothesis.number, place) for place, hypothesis in enumerate(found)])
