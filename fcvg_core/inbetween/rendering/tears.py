"""Where a frame rendered from motion layers is torn: it has edges that neither key frame has there.

A layer that ends at its outline brings the outline along; cut through the middle, it makes an edge of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from ..finding.likeness import fetch, gradient, unlikeness
from ..layers import MotionLayers
from ..motion.motions import Sides, both, lengths, pixel_grid
from .layer_renderer import LayerRenderer
from .travel import Travel

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
    renderer, levels = _small(layers)
    parts, sure, frame = renderer.composed(HALF_WAY)
    grid = pixel_grid(*layers.size)
    first, last = (fetch(levels[side], parts[side].offset, grid) for side in (0, 1))
    unlike = unlikeness(first, gradient(first), last, np.zeros_like(grid), grid)
    label = both(lambda side: fetch(layers.label[side].astype(np.float32), parts[side].offset, grid, nearest=True))
    edges = _key_edges(levels, both(lambda side: grid + parts[side].offset))
    torn = _steepness(np.float32(255) * frame) > edges + NEW
    return HalfWay(torn, sure < known, unlike, both(lambda side: label[side].astype(np.int16)))


def torn_at(layers: MotionLayers, times: Sequence[float]) -> np.ndarray:
    """bool (h, w): what is torn at any of ``times``, dissolve and its borders included, told half-way: where that lies
    there which either key frame contributes to the torn edge."""
    renderer, levels = _small(layers)
    brought = np.zeros(layers.size, bool)
    for time in times:
        _bring_half_way(layers, renderer, levels, time, brought)
    return brought


def _bring_half_way(layers: MotionLayers, renderer: LayerRenderer, levels: Sides, time: float, brought: np.ndarray):
    """Mark in ``brought`` (h, w) what is torn at ``time``."""
    parts, sure, frame = renderer.composed(time)
    grid, dissolve = pixel_grid(*layers.size), layers.dissolve
    edges = _key_edges(levels, both(lambda side: grid + parts[side].offset))
    inside = np.zeros(layers.size, bool)
    if dissolve is not None:
        share = renderer.lay_over(dissolve, frame, sure, time, parts)
        inside = share >= 0.5
        places = dissolve.half_way(time)
        dissolving = _key_edges(levels, dissolve.sources(places))
        edges = np.where(share <= 0, edges, np.where(share >= 1, dissolving, np.maximum(edges, dissolving)))
    torn = _steepness(np.float32(255) * frame) > edges + NEW
    if dissolve is not None:
        _mark(brought, places[torn & inside])
    for side in (0, 1):
        x, y = _pixels(layers.size, (grid + parts[side].offset)[torn & ~inside])
        led = grid[y, x] + np.float32(HALF_WAY) * layers.displacement[side][y, x]
        detour = Travel().detour(layers, side, HALF_WAY)
        _mark(brought, led if detour is None else led + detour[y, x])


def _mark(plane: np.ndarray, places: np.ndarray) -> None:
    """Set ``plane`` (h, w) at places (N, 2), px, those outside left out."""
    within = ((places > -0.5) & (places < np.subtract(plane.shape[::-1], 0.5))).all(axis=-1)
    x, y = _pixels(plane.shape, places[within])
    plane[y, x] = True


def _pixels(size: tuple[int, int], places: np.ndarray) -> np.ndarray:
    """Columns and rows of the pixels nearest to places (N, 2), px."""
    return np.rint(places).astype(int).clip(0, np.subtract(size[::-1], 1)).T


def _small(layers: MotionLayers) -> tuple[LayerRenderer, Sides]:
    """A renderer, and both key frames in grey levels, of the size of the layers."""
    small = replace(layers, pictures=both(lambda side: _resized(layers.pictures[side], layers.size[::-1])))
    return LayerRenderer(small), both(lambda side: np.float32(255) * small.pictures[side])


def _key_edges(levels: Sides, places: Sides) -> np.ndarray:
    """How steep the key frames are at most near where pixels come from: (h, w)."""
    box, still = np.ones((SLACK, SLACK), np.uint8), np.zeros_like(places[0])
    edges = [fetch(cv2.dilate(_steepness(own), box), still, there) for own, there in zip(levels, places, strict=True)]
    return np.maximum(*edges)


def _steepness(levels: np.ndarray) -> np.ndarray:
    return lengths(gradient(levels))


def _resized(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return picture if picture.shape[1::-1] == size else cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
