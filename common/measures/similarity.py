"""PSNR, SSIM and MS-SSIM of two clips, frame by frame.

SSIM and MS-SSIM follow Wang, Bovik, Sheikh and Simoncelli (2004) and Wang, Simoncelli and Bovik (2003) as kornia, piq
and scikit-image compute them: Gaussian window of 11 pixels and sigma 1.5, no padding, data range 1, mean over pixels
and channels.
"""

import math

import cv2
import numpy as np
import torch

from ..errors import BetwixtError
from .measurement import MeanMap, Measurement, channel_mean, mean, pictures

WINDOW, SIGMA = 11, 1.5
C1, C2 = 0.01**2, 0.03**2
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
SMALLEST_MS_SSIM = WINDOW * 2 ** (len(SCALE_WEIGHTS) - 1)  # pixels of the shorter side
KERNEL = cv2.getGaussianKernel(WINDOW, SIGMA, cv2.CV_32F)


def psnr(first: torch.Tensor, second: torch.Tensor, masks: np.ndarray | None = None) -> Measurement:
    """Peak signal-to-noise ratio, ``-10 log10(MSE)``.

    Args:
        first, second: float32 [T, H, W, 3] 0..1, from :func:`.measurement.checked_pair`.
        masks: bool (1 or T, H, W), pixels that count.

    Returns:
        dB; the clip's value comes from the mean squared error of all frames (as in torchmetrics), so it is not the mean
        of ``per_frame``. Infinite for identical pictures.
    """
    heat, errors, weights = MeanMap(*first.shape[1:3]), [], []
    for number, (one, two) in enumerate(zip(pictures(first), pictures(second), strict=True)):
        squared = channel_mean(np.square(one - two))
        chosen = None if masks is None else masks[min(number, len(masks) - 1)]
        part = squared if chosen is None else squared[chosen]
        errors.append(float(part.mean(dtype=np.float64)))
        weights.append(part.size)
        heat.add(squared, chosen)
    return Measurement(
        "PSNR",
        decibels(float(np.average(errors, weights=weights))),
        tuple(map(decibels, errors)),
        "dB",
        True,
        heat.mean(),
    )


def decibels(mean_squared_error: float) -> float:
    """PSNR of a mean squared error at data range 1."""
    return math.inf if mean_squared_error == 0 else -10 * math.log10(mean_squared_error)


