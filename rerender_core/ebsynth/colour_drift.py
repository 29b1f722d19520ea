"""How far the colours of a stylised clip stray from those of its key frames."""

import cv2
import numpy as np
from torch import Tensor

from ...common.pictures import to_uint8
from .stylised_keys import StylisedKeys


def mean_lab(frame: Tensor) -> np.ndarray:
    """Mean colour of a frame [H, W, 3] 0..1 in CIE Lab (L 0..100), float64 (3,)."""
    lab = cv2.cvtColor(to_uint8(frame).astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    return lab.reshape(-1, 3).mean(axis=0).astype(np.float64)


def colour_drift(frames: Tensor, keys: StylisedKeys) -> np.ndarray:
    """Per frame, the distance (Delta E 1976) of its mean colour from that of the key frames around it, interpolated in
    time; float64 (T,)."""
    wanted = np.stack([mean_lab(frame) for frame in keys.frames])
    times = np.arange(len(frames))
    expected = np.stack([np.interp(times, keys.numbers, wanted[:, channel]) for channel in range(3)], axis=-1)
    return np.linalg.norm(np.stack([mean_lab(frame) for frame in frames]) - expected, axis=-1)


def drift_report(drift: np.ndarray) -> str:
    """One line for people, then one value per frame."""
    worst = int(drift.argmax())
    values = ", ".join(f"{value:.1f}" for value in drift)
    return f"Colour drift (Delta E): mean {drift.mean():.1f}, worst {drift[worst]:.1f} at frame {worst}.\n{values}"
