"""Whole clips from motion layers: frames, how sure they are, and the motion as tracks."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from ...common.helpers import Helpers
from ...common.progress import Progress, part_of, silent
from .layers import MotionLayers
from .motion.motions import pixel_grid
from .rendering.hole_filling import Completion, Holes, fill_holes
from .rendering.layer_renderer import LayerRenderer
from .rendering.travel import Travel

TRACK_COLUMNS = 16  # of the grid of tracked points
PREVIEW_SIZE = 512  # px
RENDERING = 0.5  # share of the work that rendering is where holes are filled


@dataclass(frozen=True)
class InbetweenClip:
    """Frames between two key frames.

    Attributes:
        frames: float32 RGB [F, H, W, 3], 0..1.
        confidence: float32 [F, H, W], 0..1: 1 where the motion is known; key frames are 1 everywhere.
        tracks: float32 (F, N, 2), px, points of the first key frame on their way.
        visible: bool (F, N), where the tracked point is not hidden by anything in either key frame.
    """

    frames: torch.Tensor
    confidence: torch.Tensor
    tracks: np.ndarray
    visible: np.ndarray


def render_clip(
    layers: MotionLayers,
    fractions: Sequence[float],
    travel: Travel | None = None,
    progress: Progress | None = None,
    complete: Completion | None = None,
) -> InbetweenClip:
    """The frames at ``fractions`` of the way, 0 = first key frame, 1 = last.

    Frames at the same fraction are rendered once. Identical key frames give one held picture.

    Args:
        travel: on which ways the layers go; None: along the arcs of their motions.
        progress: called after each frame; may raise to cancel.
        complete: fills what neither key frame shows, once for the whole clip; None: colours around are drawn out.
    """
    fractions = [float(fraction) for fraction in fractions]
    height, width = layers.pictures[0].shape[:2]
    frames = torch.empty(len(fractions), height, width, 3)
    confidence = torch.empty(len(fractions), height, width)
    travel = travel or Travel()
    share = 1.0 if complete is None else RENDERING
    held = np.array_equal(*layers.pictures)
    made: dict[float, int] = {}
    holes: dict[int, Holes] = {}
    with Helpers():
        renderer = None if held else LayerRenderer(layers, travel)
        for index, fraction in enumerate(fractions):
            if fraction in made:
                frames[index], confidence[index] = frames[made[fraction]], confidence[made[fraction]]
            elif renderer is None:
                frames[index], confidence[index] = torch.from_numpy(layers.pictures[0]), 1.0
            else:
                picture, sure, empty = renderer.frame_and_holes(fraction)
                frames[index], confidence[index] = torch.from_numpy(picture), torch.from_numpy(sure)
                if len(empty.pixels):
                    holes[index] = empty
            made.setdefault(fraction, index)
            if progress is not None:
                progress(share * (index + 1) / len(fractions), "rendering inbetweens", _preview(frames[index].numpy()))
    if complete is not None and holes:
        shown = [frames[index].numpy() for index in holes]
        times = [fractions[index] for index in holes]
        filling = silent if progress is None else part_of(progress, share, 1 - share)
        fill_holes(layers, shown, times, list(holes.values()), complete, filling)
        for index, fraction in enumerate(fractions):
            if made[fraction] != index:
                frames[index] = frames[made[fraction]]
    return InbetweenClip(frames, confidence, *grid_tracks(layers, fractions, travel))


def _preview(frame: np.ndarray) -> np.ndarray:
    """A frame as uint8, at most :data:`PREVIEW_SIZE` px long."""
    height, width = frame.shape[:2]
    shrink = min(1.0, PREVIEW_SIZE / max(height, width))
    size = max(1, round(width * shrink)), max(1, round(height * shrink))
    small = frame if shrink == 1 else cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    return (small * 255).astype(np.uint8)


def grid_tracks(layers: MotionLayers, fractions: Sequence[float], travel: Travel) -> tuple[np.ndarray, np.ndarray]:
    """A grid of points of the first key frame on their way: float32 (F, N, 2) px and bool (F, N)."""
    height, width = layers.size
    step = max(1, round(width / TRACK_COLUMNS))
    rows, columns = slice(min(step // 2, height - 1), None, step), slice(min(step // 2, width - 1), None, step)
    start = pixel_grid(height, width)[rows, columns].reshape(-1, 2)
    way = layers.displacement[0][rows, columns].reshape(-1, 2)
    scale = np.divide(layers.pictures[0].shape[1::-1], (width, height), dtype=np.float32)
    places = []
    for fraction in fractions:
        place = start + way * np.float32(fraction)
        detour = travel.detour(layers, 0, fraction)
        if detour is not None:
            place = place + detour[rows, columns].reshape(-1, 2)
        places.append((place + 0.5) * scale - 0.5)
    seen = layers.seen[0][rows, columns].ravel() > 0.5
    return np.stack(places).astype(np.float32), np.repeat(seen[None], len(places), axis=0)
