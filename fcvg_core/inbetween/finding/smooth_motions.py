"""One smooth motion for what layers do not explain: that of what is around, optical flow or moving least squares.

Each is told half-way between the key frames, and judged there by how unlike the pixels are that it brings together: no
more than the key frames is needed for that.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from ...tweening.moving_least_squares import FEWEST, least_squares_displacement
from ..layers import FREE
from ..motion.motions import Motion, RigidMotion, Sides, both, lengths, pixel_grid
from ..rendering.splatting import Splatter
from .hypotheses import Flow
from .likeness import fetch, gradient, unlikeness

SMOOTH = 0.02  # of the diagonal, over which optical flow is smoothed: what is smooth does not tear
DOUBTFUL = 2.0  # px of disagreement of both directions over which flow counts by a factor of e less
LEAST = 1e-3  # with which it always counts
BETTER = 0.9  # by which a motion must be less unlike than none of its own to be taken
INVERTING = 4  # steps


@dataclass(frozen=True)
class SmoothMotion:
    """``way`` float32 (h, w, 2), px from the first key frame to the last of what lies at each pixel half-way, and how
    ``unlike`` both are then, float32 (h, w), 0..1."""

    way: np.ndarray
    unlike: np.ndarray


class SmoothMotions:
    """The candidates for one pair of key frames.

    Args:
        pictures: uint8 RGB (h, w, 3) each.
        flow: optical flow in both directions, (h, w, 2) px.
        points: px (N, 2) each, places that were matched, such as the ends of lines.
        motions: that may lie around.
    """

    def __init__(self, pictures: Sides, flow: Flow, points: Sides, motions: Sequence[Motion]):
        self._levels = both(lambda side: pictures[side].astype(np.float32))
        self._grid = pixel_grid(*pictures[0].shape[:2])
        self._motions = motions
        self.still = self._judged(np.zeros_like(self._grid))
        self.own = {"flow": self._judged(half_way_flow(flow, self._grid))}
        if len(points[0]) >= FEWEST:
            self.own["moving least squares"] = self._judged(half_way_least_squares(points, self._grid.shape[:2]))
        self._around: dict[int, SmoothMotion] = {}

    def _judged(self, way: np.ndarray) -> SmoothMotion:
        first = fetch(self._levels[0], -0.5 * way, self._grid)
        return SmoothMotion(way, unlikeness(first, gradient(first), self._levels[1], 0.5 * way, self._grid))

    def _of(self, number: int) -> SmoothMotion:
        """That of the motion ``number``, a rigid one, or standing still."""
        if number == FREE or not isinstance(self._motions[number], RigidMotion):
            return self.still
        if number not in self._around:
            motion, start = self._motions[number], self._grid
            for _ in range(INVERTING):
                start = self._grid - 0.5 * motion.displacement(0, start)
            self._around[number] = self._judged(motion.displacement(0, start))
        return self._around[number]

    def best(self, region: np.ndarray, around: int) -> tuple[SmoothMotion, float]:
        """The motion that explains a region, bool (h, w), and its mean unlikeness there.

        Flow or moving least squares, whichever is less unlike, if that is clearly better than no motion of its own;
        else the region goes along with the motion number ``around`` it or stands still.
        """

        def unlike(motion: SmoothMotion) -> float:
            return float(motion.unlike[region].mean())

        none = min((self.still, self._of(around)), key=unlike)
        name = min(self.own, key=lambda name: unlike(self.own[name]))
        if unlike(self.own[name]) < BETTER * unlike(none):
            return self.own[name], unlike(self.own[name])
        return none, unlike(none)

    def best_for_all(self) -> SmoothMotion:
        """The one motion for the whole picture: a rigid one or none, which bend nothing, unless flow or moving least
        squares is clearly better. Outlines count most, lest it be that of the largest background."""
        rigid = [self._of(number) for number in range(len(self._motions))]
        strengths = both(lambda side: lengths(gradient(self._levels[side])))

        def unlike(motion: SmoothMotion) -> float:
            there = both(lambda side: fetch(strengths[side], np.float32(side - 0.5) * motion.way, self._grid))
            weight = np.maximum(*there)
            return float((weight * motion.unlike).sum() / max(float(weight.sum()), 1e-9))

        stiff, bending = (min(motions, key=unlike) for motions in ([self.still, *rigid], self.own.values()))
        return bending if unlike(bending) < BETTER * unlike(stiff) else stiff


def half_way_flow(flow: Flow, grid: np.ndarray) -> np.ndarray:
    """Optical flow of both directions brought half-way and smoothed, float32 (h, w, 2) px from first to last."""
    height, width = grid.shape[:2]
    total = np.zeros((height, width, 3), np.float32)
    for side in (0, 1):
        own = flow[side]
        apart = lengths(own + fetch(flow[1 - side], own, grid))
        belief = np.exp(-apart / DOUBTFUL) + np.float32(LEAST)
        values = np.dstack([own * np.float32(1 - 2 * side), belief]).astype(np.float32)
        brought, top = Splatter(np.zeros((height, width), int))(grid + np.float32(0.5) * own, values)
        brought[..., :2] *= brought[..., 2:]
        total += np.where((top >= 0)[..., None], brought, 0)
    total = cv2.GaussianBlur(total, (0, 0), max(1.0, SMOOTH * float(np.hypot(height, width))))
    return total[..., :2] / np.maximum(total[..., 2:], 1e-9)


def half_way_least_squares(points: Sides, size: tuple[int, int]) -> np.ndarray:
    """Moving least squares on points matched between the key frames, told half-way; float32 (h, w, 2) px."""
    middle, way = 0.5 * (points[0] + points[1]), points[1] - points[0]
    return least_squares_displacement(middle, middle + way, size)
