"""Bilinear look-up at scattered points."""

import cv2
import numpy as np

ROWS = 32000  # cv2.remap takes fewer than 32768


def sample(field: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Values (..., C), or (...) of a plane, of a float32 field (H, W[, C]) at (..., 2) pixels (x, y).

    Pixels are counted from centres; outside, the nearest border pixel counts.
    """
    grid = np.ascontiguousarray(points, np.float32).reshape(-1, 1, 2)
    values = np.zeros((len(grid), *field.shape[2:]), np.float32)
    for row in range(0, len(grid), ROWS):
        part = cv2.remap(field, grid[row : row + ROWS], None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        values[row : row + ROWS] = part.reshape(-1, *field.shape[2:])
    return values.reshape(*points.shape[:-1], *field.shape[2:])
