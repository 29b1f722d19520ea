"""From two key frames as they come to their motion layers, at the size that is quick enough or as fine as it gets."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import cv2
import numpy as np

from ...common.helpers import Helpers
from ..lines.matches import LineMatches
from ..lines.weight_free.matcher import WeightFreeLineMatcher
from ..poses.pose import PoseFrame
from .finding.coarse import leads
from .finding.hypotheses import SMALLEST, Flow
from .finding.labelling import find_layers
from .finding.things import parted
from .layers import MotionLayers
from .mending import dissolve_torn
from .motion.candidates import rigid_candidates
from .motion.motions import Motion, RigidMotion, Sides, both
from .motion.skinning import figures
from .rendering.splatting import prepare_splatting

DETAIL = {"quick": 512, "full": 1024}  # longer side, px, of the pictures that layers are found on
HARDLY_LARGER = 1.5  # times as large: layers at the size of *quick* do not lead smaller ones
HALF_PIXEL = 0.5  # matched lines count from the corners of pixels, motions from their centres


def solved_size(height: int, width: int, detail: str) -> tuple[int, int]:
    """(height, width) at which layers are found for key frames of that size."""
    shrink = min(1.0, DETAIL[detail] / max(height, width))
    return max(1, round(height * shrink)), max(1, round(width * shrink))


def layers_of_pair(
    pictures: tuple[np.ndarray, np.ndarray],
    detail: str = "full",
    matches: LineMatches | None = None,
    flow: Flow | None = None,
    poses: tuple[PoseFrame, PoseFrame] | None = None,
    masks: np.ndarray | None = None,
    tell: Callable[[float, str], None] = lambda share, text: None,
) -> MotionLayers:
    """The motion layers of two key frames.

    Args:
        pictures: float32 RGB (H, W, 3) each, 0..1, of one size.
        detail: one of :data:`DETAIL`.
        matches: lines matched between them; None: they are matched here, without weights.
        flow: forward and backward optical flow, float32 (H, W, 2) px; None: DIS.
        poses: people of both key frames, who then bend at their joints.
        masks: float (N, H, W), 0..1, things of the first key frame that each move as a whole; of those that overlap
            the later one has the pixels.
        tell: called with the share done and what is being done; may raise to cancel.
    """
    prepare_splatting()
    with Helpers():
        return _layers_of_pair(pictures, detail, matches, flow, poses, masks, tell)


def _layers_of_pair(pictures, detail, matches, flow, poses, masks, tell) -> MotionLayers:
    height, width = pictures[0].shape[:2]
    size = solved_size(height, width, detail)
    small = both(lambda side: _small(pictures[side], size))
    if matches is None:
        matching = WeightFreeLineMatcher()
        matches = matching.match(small[0], small[1], lambda share, text="", *_: tell(0.3 * share, text))
    things = [] if masks is None else parted(masks, size)
    motions = _motions(small, matches, things)
    if poses is not None:
        motions += figures(poses[0], poses[1], size)
    if flow is not None:
        scale = np.divide(size[::-1], (width, height), dtype=np.float32)
        fields = flow
        flow = both(lambda side: cv2.resize(fields[side], size[::-1], interpolation=cv2.INTER_AREA) * scale)
    coarse = _coarse_layers(small, motions, flow, things, tell=lambda share, text: tell(0.35 + 0.1 * share, text))
    layers = find_layers(small, motions, flow, things, lambda share, text: tell(0.45 + 0.5 * share, text), coarse)
    tell(0.95, "looking for what is torn")
    layers = dissolve_torn(layers, both(lambda side: _lines(matches, size)[side].reshape(-1, 2)), flow)
    return replace(layers, pictures=both(lambda side: np.ascontiguousarray(pictures[side], np.float32)))


def _coarse_layers(pictures, motions, flow, things, tell) -> MotionLayers | None:
    """Layers at the size of *quick*, arguments as for :func:`.find_layers`; None where that is hardly smaller, or where
    they explain too little."""
    size = pictures[0].shape[:2]
    smaller = solved_size(size[0], size[1], "quick")
    if max(size) < HARDLY_LARGER * max(smaller):
        return None
    shrink = smaller[1] / size[1]

    def shrunk(plane: np.ndarray) -> np.ndarray:
        return cv2.resize(plane, smaller[::-1], interpolation=cv2.INTER_AREA)

    layers = find_layers(
        both(lambda side: shrunk(pictures[side])),
        [motion.scaled(shrink) for motion in motions],
        None if flow is None else both(lambda side: shrunk(flow[side]) * np.float32(shrink)),
        [thing for thing in (shrunk(thing.astype(np.float32)) > 0.5 for thing in things) if thing.any()],
        tell,
    )
    return layers if leads(layers) else None


def _small(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if picture.shape[:2] != size:
        picture = cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA)
    return (picture.clip(0, 1) * 255).round().astype(np.uint8)


def _motions(small: Sequence[np.ndarray], matches: LineMatches, things: Sequence[np.ndarray]) -> list[Motion]:
    """Candidate motions in pixels of the small pictures."""
    size = small[0].shape[:2]
    if min(size) < SMALLEST:
        nowhere = np.zeros((0, 2))
        return [RigidMotion(np.eye(3), (nowhere, nowhere), size)]
    first, last = (cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in small)
    return list(rigid_candidates(first, last, _lines(matches, size), things))


def _lines(matches: LineMatches, size: tuple[int, int]) -> Sides:
    """Matched segments (M, 2, 2) in pixels of pictures of that size."""
    scale = np.array([size[1] / matches.canvas[1], size[0] / matches.canvas[0]])
    return matches.start * scale - HALF_PIXEL, matches.end * scale - HALF_PIXEL
