"""What is hidden in the other key frame must lie behind something there: motions that cannot hide are taken back.

The strips that things cover and uncover look like nothing in the other key frame, so their colours do not tell whose
they are. But the foremost thing is hidden by nothing: where a motion leads a hidden pixel to something farther back,
it is not the pixel's motion. Posed figures, which bend, stay in one piece (docs/methods/inbetweens.md, Hidden pixels).
"""

import cv2
import numpy as np

from ..layers import FREE
from ..motion.motions import Sides, both
from ..motion.skinning import FigureMotion
from .hypotheses import Hypothesis
from .likeness import fetch, outside

SEEN = 0.6  # from which a pixel tells where its motion is at home
HIDDEN = 0.5  # below which a pixel is hidden
REACH = 0.05  # of the diagonal, farthest from home
FEWEST = 30  # pixels at home
RIM = 3  # px: narrower strips are the rims of things, in whose colours both sides are mixed, and stay with them


def hidden_behind(
    found: list[Hypothesis],
    chosen: Sides,
    label: Sides,
    fields: Sides,
    seen: Sides,
    order: np.ndarray,
    grid: np.ndarray,
) -> Sides:
    """``chosen`` with hidden pixels that nothing hides moved to the nearest motion with which something does.

    Args:
        found, chosen: as in :mod:`.labelling`.
        label, fields, seen, order: as in :class:`..layers.MotionLayers`, fields being the displacements.
        grid: :func:`..motion.motions.pixel_grid`.
    """
    bends = np.array([isinstance(hypothesis.motion, FigureMotion) for hypothesis in found])
    farthest = REACH * float(np.hypot(*grid.shape[:2]))

    def moved(side: int) -> np.ndarray:
        there = (label[1 - side] - FREE).astype(np.float32)

        def behind(place: np.ndarray, field: np.ndarray) -> np.ndarray:
            """bool (h, w): led out of the picture, or to something in front of ``place`` from back to front."""
            return outside(field, grid) | (order[fetch(there, field, grid, nearest=True).astype(int)] > place)

        lost = (seen[side] < HIDDEN) & ~behind(order[label[side] - FREE], fields[side]) & ~bends[chosen[side]]
        lost = cv2.morphologyEx(lost.astype(np.uint8), cv2.MORPH_OPEN, np.ones((RIM, RIM), np.uint8)) > 0
        if not lost.any():
            return chosen[side]
        nearest, better = np.full(lost.shape, farthest, np.float32), chosen[side].copy()
        for number in np.unique(chosen[side]):
            home = (chosen[side] == number) & (seen[side] > SEEN)
            if home.sum() < FEWEST:
                continue
            away = cv2.distanceTransform((~home).astype(np.uint8), cv2.DIST_L2, 3)
            field = found[number].field(side, grid)
            taken = lost & (away < nearest) & behind(order[found[number].number - FREE], field)
            nearest[taken], better[taken] = away[taken], number
        return better

    return both(moved)
