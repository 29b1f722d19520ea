"""Parts of frames that go over from one key frame to the other as a whole, with one smooth motion meanwhile.

All is told half-way between the key frames: one region and one motion serve both, so that what both key frames show
comes to lie at the same place, and nothing smooth comes apart.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from .motions import Sides, pixel_grid

STEPS = 4  # of the search for the place half-way; each takes the error times the motion's change per px


@dataclass(frozen=True)
class Dissolve:
    """Where frames dissolve, seen half-way.

    Attributes:
        share: float32 (h, w), 0..1: 1 where only the dissolve is shown.
        way: float32 (h, w, 2), px, from the first key frame to the last, smooth.
        known: float32 (h, w), 0..1: how alike both key frames are with that motion.
        front: float32 (h, w) each, 0..1: pixels of the key frames that pass in front and are no part of it.
    """

    share: np.ndarray
    way: np.ndarray
    known: np.ndarray
    front: Sides

    def half_way(self, time: float, detour: np.ndarray | None = None) -> np.ndarray:
        """float32 (h, w, 2), px: where half-way what lies at each pixel at ``time`` is.

        Args:
            detour: (h, w, 2), px, how far what lies at each pixel half-way is off the straight way at ``time``.
        """
        grid = pixel_grid(*self.share.shape)
        moved = np.float32(time - 0.5) * self.way
        if detour is not None:
            moved += detour
        places = grid - moved
        for _ in range(STEPS):
            places = grid - fetch_at(moved, places)
        return places

    def from_side(self, side: int) -> tuple[np.ndarray, np.ndarray]:
        """Where half-way each pixel of key frame ``side`` is, and how far it moves to the other one: (h, w, 2) px."""
        places = self.half_way(float(side))
        return places, fetch_at(self.way, places) * np.float32(1 - 2 * side)

    def sources(self, places: np.ndarray) -> Sides:
        """Where in each key frame that is which half-way lies at ``places`` (h, w, 2)."""
        way = fetch_at(self.way, places)
        return places - 0.5 * way, places + 0.5 * way


def fetch_at(plane: np.ndarray, places: np.ndarray) -> np.ndarray:
    """``plane`` (h, w[, C]) at ``places`` (h', w', 2), px; beyond the border the nearest pixel."""
    return cv2.remap(plane, places.astype(np.float32), None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
