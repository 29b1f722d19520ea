"""Line segments as a picture (docs/methods/conditions.md, Drawing lines)."""

import cv2
import numpy as np


def draw_segments(segments: np.ndarray, colours: np.ndarray, height: int, width: int, thickness: int = 1) -> np.ndarray:
    """Draw segments on black, in order: later ones cover earlier ones.

    8-connected, no antialiasing; endpoints are truncated towards zero to whole pixels; what lies outside is clipped.

    Args:
        segments: (M, 2, 2), pixel (x, y) of both endpoints, finite.
        colours: uint8 (M, 3), RGB.
        thickness: line width in pixels; the published value is 1.

    Returns:
        uint8 RGB (height, width, 3).
    """
    picture = np.zeros((height, width, 3), np.uint8)
    for (first, second), colour in zip(segments.astype(np.int32).tolist(), colours.tolist(), strict=True):
        cv2.line(picture, first, second, colour, thickness)
    return picture
