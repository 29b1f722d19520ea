"""What is not found again goes along with the thing it hangs on: a limb or a head with the body that moves.

A figure that bends is found again in part: the body follows a motion, and head and limbs, which turn on their own, look
like nothing in the other key frame. Left with the background they would be torn off. They are carried along where that
is more alike, and dissolve (docs/methods/inbetweens.md, Hidden pixels).
"""

import cv2
import numpy as np

from ..layers import FREE, MotionLayers
from ..motion.motions import both, lengths, pixel_grid
from .hiding import SEEN
from .likeness import channel_mean, fetch

UNKNOWN = 0.35  # explained by less than this
LEAST = 0.0002  # share of the picture a piece must have
LARGEST = 0.05  # share of the picture it may have
TOUCH = 0.05  # share of a piece's surroundings that the thing must be
FOUND = 0.8  # explained by less than this where it is led to: there it was not found either
BETTER = 0.8  # by which it must be more alike where the thing leads
APART = 0.05  # of the diagonal, from which on it would be torn off; nearer it dissolves where it is
TRUST = 0.7  # as of posed people: in front of what lies behind, though not found again


def carry_unknown(layers: MotionLayers) -> tuple[np.ndarray, np.ndarray]:
    """Change label, displacement and seen of motion layers, in place.

    Returns:
        bool (h, w) each, what is carried along.
    """
    grid = pixel_grid(*layers.size)
    pieces = [list(_pieces(layers, side, grid)) for side in (0, 1)]  # of both before either is changed
    carried = both(lambda side: np.zeros(layers.size, bool))
    for side in (0, 1):
        for window, piece, number, field in pieces[side]:
            carried[side][window] |= piece
            layers.label[side][window][piece] = number
            layers.displacement[side][window][piece] = field[piece]
            layers.seen[side][window][piece] = TRUST
    return carried


def _pieces(layers: MotionLayers, side: int, grid: np.ndarray):
    """Window, mask in it, motion and displacements in it of each piece that is carried along."""
    label, seen = layers.label[side], layers.seen[side]
    unknown = ((layers.explained[side] < UNKNOWN) & ~layers.figure(side)).astype(np.uint8)
    unknown = cv2.morphologyEx(unknown, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    count, part, stats, _ = cv2.connectedComponentsWithStats(unknown, connectivity=4)
    for component in range(1, count):
        left, upper, width, height, area = stats[component]
        if not LEAST * label.size <= area <= LARGEST * label.size:
            continue
        window = np.s_[max(upper - 4, 0) : upper + height + 4, max(left - 4, 0) : left + width + 4]
        piece = part[window] == component
        around = cv2.dilate(piece.astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool) & ~piece
        touched = label[window][around & (seen[window] > SEEN)]
        number = _foremost(layers.order, touched, around.sum())
        if number is None:
            continue
        field = layers.motions[number].displacement(side, grid[window])
        now, then = (
            _difference(layers, side, grid, window, piece, way) for way in (layers.displacement[side][window], field)
        )
        there = fetch(layers.explained[1 - side], field, grid[window])[piece].mean()
        torn = lengths(field - layers.displacement[side][window])[piece].mean() > APART * np.hypot(*layers.size)
        if torn and then < BETTER * now and there < FOUND:
            yield window, piece, number, field


def _foremost(order: np.ndarray, touched: np.ndarray, around: int) -> int | None:
    """The motion farthest in front that is touched enough, if others lie behind it."""
    numbers, counts = np.unique(touched, return_counts=True)
    enough = numbers[counts >= TOUCH * around]
    if len(enough) < 2:
        return None
    number = int(enough[np.argmax(order[enough - FREE])])
    return None if number == FREE else number


def _difference(layers: MotionLayers, side: int, grid, window, piece: np.ndarray, field: np.ndarray) -> float:
    """Mean colour difference of a piece from where it is led."""
    there = fetch(layers.pictures[1 - side], field, grid[window])
    return float(channel_mean(cv2.absdiff(layers.pictures[side][window], there))[piece].mean())
