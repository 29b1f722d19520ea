"""Brightness over time: slow drift and quick flicker."""

import numpy as np
import torch

from .measurement import MeanMap, Measurement, luma, pictures


def brightness(frames: torch.Tensor) -> np.ndarray:
    """Mean luma (ITU-R BT.601) of each frame, float64 (T,), 0..1. ``frames``: float32 [T, H, W, 3]."""
    return np.array([luma(picture).mean(dtype=np.float64) for picture in pictures(frames)])


def brightness_drift(frames: torch.Tensor) -> Measurement:
    """How much brighter the clip becomes from its first to its last frame.

    The value is the rise, over the whole clip, of the straight line fitted to the brightness by least squares, so a
    single flash hardly counts; per frame it is the brightness relative to the first frame's.

    Args:
        frames: float32 [T, H, W, 3] 0..1, T >= 2.

    Returns:
        luma, -1..1; 0 is steady. The heat map is the absolute rise of each pixel's line.
    """
    count = len(frames)
    times = np.arange(count) - (count - 1) / 2
    weights = times * (count - 1) / np.square(times).sum()
    levels, rise = [], np.zeros(tuple(frames.shape[1:3]), np.float32)
    for weight, picture in zip(weights, pictures(frames), strict=True):
        grey = luma(picture)
        levels.append(float(grey.mean(dtype=np.float64)))
        rise += np.float32(weight) * grey
    value = float(weights @ np.array(levels))
    return Measurement(
        "Brightness drift", value, tuple(level - levels[0] for level in levels), "luma", None, np.abs(rise)
    )


def flicker(frames: torch.Tensor) -> Measurement:
    """How far each frame's brightness leaves the mean of its two neighbours: steady ramps do not flicker.

    Args:
        frames: float32 [T, H, W, 3] 0..1, T >= 3.

    Returns:
        luma, 0..1; the mean over the inner frames. ``per_frame`` has T entries; the first and last, which have one
        neighbour, are 0. The heat map is the same of each pixel, motion included.
    """
    heat, levels = MeanMap(*frames.shape[1:3]), []
    window: list[np.ndarray] = []
    for picture in pictures(frames):
        window = [*window[-2:], luma(picture)]
        levels.append(float(window[-1].mean(dtype=np.float64)))
        if len(window) == 3:
            heat.add(np.abs(window[1] - (window[0] + window[2]) / 2))
    level = np.array(levels)
    inner = np.abs(level[1:-1] - (level[:-2] + level[2:]) / 2)
    return Measurement("Flicker", float(inner.mean()), (0.0, *inner.tolist(), 0.0), "luma", False, heat.mean())
