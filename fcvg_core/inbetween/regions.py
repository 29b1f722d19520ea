"""Shapes that regions of pixels grow by."""

import cv2
import numpy as np


def disc(radius: float) -> np.ndarray:
    """A structuring element, uint8 (2 r + 1, 2 r + 1), of ``radius`` px, at least 1."""
    width = 2 * max(1, round(radius)) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
