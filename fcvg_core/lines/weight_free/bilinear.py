"""Bilinear look-up at scattered points."""

import cv2
import numpy as np

MOST = 32000  # points of one row; cv2.remap takes fewer than 32768


def sample(field: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Values (..., C), or (...) of a plane, of a field (H, W[, C]), uint8 or float32, at (..., 2) pixels (x, y).

    Pixels are counted from centres; outside, the nearest border pixel counts. Bytes are rounded to bytes.
    """
    grid = np.ascontiguousarray(points, np.float32).reshape(1, -1, 2)  # a column takes four times as long
    values = np.zeros((grid.shape[1], *field.shape[2:]), field.dtype)
    for start in range(0, len(values), MOST):
        part = grid[:, start : start + MOST]
        found = cv2.remap(field, part, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        values[start : start + MOST] = found[0]
    return values.reshape(*points.shape[:-1], *field.shape[2:])
