"""What a segment looks like: colours in bands on both sides of it, compared side by side.

In the spirit of the line band descriptor (LBD, Zhang and Koch 2013), but with the colours themselves: the two sides of
a contour often move differently, and flat cartoons have no gradients beside the line. Each side is judged for itself,
so that one that stayed the same makes up for another behind which the background has changed.
"""

import cv2
import numpy as np

from ..geometry import lengths, normals, points_along
from .bilinear import sample

OFFSETS = np.array([1.5, 3.0, 5.0, 8.0], np.float32)  # band centres, pixels from the line
CELLS = 12  # places along the segment
LIGHT_CHANGE = 16.0  # Lab units that a whole side may differ without cost
COLOUR_SPREAD = 12.0  # Lab units of difference at which likeness falls to 1/e


def smoothed(picture: np.ndarray) -> np.ndarray:
    """uint8 RGB (H, W, 3), slightly smoothed against aliasing and noise."""
    return cv2.GaussianBlur(picture, (0, 0), 0.8)


def side_bands(picture: np.ndarray, segments: np.ndarray, scale: np.ndarray | float = 1.0) -> np.ndarray:
    """CIELAB colours (L 0..100), float32 (2 sides, N, bands, cells, 3), of a uint8 RGB picture beside segments
    (N, 2, 2); ``scale`` (N,) widens the bands."""
    centres = points_along(segments, (np.arange(CELLS, dtype=np.float32) + 0.5) / CELLS)  # (N, cells, 2)
    reach = OFFSETS[:, None] * np.broadcast_to(scale, len(segments))  # (bands, N)
    steps = (reach[..., None] * normals(segments)).transpose(1, 0, 2)  # (N, bands, 2)
    sides = np.array([-1, 1], np.float32)[:, None, None, None, None]
    colours = sample(picture, centres[:, None] + sides * steps[:, :, None])
    lab = cv2.cvtColor(colours.reshape(1, -1, 3) / np.float32(255), cv2.COLOR_RGB2LAB)
    return lab.reshape(colours.shape)


def brighter_side_first(picture: np.ndarray, segments: np.ndarray) -> np.ndarray:
    """The segments with endpoints ordered so that the brighter side lies on the same hand of the direction."""
    bands = side_bands(picture, segments)[:, :, :2, :, 0].mean(axis=(2, 3))
    flip = bands[1] > bands[0]
    return np.where(flip[:, None, None], segments[:, ::-1], segments)


def likeness(bands0: np.ndarray, bands1: np.ndarray) -> np.ndarray:
    """0..1 for pairs of :func:`side_bands`: 1 for equal colours, whatever the mild change of light."""
    difference = bands0 - bands1
    shift = difference.mean(axis=(2, 3), keepdims=True)
    difference -= shift.clip(-LIGHT_CHANGE, LIGHT_CHANGE)
    distance = np.minimum(np.sqrt(np.einsum("snbcl,snbcl->snbc", difference, difference)), 50).mean(axis=(2, 3))
    sides = np.exp(-distance / COLOUR_SPREAD)  # (2, N)
    return sides.mean(axis=0)


def compare(first: np.ndarray, start: np.ndarray, last: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Likeness (N,) of corresponding segments of two smoothed pictures; the wider of both is sampled as much wider."""
    scale = np.clip(lengths(end) / np.maximum(lengths(start), 1e-6), 0.5, 2.0)
    return likeness(side_bands(first, start), side_bands(last, end, scale))
