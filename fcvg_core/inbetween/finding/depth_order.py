"""Which motions pass in front of which: what is hidden in the other key frame votes for what hides it."""

import numpy as np

from ..layers import FREE
from .likeness import fetch, outside


def depth_order(label, displacement, seen, grid: np.ndarray, motions: int) -> np.ndarray:
    """Places from back to front, int (motions + 1,), free flow first.

    Args:
        label, displacement, seen: of both sides, as in :class:`..layers.MotionLayers`.
    """
    count = motions + 1
    votes = np.zeros((count, count), int)
    for side in (0, 1):
        own = label[side].astype(int) - FREE
        there = fetch((label[1 - side] - FREE).astype(np.float32), displacement[side], grid, nearest=True).astype(int)
        hides = fetch(seen[1 - side], displacement[side], grid) > 0.5
        hidden = (seen[side] < 0.5) & hides & ~outside(displacement[side], grid) & (own != there)
        np.add.at(votes, (there[hidden], own[hidden]), 1)
    lead = votes - votes.T
    order, left = np.empty(count, int), list(range(count))
    for place in range(count):  # next from the back: the one in front of the fewest, then by the fewest votes
        among = lead[np.ix_(left, left)]
        merit = np.stack([among.sum(axis=1), (among > 0).sum(axis=1)])
        order[left.pop(int(np.lexsort(merit)[0]))] = place
    return order
