"""Gaussian down-sampling of the line segment detector (docs/methods/lines.md, Sampling)."""

import math

import numpy as np

SIGMA_PER_SCALE = 0.6  # sigma of the smoothing in input pixels is this over the scale
TRUNCATION_DIGITS = 3  # kernel values below 10^-3 of the peak are cut


def gaussian_sample(picture: np.ndarray, scale: float) -> np.ndarray:
    """Smooth and resample a picture.

    Args:
        picture: [H, W] of any real type.
        scale: 0 < scale < 1; output pixel x is centred on input pixel x / scale.

    Returns:
        float64 [ceil(H * scale), ceil(W * scale)], in the input's value range. The taps are added one after another,
        as a scalar loop would: the detector amplifies differences in the last bit.
    """
    columns = _filter_columns(picture.astype(np.float64), scale)
    return np.ascontiguousarray(_filter_columns(np.ascontiguousarray(columns.T), scale).T)


def _filter_columns(picture: np.ndarray, scale: float) -> np.ndarray:
    """Filter along the last axis: [H, W] to [H, ceil(W * scale)]."""
    positions, weights = _taps(picture.shape[1], scale)
    result = np.zeros((picture.shape[0], positions.shape[1]))
    for position, weight in zip(positions, weights, strict=True):
        result += picture[:, position] * weight
    return result


def _taps(size: int, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Input positions and weights, each [taps, ceil(size * scale)]."""
    sigma = SIGMA_PER_SCALE / scale
    half = math.ceil(sigma * math.sqrt(2.0 * TRUNCATION_DIGITS * math.log(10.0)))
    count = math.ceil(size * scale)
    positions = np.empty((2 * half + 1, count), np.int64)
    weights = np.empty((2 * half + 1, count))
    for x in range(count):
        centre = x / scale
        nearest = math.floor(centre + 0.5)
        mean = half + centre - nearest
        # libm's exp: numpy's vectorised one may differ in the last bit
        column = [math.exp(-0.5 * ((i - mean) / sigma) ** 2) for i in range(2 * half + 1)]
        total = 0.0
        for weight in column:
            total += weight
        weights[:, x] = [weight / total for weight in column]
        positions[:, x] = np.arange(nearest - half, nearest + half + 1)
    positions %= 2 * size
    return np.where(positions >= size, 2 * size - 1 - positions, positions), weights
