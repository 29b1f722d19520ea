"""Guided filter (He, Sun and Tang, 2010) with a colour guide: smooths a plane and keeps the guide's edges."""

import cv2
import numpy as np


class GuidedFilter:
    """Filters planes by one picture.

    Args:
        guide: uint8 RGB (H, W, 3).
        radius: of the window, px.
        epsilon: variance of the guide (values 0..1) below which a window counts as flat.
    """

    def __init__(self, guide: np.ndarray, radius: int, epsilon: float = 1e-4):
        self._guide = guide.astype(np.float32) / 255
        self._window = (2 * radius + 1, 2 * radius + 1)
        self._mean = self._blur(self._guide)
        covariance = {
            (i, j): self._blur(self._guide[..., i] * self._guide[..., j]) - self._mean[..., i] * self._mean[..., j]
            for i in range(3)
            for j in range(i, 3)
        }
        self._inverse = _inverse_symmetric(covariance, epsilon)

    def _blur(self, plane: np.ndarray) -> np.ndarray:
        return cv2.blur(plane, self._window, borderType=cv2.BORDER_REFLECT)

    def __call__(self, plane: np.ndarray) -> np.ndarray:
        """A float32 plane (H, W), smoothed."""
        mean = self._blur(plane)
        covariance = self._blur(self._guide * plane[..., None]) - self._mean * mean[..., None]
        slope = np.empty_like(covariance)
        for i in range(3):
            rows = [self._inverse[min(i, j), max(i, j)] * covariance[..., j] for j in range(3)]
            slope[..., i] = rows[0] + rows[1] + rows[2]
        offset = mean - _dot(slope, self._mean)
        return _dot(self._blur(slope), self._guide) + self._blur(offset)


def _dot(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Sum over the three channels; numpy's own reduction of so short an axis takes many times as long."""
    product = first * second
    return product[..., 0] + product[..., 1] + product[..., 2]


def _inverse_symmetric(entries: dict, epsilon: float) -> dict:
    """Inverse of symmetric 3x3 matrices given by their upper triangles, each entry a plane, plus ``epsilon`` I."""
    a, d, f = (entries[i, i] + np.float32(epsilon) for i in range(3))
    b, c, e = entries[0, 1], entries[0, 2], entries[1, 2]
    cofactors = {
        (0, 0): d * f - e * e,
        (0, 1): c * e - b * f,
        (0, 2): b * e - c * d,
        (1, 1): a * f - c * c,
        (1, 2): b * c - a * e,
        (2, 2): a * d - b * b,
    }
    determinant = a * cofactors[0, 0] + b * cofactors[0, 1] + c * cofactors[0, 2]
    return {place: value / determinant for place, value in cofactors.items()}
