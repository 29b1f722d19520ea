"""CPBD, the cumulative probability of blur detection (Narvekar and Karam, IEEE Trans. Image Processing 2011).

The probability that the blur of an edge of width w is noticed is ``1 - exp(-(w / w_jnb) ** 3.6)``, and CPBD is the
share of edges for which it is at most 63 %, its value at the just noticeable width: that is, of edges with
``w <= w_jnb``.
"""

import math

import cv2
import numpy as np
import torch

from ..errors import BetwixtError
from ..pictures import to_uint8
from .measurement import MeanMap, Measurement, mean

BLOCK = 64
EDGE_SHARE = 0.002  # of a block's pixels that make it an edge block
LOW_CONTRAST = 50  # grey levels; up to here the just noticeable blur is wider
NOTICEABLE_WIDTH = 5.0, 3.0  # pixels at low and at high contrast
CANNY = 100, 200
SOBEL_FACTOR = 4.0  # an edge pixel's squared slope is this many times the mean squared slope


def _runs(rising: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each pixel of each row, how many steps the row keeps rising to its left and to its right, int (H, W) each.

    Args:
        rising: bool (H, W - 1), whether the row rises from pixel x to x + 1.
    """
    height, steps = rising.shape
    x = np.arange(steps + 1)
    left_stop = np.where(rising, -1, x[1:])  # the run into pixel x + 1 begins there
    left_stop = np.maximum.accumulate(np.concatenate([np.zeros((height, 1), int), left_stop], axis=1), axis=1)
    right_stop = np.where(rising, steps + 1, x[:-1])
    right_stop = np.concatenate([right_stop, np.full((height, 1), steps)], axis=1)
    right_stop = np.minimum.accumulate(right_stop[:, ::-1], axis=1)[:, ::-1]
    return x - left_stop, right_stop - x


def edge_widths(grey: np.ndarray) -> np.ndarray:
    """Widths of vertical edges along rows (Marziliano et al., 2002).

    An edge pixel is a local maximum, along its row, of the horizontal slope above Sobel's threshold; its width is the
    distance between the ends of the rise or fall that it belongs to.

    Args:
        grey: uint8 (H, W).

    Returns:
        float32 (H, W), pixels; 0 where there is no edge.
    """
    grey = grey.astype(np.int16)
    slope = cv2.Sobel(grey, cv2.CV_32F, 1, 0, ksize=3, borderType=cv2.BORDER_REPLICATE) / 8
    strength = slope * slope
    before, after = np.roll(strength, 1, axis=1), np.roll(strength, -1, axis=1)
    peaks = (strength > SOBEL_FACTOR * strength.mean()) & (strength > before) & (strength >= after)
    peaks[:, [0, -1]] = False
    step = np.diff(grey, axis=1)
    rise, fall = sum(_runs(step > 0)), sum(_runs(step < 0))
    return np.where(peaks, np.where(slope > 0, rise, fall), 0).astype(np.float32)


def frame_cpbd(grey: np.ndarray) -> tuple[float, np.ndarray]:
    """CPBD of one picture: the share of edges whose blur is not noticed.

    Args:
        grey: uint8 (H, W).

    Returns:
        0..1, or NaN without edges; and float32 (H, W), per 64x64 block the share of edges with noticeable blur.
    """
    height, width = grey.shape
    canny, widths = cv2.Canny(grey, *CANNY) > 0, edge_widths(grey)
    heat, unnoticed, total = np.zeros((height, width), np.float32), 0, 0
    for top in range(0, height - BLOCK + 1, BLOCK):
        for left in range(0, width - BLOCK + 1, BLOCK):
            block = slice(top, top + BLOCK), slice(left, left + BLOCK)
            found = widths[block]
            found = found[found > 0]
            if canny[block].sum() <= EDGE_SHARE * BLOCK * BLOCK or not len(found):
                continue
            contrast = int(grey[block].max()) - int(grey[block].min())
            noticeable = NOTICEABLE_WIDTH[contrast > LOW_CONTRAST]
            sharp = int((found <= noticeable).sum())
            heat[block] = 1 - sharp / len(found)
            unnoticed, total = unnoticed + sharp, total + len(found)
    return (unnoticed / total if total else float("nan")), heat


def cpbd(frames: torch.Tensor) -> Measurement:
    """CPBD of each frame, and the mean of those that have edges.

    Args:
        frames: float32 [T, H, W, 3] 0..1, at least 64 pixels in both directions.

    Returns:
        0..1; ``per_frame`` is NaN for a frame without edges, whose sharpness is not defined, and ``note`` names them.

    Raises:
        BetwixtError: smaller frames; no frame with edges.
    """
    height, width = frames.shape[1:3]
    if min(height, width) < BLOCK:
        raise BetwixtError(
            f"The frames are {width}x{height}.",
            f"CPBD needs at least {BLOCK} pixels in both directions.",
            "Measure larger frames or choose another measure.",
        )
    heat, values = MeanMap(height, width), []
    for frame in frames:
        value, blurred = frame_cpbd(cv2.cvtColor(to_uint8(frame), cv2.COLOR_RGB2GRAY))
        values.append(value)
        heat.add(blurred)
    empty = [number for number, value in enumerate(values) if math.isnan(value)]
    if len(empty) == len(values):
        raise BetwixtError(
            "No frame has edges.",
            "CPBD is the share of sharp edges and is not defined without any.",
            "Choose another measure.",
        )
    named = ", ".join(map(str, empty[:8])) + (" and more" if len(empty) > 8 else "")
    note = f"not defined for {len(empty)} of {len(values)} frames, which have no edges: {named}" if empty else ""
    defined = [value for value in values if not math.isnan(value)]
    return Measurement("CPBD", mean(defined), tuple(values), "", True, heat.mean(), note)
