"""Contrast-preserving mix of two propagated pictures (docs/methods/ebsynth.md, Contrast-preserving mix)."""

import cv2
import numpy as np


def histogram_blend(left: np.ndarray, right: np.ndarray, selected: np.ndarray, weight: float) -> np.ndarray:
    """Mix two pictures without the loss of contrast a plain average has.

    Each Lab channel of both pictures is standardised, mixed, standardised again and given the mean and deviation of
    ``selected``.

    Args:
        left, right: uint8 RGB [H, W, 3].
        selected: uint8 RGB [H, W, 3], the per-pixel selection of the two.
        weight: of ``right``, 0..1.

    Returns:
        uint8 RGB [H, W, 3].
    """
    a, b, target = (cv2.cvtColor(picture, cv2.COLOR_RGB2LAB).astype(np.float64) for picture in (left, right, selected))
    mixed = _standardised((1 - weight) * _standardised(a) + weight * _standardised(b))
    lab = mixed * target.std(axis=(0, 1)) + target.mean(axis=(0, 1))
    return cv2.cvtColor(np.round(lab).clip(0, 255).astype(np.uint8), cv2.COLOR_LAB2RGB)


def _standardised(channels: np.ndarray) -> np.ndarray:
    """Zero mean and unit population deviation per channel; a constant channel becomes 0."""
    deviation = channels.std(axis=(0, 1))
    return (channels - channels.mean(axis=(0, 1))) / np.where(deviation > 0, deviation, np.inf)
