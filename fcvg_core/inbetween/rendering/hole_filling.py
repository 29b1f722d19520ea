"""Holes, which neither key frame shows at a time, filled with what a picture completion makes of what lies behind.

What lies behind is completed once for the whole clip, in the first key frame's pixels, and moves with its layer: so the
filling does not flicker. Known of a layer is what either key frame shows of it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from ....common.progress import Progress, part_of, silent
from ..layers import FREE, MotionLayers
from ..motion.motions import pixel_grid

MARGIN = 0.25  # of the picture's sides, how far beyond its borders is filled
COLUMNS = 1024  # of pixels sampled at once
FRAGMENT = 4.0  # a layer less known than that many times what is wanted of it is hardly what lies behind
RIM = 3  # px square that known pixels are eroded with: at rims colours are mixed

# From uint8 RGB (h, w, 3), what of it is known and what is wanted, bool (h, w), to the picture with what is wanted, or
# None if too little is known.
Completion = Callable[[np.ndarray, np.ndarray, np.ndarray, Progress], np.ndarray | None]


@dataclass(frozen=True)
class Holes:
    """What neither key frame shows at one time, N pixels of the size displacements are splatted at.

    Attributes:
        size: that size, (height, width).
        pixels: int (N,), numbers of the pixels, row by row.
        layer: int (N,), place from back to front of the layer that shows there.
        places: float32 (N, 2), px, where that layer's motion comes from in the first key frame, beyond its borders too.
    """

    size: tuple[int, int]
    pixels: np.ndarray
    layer: np.ndarray
    places: np.ndarray

    @classmethod
    def none(cls, size: tuple[int, int]) -> "Holes":
        """No holes in a picture of ``size`` (height, width)."""
        return cls(size, np.zeros(0, int), np.zeros(0, int), np.zeros((0, 2), np.float32))

    def where(self, wanted: np.ndarray) -> "Holes":
        """Those within ``wanted``, bool (h, w)."""
        own = wanted.ravel()[self.pixels]
        return Holes(self.size, self.pixels[own], self.layer[own], self.places[own])


def fill_holes(
    layers: MotionLayers,
    frames: Sequence[np.ndarray],
    times: Sequence[float],
    holes: Sequence[Holes],
    complete: Completion,
    progress: Progress = silent,
) -> None:
    """Fill the holes of rendered frames, in place.

    Args:
        frames: float32 RGB (H, W, 3) each, 0..1.
        times: of the frames, shares of the way.
        holes: those of each frame.
        complete: fills a picture, e.g. with patches.
        progress: may raise to cancel.
    """
    places = sorted({int(place) for own in holes for place in np.unique(own.layer)})
    colours = [np.zeros((len(own.pixels), 3), np.float32) for own in holes]
    weights = [np.zeros(len(own.pixels), np.float32) for own in holes]
    for done, place in enumerate(places):
        chosen = [np.flatnonzero(own.layer == place) for own in holes]
        wanted = np.concatenate([own.places[at] for own, at in zip(holes, chosen, strict=True)])
        behind = _Behind(layers, place, holes[0].size, wanted)
        if not behind.completed(complete, part_of(progress, done / len(places), 1 / len(places))):
            continue
        for number, (own, at) in enumerate(zip(holes, chosen, strict=True)):
            colours[number][at], weights[number][at] = behind.sampled(own.places[at], times[number])
    for frame, own, colour, weight in zip(frames, holes, colours, weights, strict=True):
        _lay(frame, own, colour, weight)


def _lay(frame: np.ndarray, holes: Holes, colours: np.ndarray, weights: np.ndarray) -> None:
    """Lay the colours (N, 3) over a frame, softly at the rims of the holes."""
    mask = np.zeros(holes.size, np.float32)
    mask.ravel()[holes.pixels] = weights
    mask = np.minimum(mask, cv2.GaussianBlur(mask, (0, 0), 0.7))
    patch = np.zeros((*holes.size, 3), np.float32)
    patch.reshape(-1, 3)[holes.pixels] = colours
    patch *= mask[..., None]
    if frame.shape[:2] != holes.size:
        mask, patch = (cv2.resize(plane, frame.shape[1::-1]) for plane in (mask, patch))
    frame *= 1 - mask[..., None]
    frame += patch


class _Behind:
    """One layer as far as both key frames show it, in the first one's pixels at the size of the holes.

    Args:
        place: from back to front.
        wanted: float32 (N, 2), places that must be known.
    """

    def __init__(self, layers: MotionLayers, place: int, size: tuple[int, int], wanted: np.ndarray):
        self._layers, self._size = layers, size
        self._number = int(np.flatnonzero(layers.order == place)[0]) + FREE
        beyond, last = np.array(size[::-1]) * MARGIN, np.array(size[::-1]) - 1
        self._low, self._high = -beyond, last + beyond
        wanted = wanted[self._inside(wanted)]
        self._corner = np.floor(wanted.min(axis=0, initial=0)).astype(int)
        width, height = np.maximum(np.floor(wanted.max(axis=0, initial=0)).astype(int) + 1, last) - self._corner + 1
        self._wanted = np.zeros((height, width), bool)
        x, y = (np.floor(wanted).astype(int) - self._corner).T
        for right in (0, 1):
            for down in (0, 1):
                self._wanted[y + down, x + right] = True
        self._picture = np.zeros((height, width, 3), np.uint8)

    def _inside(self, places: np.ndarray) -> np.ndarray:
        return np.all((places >= self._low) & (places <= self._high), axis=-1)

    def completed(self, complete: Completion, progress: Progress) -> bool:
        """Complete the layer where it is wanted; whether it could be."""
        if not self._wanted.any():
            return False
        grid = pixel_grid(*self._wanted.shape) + self._corner.astype(np.float32)
        known = np.zeros(self._wanted.shape, bool)
        for side in (1, 0):  # what both show is taken from the first
            colours, shown = self._shown(side, grid)
            self._picture[shown], known[shown] = colours[shown], True
        if known.sum() < FRAGMENT * self._wanted.sum():
            return False
        made = complete(self._picture, known, self._wanted & ~known, progress)
        if made is not None:
            self._picture = made
        return made is not None

    def _shown(self, side: int, grid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What key frame ``side`` shows of the layer at ``grid`` (h, w, 2) of the first: uint8 RGB, bool (h, w)."""
        layers, number = self._layers, self._number
        scale = np.divide(layers.size[::-1], self._size[::-1], dtype=np.float32)
        solved = (grid + 0.5) * scale - 0.5
        if side and number == FREE:  # optical flow is known only where it starts
            return self._picture, np.zeros(grid.shape[:2], bool)
        if side:
            solved = solved + layers.motions[number].displacement(0, solved)
        own = ((layers.label[side] == number) & (layers.seen[side] > 0.5)).astype(np.uint8)
        own = cv2.erode(own, np.ones((RIM, RIM), np.uint8))
        shown = cv2.remap(own, solved, None, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=0) > 0
        small = cv2.resize(layers.pictures[side], self._size[::-1], interpolation=cv2.INTER_AREA)
        places = (solved + 0.5) / scale - 0.5
        colours = cv2.remap(small, places.astype(np.float32), None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        if side:
            light = self._light((grid.reshape(-1, 2) + 0.5) * scale - 0.5)
            colours *= 1 if light is None else light.reshape(colours.shape)
        return (colours.clip(0, 1) * 255).round().astype(np.uint8), shown

    def _light(self, solved: np.ndarray) -> np.ndarray | None:
        """The first key frame's light over the other one's at places (N, 2) of the solved size, (N, 3)."""
        light = self._layers.light[0]
        if light is None:
            return None
        x, y = np.rint(solved).astype(int).clip(0, np.subtract(light.shape[1::-1], 1)).T
        return light[y, x]

    def sampled(self, places: np.ndarray, time: float) -> tuple[np.ndarray, np.ndarray]:
        """Colours (N, 3) at places (N, 2), in the light of that time, and how far they are to be shown (N,)."""
        inside = self._inside(places)
        if not len(places):
            return np.zeros((0, 3), np.float32), np.zeros(0, np.float32)
        places = np.where(inside[:, None], places, 0)
        # in one row of many columns OpenCV has too few of them
        rows = np.zeros((-(-len(places) // COLUMNS), COLUMNS, 2), np.float32)
        rows.reshape(-1, 2)[: len(places)] = places - self._corner
        colours = cv2.remap(self._picture, rows, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        colours = colours.reshape(-1, 3)[: len(places)].astype(np.float32) / 255
        scale = np.divide(self._layers.size[::-1], self._size[::-1], dtype=np.float32)
        light = self._light((places + 0.5) * scale - 0.5)
        if light is not None:
            colours *= 1 + np.float32(min(max(time, 0.0), 1.0)) * (1 / light - 1)
        return colours.clip(0, 1), inside.astype(np.float32)
