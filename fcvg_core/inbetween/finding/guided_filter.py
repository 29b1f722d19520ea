"""Guided filter (He, Sun and Tang, 2010) with a colour guide: smooths a plane and keeps the guide's edges."""

import cv2
import numpy as np

Planes = list[np.ndarray]  # one for each channel: numpy takes many times as long for channels side by side


class GuidedFilter:
    """Filters planes by one picture.

    Args:
        guide: uint8 RGB (H, W, 3).
        radius: of the window, px.
        epsilon: variance of the guide (values 0..1) below which a window counts as flat.
    """

    def __init__(self, guide: np.ndarray, radius: int, epsilon: float = 1e-4):
        self._guide: Planes = [channel.astype(np.float32) / 255 for channel in cv2.split(guide)]
        self._window = (2 * radius + 1, 2 * radius + 1)
        self._mean = [self._blur(channel) for channel in self._guide]
        covariance = {
            (i, j): self._blur(self._guide[i] * self._guide[j]) - self._mean[i] * self._mean[j]
            for i in range(3)
            for j in range(i, 3)
        }
        self._inverse = _inverse_symmetric(covariance, epsilon)

    def _blur(self, plane: np.ndarray) -> np.ndarray:
        return cv2.blur(plane, self._window, borderType=cv2.BORDER_REFLECT)

    def __call__(self, plane: np.ndarray) -> np.ndarray:
        """A float32 plane (H, W), smoothed."""
        mean = self._blur(plane)
        covariance = []
        for guide, guide_mean in zip(self._guide, self._mean, strict=True):
            own = self._blur(guide * plane)
            own -= guide_mean * mean
            covariance.append(own)
        slope = [_dot([self._inverse[min(i, j), max(i, j)] for j in range(3)], covariance) for i in range(3)]
        mean -= _dot(slope, self._mean)
        smooth = _dot([self._blur(own) for own in slope], self._guide)
        smooth += self._blur(mean)
        return smooth


def _dot(first: Planes, second: Planes) -> np.ndarray:
    """Sum over the three channels."""
    total = first[0] * second[0]
    total += first[1] * second[1]
    total += first[2] * second[2]
    return total


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
