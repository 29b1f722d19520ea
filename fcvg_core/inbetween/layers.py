"""Motion layers: which motion each pixel of two key frames follows, and which motions pass in front of which."""

from dataclasses import dataclass

import numpy as np

from .motion.dissolve import Dissolve
from .motion.motions import Motion, pixel_grid
from .motion.skinning import FigureMotion

FREE = -1  # number of the motion of pixels that follow no candidate
PARTS = 16  # a figure's own parts may have
UNEXPLAINED_SHARE = 0.3  # of the pixels, above which the user is told


@dataclass(frozen=True)
class MotionLayers:
    """The value on MOTION_LAYERS wires, for one pair of key frames; pairs are (of the first, of the last key frame).

    Attributes:
        pictures: float32 RGB (H, W, 3) each, 0..1.
        size: (height, width) at which the layers were found; everything below has this size and its pixels as unit.
        motions: rigid ones and those of posed figures.
        label: int16 (h, w) each, number of the motion followed, :data:`FREE` = optical flow.
        displacement: float32 (h, w, 2) each, px, into the other key frame.
        seen: float32 (h, w) each, 0..1: found again in the other key frame, and alike there.
        explained: float32 (h, w) each, 0..1: seen, or hidden in the other key frame by something that is.
        light: float32 (h, w, 3) each or None, this frame's light over the other one's.
        order: int (number of motions + 1,): place of each motion, free flow first, from back to front.
        dissolve: what is not rendered from layers but dissolves in one piece, or None.
    """

    pictures: tuple[np.ndarray, np.ndarray]
    size: tuple[int, int]
    motions: tuple[Motion, ...]
    label: tuple[np.ndarray, np.ndarray]
    displacement: tuple[np.ndarray, np.ndarray]
    seen: tuple[np.ndarray, np.ndarray]
    explained: tuple[np.ndarray, np.ndarray]
    light: tuple[np.ndarray | None, np.ndarray | None]
    order: np.ndarray
    dissolve: Dissolve | None = None

    @property
    def unexplained(self) -> float:
        """Share of both key frames' pixels whose motion is not known, 0..1."""
        return float(1 - np.mean([side.mean() for side in self.explained]))

    def depth(self, side: int) -> np.ndarray:
        """int (h, w): place of each pixel from back to front; :data:`PARTS` places for each motion."""
        depth = self.order[self.label[side] - FREE] * PARTS
        grid = pixel_grid(*self.size)
        for number, motion in enumerate(self.motions):
            own = self.label[side] == number
            if isinstance(motion, FigureMotion) and own.any():
                depth[own] += motion.depth(side, grid[own])
        return depth

    def figure(self, side: int) -> np.ndarray:
        """bool (h, w): the posed people."""
        numbers = [n for n, motion in enumerate(self.motions) if isinstance(motion, FigureMotion)]
        return np.isin(self.label[side], numbers)
