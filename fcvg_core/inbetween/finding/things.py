"""Things that the user masked in the first key frame: each follows one motion as a whole."""

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from ..motion.motions import Sides
from .hypotheses import Hypothesis
from .likeness import fetch

ALIKE = 0.5  # unlikeness up to which a pixel of the last key frame may belong to a masked thing


def parted(masks: np.ndarray, size: tuple[int, int]) -> list[np.ndarray]:
    """Masks (N, H, W), 0..1, at ``size`` (height, width), bool; pixels of several belong to the last of those.

    Masks that are empty, or altogether covered by later ones, are left out.
    """
    kept: list[np.ndarray] = []
    taken = np.zeros(size, bool)
    for mask in masks[::-1]:
        own = (cv2.resize(mask.astype(np.float32), size[::-1], interpolation=cv2.INTER_AREA) > 0.5) & ~taken
        if own.any():
            kept.append(own)
            taken |= own
    return kept[::-1]


def held_together(
    things: Sequence[np.ndarray],
    found: Sequence[Hypothesis],
    chosen: Sides,
    grid: np.ndarray,
    unlikeness: Callable[[int, np.ndarray], np.ndarray],
) -> Sides:
    """The chosen displacements with one motion for each thing: the one that most of its pixels chose.

    Args:
        things: bool (h, w) each, in the first key frame, from :func:`parted`.
        found, chosen: as in :mod:`.labelling`.
        unlikeness: 0..1 (h, w) of key frame ``side`` with a displacement (h, w, 2).
    """
    first, last = chosen[0].copy(), chosen[1].copy()
    numbers = np.array([hypothesis.number for hypothesis in found])
    for thing in things:
        votes = np.bincount(chosen[0][thing], minlength=len(found))
        by_motion = {number: votes[numbers == number].sum() for number in set(numbers.tolist())}
        winner = max(by_motion, key=lambda number: by_motion[number])
        best = int(np.where(numbers == winner, votes, -1).argmax())
        first[thing & (numbers[first] != winner)] = best
        back = found[best].field(1, grid)
        comes_from = fetch(thing.astype(np.float32), back, grid, nearest=True) > 0.5
        strange = comes_from & (numbers[last] != winner)
        if strange.any():
            last[strange & (unlikeness(1, back) < ALIKE)] = best
    return first, last
