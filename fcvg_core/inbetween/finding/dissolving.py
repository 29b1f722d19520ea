"""What no motion explains is not torn to pieces: it goes along with its surroundings and dissolves.

Pieces of it that found a likeness by chance, islands among pixels whose motion is not known, count as not known too.
"""

import cv2
import numpy as np

from ..layers import FREE, MotionLayers
from .carrying import UNKNOWN, carry_unknown
from .limbs import carry_limbs

ISLAND = 0.02  # share of the picture below which a part may be an island
SHORE = 0.4  # share of its surroundings whose motion is not known that makes it one
PASSES = 2
NEAR = 0.03  # of the diagonal, how far surroundings are felt
LEAST = 0.004  # share of the picture below which what is not known stays as it is: the rims of things


def dissolve_unknown(layers: MotionLayers) -> None:
    """Change label, displacement, seen and explained of motion layers, in place."""
    carried = carry_unknown(layers)
    carry_limbs(layers, carried)
    for side in (0, 1):
        unknown = _unknown(layers, side, carried[side])
        if not unknown.any():
            continue
        layers.label[side][unknown] = FREE
        layers.seen[side][unknown] = 0
        layers.explained[side][unknown] = 0
        smooth = _surroundings(layers.displacement[side], layers.seen[side])
        share = cv2.GaussianBlur(unknown.astype(np.float32), (0, 0), 1.0)[..., None] * unknown[..., None]
        layers.displacement[side][:] += share * (smooth - layers.displacement[side])


def _unknown(layers: MotionLayers, side: int, carried: np.ndarray) -> np.ndarray:
    """bool (h, w): regions whose motion is not known, with the islands in them; posed people are known, and what is
    ``carried`` along stays with what carries it."""
    label = layers.label[side]
    people = layers.figure(side) | carried
    unknown = (layers.explained[side] < UNKNOWN) & ~people
    box = np.ones((3, 3), np.uint8)
    unknown = cv2.morphologyEx(unknown.astype(np.uint8), cv2.MORPH_OPEN, box).astype(bool)
    _, part, stats, _ = cv2.connectedComponentsWithStats(unknown.astype(np.uint8))
    unknown &= stats[part, cv2.CC_STAT_AREA] >= LEAST * label.size
    for _ in range(PASSES):
        if not unknown.any():
            break
        for number in np.unique(label):
            _sink_islands((label == number) & ~unknown & ~people, unknown)
    return unknown


def _sink_islands(own: np.ndarray, unknown: np.ndarray) -> None:
    """Add to ``unknown`` the small parts of ``own`` that it surrounds."""
    count, part, stats, _ = cv2.connectedComponentsWithStats(own.astype(np.uint8), connectivity=4)
    for number in range(1, count):
        left, upper, width, height, area = stats[number]
        if area > ISLAND * own.size:
            continue
        window = np.s_[max(upper - 3, 0) : upper + height + 3, max(left - 3, 0) : left + width + 3]
        island = part[window] == number
        shore = cv2.dilate(island.astype(np.uint8), np.ones((7, 7), np.uint8)).astype(bool) & ~island
        if unknown[window][shore].mean() > SHORE:
            unknown[window] |= island


def _surroundings(field: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """The mean displacement of what is seen near and, the less there is, farther around each pixel."""
    height, width = seen.shape
    weight = seen[..., None].astype(np.float32)
    total = np.concatenate([field * weight, weight], axis=-1)
    sigma = NEAR * np.hypot(height, width)
    blurred, mixed = total, np.zeros_like(total)
    for rank in range(3):
        shrink = max(1, int(sigma * 2**rank / 4))
        small = cv2.resize(blurred, (max(1, width // shrink), max(1, height // shrink)), interpolation=cv2.INTER_AREA)
        small = cv2.GaussianBlur(small, (0, 0), max(sigma * 2**rank / shrink, 0.5))
        mixed += np.float32(0.02**rank) * cv2.resize(small, (width, height))
    return mixed[..., :2] / np.maximum(mixed[..., 2:], 1e-9)
