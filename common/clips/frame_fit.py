"""Sizes the models take: crop, then resize to multiples of 64 by the long or the short side
(docs/methods/rerender.md, Frames)."""

import cv2
import numpy as np

STEP = 64


def fitted_size(height: int, width: int, resolution: int, side: str = "short") -> tuple[int, int]:
    """(height, width) in multiples of 64 with ``resolution`` on the "short" or the "long" (published) side."""
    reference = min(height, width) if side == "short" else max(height, width)

    def fitted(length: int) -> int:
        return max(STEP, int(np.round(int(length * resolution / reference) / STEP)) * STEP)

    return fitted(height), fitted(width)


def fit_frame(
    picture: np.ndarray, resolution: int, side: str = "short", crop: tuple[int, int, int, int] = (0, 0, 0, 0)
) -> np.ndarray:
    """A frame cropped and resized for the model.

    Args:
        picture: uint8 RGB [H, W, 3].
        resolution: pixels of the chosen side before rounding to multiples of 64.
        crop: pixels cut off (left, right, top, bottom).

    Returns:
        uint8 RGB; enlarged with Lanczos, reduced by area.
    """
    left, right, top, bottom = crop
    height, width = picture.shape[:2]
    picture = picture[min(top, height) : max(height - bottom, 0), min(left, width) : max(width - right, 0)]
    height, width = picture.shape[:2]
    size = fitted_size(height, width, resolution, side)
    method = cv2.INTER_LANCZOS4 if resolution / min(height, width) > 1 else cv2.INTER_AREA
    return cv2.resize(picture, size[::-1], interpolation=method)
