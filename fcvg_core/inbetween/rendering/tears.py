"""Where a frame rendered from motion layers is torn: it has edges that neither key frame has there.

A layer that ends at its outline brings the outline along; cut through the middle, it makes an edge of its own.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from ..finding.likeness import fetch, gradient, unlikeness
from ..layers import MotionLayers
from ..motion.dissolve import fetch_at
from ..motion.motions import Sides, both, lengths, pixel_grid
from .layer_renderer import LayerRenderer

SLACK = 5  # px square in which an edge of a key frame explains one of the frame
NEW = 8.0  # grey levels per px above the key frames' own edges from which an edge is a tear
HALF_WAY = 0.5


@dataclass(frozen=True)
class HalfWay:
    """The frame half-way between two key frames, planes (h, w) of the size its layers were found at.

    Attributes:
        torn: bool, edges that neither key frame has.
        unknown: bool, whose motion is not known from either key frame.
        unlike: float32, 0..1, how unlike the colours are that both key frames give.
        label: int16 each, number of the motion that each key frame's pixel there follows.
    """

    torn: np.ndarray
    unknown: np.ndarray
    unlike: np.ndarray
    label: Sides


def half_way(layers: MotionLayers, known: float) -> HalfWay:
    """What the frame half-way looks like; ``known`` = how well explained a pixel is whose motion is known, 0..1."""
    parts, sure, frame, levels = _rendered(layers, HALF_WAY)
    grid = pixel_grid(*layers.size)
    first, last = (fetch(levels[side], parts[side].offset, grid) for side in (0, 1))
    unlike = unlikeness(first, gradient(first), last, np.zeros_like(grid), grid)
    label = both(lambda side: fetch(layers.label[side].astype(np.float32), parts[side].offset, grid, nearest=True))
    torn = _torn(parts, frame, levels, grid)
    return HalfWay(torn, sure < known, unlike, both(lambda side: label[side].astype(np.int16)))


def torn_at(layers: MotionLayers, time: float) -> np.ndarray:
    """bool (h, w): edges of the frame at ``time`` that neither key frame has, outside of what dissolves."""
    parts, _, frame, levels = _rendered(layers, time)
    torn = _torn(parts, frame, levels, pixel_grid(*layers.size))
    if layers.dissolve is None:
        return torn
    return torn & (fetch_at(layers.dissolve.share, layers.dissolve.half_way(time)) < 0.5)


def _rendered(layers: MotionLayers, time: float):
    """The parts, how sure they are, the frame and both key frames in grey levels, of the size of the layers."""
    small = replace(layers, pictures=both(lambda side: _resized(layers.pictures[side], layers.size[::-1])))
    parts, sure, frame = LayerRenderer(small).composed(time)
    return parts, sure, np.float32(255) * frame, both(lambda side: np.float32(255) * small.pictures[side])


def _torn(parts, frame: np.ndarray, levels: Sides, grid: np.ndarray) -> np.ndarray:
    box = np.ones((SLACK, SLACK), np.uint8)
    edges = [
        fetch(cv2.dilate(_steepness(own), box), part.offset, grid) for own, part in zip(levels, parts, strict=True)
    ]
    return _steepness(frame) > np.maximum(*edges) + NEW


def _steepness(levels: np.ndarray) -> np.ndarray:
    return lengths(gradient(levels))


def _resized(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return picture if picture.shape[1::-1] == size else cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
