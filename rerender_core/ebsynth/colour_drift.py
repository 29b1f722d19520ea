"""How far the colours of a stylised clip stray from those of its key frames."""

import cv2
import numpy as np
from torch import Tensor

from ...common.pictures import to_uint8
from .stylised_keys import StylisedKeys


def mean_lab(frame: Tensor, where: Tensor | None = None) -> np.ndarray:
    """Mean colour of a frame [H, W, 3] 0..1 in CIE Lab (L 0..100), float64 (3,).

    ``where``: bool [H, W], the pixels that count; without any the result is NaN.
    """
    lab = cv2.cvtColor(to_uint8(frame).astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    colours = lab.reshape(-1, 3) if where is None else lab[where.numpy()]
    return colours.mean(axis=0).astype(np.float64) if len(colours) else np.full(3, np.nan)


def colour_drift(frames: Tensor, keys: StylisedKeys, painted: Tensor | None = None, first: int = 0) -> np.ndarray:
    """Per frame, the distance (Delta E 1976) of its mean colour from that of the key frames around it, interpolated in
    time; float64 (T,).

    Args:
        frames: float [T, H, W, 3], 0..1, the stylised clip.
        painted: bool [of the whole clip, H, W], the pixels that were stylised; the others are the clip's own and do not
            count. The drift of a frame without such pixels is NaN.
        first: number of the first of ``frames`` in the clip.
    """

    def mean(frame: Tensor, number: int) -> np.ndarray:
        return mean_lab(frame, None if painted is None else painted[number])

    wanted = np.stack([mean(frame, number) for frame, number in zip(keys.frames, keys.numbers, strict=True)])
    found = np.stack([mean(frame, number) for number, frame in enumerate(frames, first)])
    known = ~np.isnan(wanted[:, 0])
    if not known.any():
        return np.full(len(frames), np.nan)
    times, numbers = np.arange(first, first + len(frames)), np.array(keys.numbers)[known]
    expected = np.stack([np.interp(times, numbers, wanted[known, channel]) for channel in range(3)], axis=-1)
    return np.linalg.norm(found - expected, axis=-1)


def drift_report(drift: np.ndarray, first: int = 0) -> str:
    """One line for people, then one value per frame, from frame ``first`` on; "-" where nothing was stylised."""
    values = ", ".join("-" if np.isnan(value) else f"{value:.1f}" for value in drift)
    if np.isnan(drift).all():
        return f"Colour drift: nothing was stylised.\n{values}"
    worst = int(np.nanargmax(drift))
    mean = np.nanmean(drift)
    return f"Colour drift (Delta E): mean {mean:.1f}, worst {drift[worst]:.1f} at frame {first + worst}.\n{values}"