class Similarity:
    """Luminance and contrast-structure terms of pairs of pictures of one size.

    Keeps its intermediate pictures: fresh memory for each would take longer than the arithmetic.
    """

    def __init__(self, *shape: int):
        self._kept = [np.empty(shape, np.float32) for _ in range(6)]

    def __call__(self, one: np.ndarray, two: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """float32 (H, W, C) twice -> both terms, (H - 10, W - 10, C) each, valid until the next call."""
        inner = slice(WINDOW // 2, -(WINDOW // 2))
        luminance, structure = self.with_borders(one, two)
        return luminance[inner, inner], structure[inner, inner]

    def with_borders(self, one: np.ndarray, two: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same for windows around every pixel, (H, W, C) or (H, W); beyond its border a picture is mirrored."""
        mean1, mean2, product, squares, first, second = self._kept
        # OpenCV's separable filter takes a ninth of the time of a depthwise convolution on the processor
        cv2.sepFilter2D(one, -1, KERNEL, KERNEL, mean1)
        cv2.sepFilter2D(two, -1, KERNEL, KERNEL, mean2)
        cv2.sepFilter2D(cv2.multiply(one, two, first), -1, KERNEL, KERNEL, product)
        cv2.add(cv2.multiply(one, one, first), cv2.multiply(two, two, second), first)
        cv2.sepFilter2D(first, -1, KERNEL, KERNEL, squares)
        # the same steps above and below each line, so that identical pictures give exactly 1
        means = cv2.multiply(mean1, mean2, first)
        cv2.add(cv2.multiply(mean1, mean1, mean1), cv2.multiply(mean2, mean2, mean2), mean1)
        covariance = cv2.addWeighted(product, 2, means, -2, C2, product)
        structure = cv2.divide(covariance, cv2.addWeighted(squares, 1, mean1, -1, C2, squares), product)
        luminance = cv2.divide(_scaled(means, 2, C1, mean2), _scaled(mean1, 1, C1, second), mean2)
        return luminance, structure


def _scaled(values: np.ndarray, factor: float, offset: float, out: np.ndarray) -> np.ndarray:
    return cv2.addWeighted(values, factor, values, 0, offset, out)


def ssim(first: torch.Tensor, second: torch.Tensor) -> Measurement:
    """Structural similarity, -1..1; 1 for identical pictures, constant ones included.

    Args:
        first, second: as for :func:`psnr`, at least 11 pixels in both directions.

    Raises:
        BetwixtError: smaller frames.
    """
    _check_side(first, "SSIM", WINDOW)
    heat, values, similarity = _inner_map(first), [], Similarity(*first.shape[1:])
    for one, two in zip(pictures(first), pictures(second), strict=True):
        luminance, structure = similarity(one, two)
        product = luminance * structure
        values.append(float(np.mean(cv2.mean(product)[:3])))
        heat.add(1 - channel_mean(product))
    return Measurement("SSIM", mean(values), tuple(values), "", True, _whole(heat))


def ms_ssim(first: torch.Tensor, second: torch.Tensor) -> Measurement:
    """SSIM over five scales, 0..1: contrast terms of four scales and the SSIM of the coarsest, weighted by powers.

    The product is taken per channel, as in piq; a negative mean counts as 0. The heat map is the finest scale's.

    Args:
        first, second: as for :func:`psnr`, at least 176 pixels in both directions.

    Raises:
        BetwixtError: smaller frames.
    """
    _check_side(first, "MS-SSIM", SMALLEST_MS_SSIM)
    height, width = first.shape[1:3]
    heat, values, scales = _inner_map(first), [], len(SCALE_WEIGHTS)
    similarities = [Similarity(height >> scale, width >> scale, 3) for scale in range(scales)]
    for one, two in zip(pictures(first), pictures(second), strict=True):
        value = np.ones(3)
        for scale, weight in enumerate(SCALE_WEIGHTS):
            luminance, structure = similarities[scale](one, two)
            if scale == 0:
                heat.add(1 - channel_mean(luminance * structure))
            last = scale == scales - 1
            term = luminance * structure if last else structure
            value *= np.maximum(cv2.mean(term)[:3], 0) ** weight
            if not last:
                one, two = _halved(one), _halved(two)
        values.append(float(value.mean()))
    return Measurement("MS-SSIM", mean(values), tuple(values), "", True, _whole(heat))


def _inner_map(frames: torch.Tensor) -> MeanMap:
    """Of the places where the window lies inside the picture."""
    return MeanMap(*(side - WINDOW + 1 for side in frames.shape[1:3]))


def _whole(heat: MeanMap) -> np.ndarray:
    """The mean map in the size of the picture: its border is repeated."""
    return np.pad(heat.mean(), WINDOW // 2, mode="edge")


def _halved(picture: np.ndarray) -> np.ndarray:
    """Mean of each 2x2 block; an odd last row or column is left out."""
    height, width = (side // 2 * 2 for side in picture.shape[:2])
    return cv2.resize(picture[:height, :width], (width // 2, height // 2), interpolation=cv2.INTER_AREA)


def _check_side(frames: torch.Tensor, name: str, least: int) -> None:
    height, width = frames.shape[1:3]
    if min(height, width) < least:
        raise BetwixtError(
            f"The frames are {width}x{height}.",
            f"{name} needs at least {least} pixels in both directions.",
            "Measure larger frames or choose another measure.",
        )
