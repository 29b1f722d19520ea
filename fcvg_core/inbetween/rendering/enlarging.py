"""Motion layers at a larger size: no pixel mixes what belongs to two layers."""

import cv2
import numpy as np

from ..motion.motions import put

APART = 1.0  # px of the larger size from which displacements of one layer are not mixed either


class Enlarging:
    """Enlarges planes and fields that belong to the pixels of a picture.

    Args:
        numbers: int (h, w), what each pixel belongs to.
        size: (H, W), not smaller.

    Attributes:
        numbers: int (H, W): of each pixel the one with the largest share around it, so that borders stay smooth.
    """

    def __init__(self, numbers: np.ndarray, size: tuple[int, int]):
        self._size = size
        self.numbers, largest = np.zeros(size, int), np.full(size, -1, np.float32)
        for number in np.unique(numbers):
            share = cv2.resize((numbers == number).astype(np.float32), size[::-1])
            better = share > largest
            self.numbers[better], largest[better] = number, share[better]
        self._source = self._nearest_of_own(numbers)
        self._mixed = largest < 1

    def _nearest_of_own(self, numbers: np.ndarray) -> np.ndarray:
        """int (H, W): which of the four small pixels around each large one is the nearest of those it belongs to."""
        (rows, row_shares), (columns, column_shares) = (
            _corners(small, large) for small, large in zip(numbers.shape, self._size, strict=True)
        )
        best, source = np.full(self._size, -1, np.float32), np.zeros(self._size, np.int64)
        for row, row_share in zip(rows, row_shares, strict=True):
            for column, column_share in zip(columns, column_shares, strict=True):
                own = numbers[row[:, None], column] == self.numbers
                share = np.where(own, row_share[:, None] * column_share, -1)
                better = share > best
                best[better] = share[better]
                source[better] = (row[:, None] * numbers.shape[1] + column)[better]
        return source

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """float32 (h, w) or (h, w, C), enlarged to (H, W) or (H, W, C)."""
        smooth = cv2.resize(values, self._size[::-1])
        sharp = values.reshape(-1, *values.shape[2:]).take(self._source, axis=0)
        apart = self._mixed
        if values.ndim == 3:
            difference = cv2.absdiff(smooth, sharp)
            for channel in range(values.shape[2]):  # numpy's own reduction of so short an axis takes many times as long
                apart = apart | (difference[..., channel] > APART)
        pixels = np.flatnonzero(apart)
        put(smooth, pixels, sharp.reshape(-1, *values.shape[2:]).take(pixels, axis=0))
        return smooth


def _corners(small: int, large: int) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Along one side: numbers of the small pixels before and behind each large one, and their shares in it."""
    place = ((np.arange(large) + 0.5) * small / large - 0.5).clip(0, small - 1)
    before = np.floor(place).astype(np.int64)
    share = (place - before).astype(np.float32)
    return (before, np.minimum(before + 1, small - 1)), (1 - share, share)
