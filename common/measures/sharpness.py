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
from .measurement import MeanMap, Measurement, grey8, mean

BLOCK = 64
EDGE_SHARE = 0.002  # of a block's pixels that make it an edge block
LOW_CONTRAST = 50  # grey levels; up to here the just noticeable blur is wider
NOTICEABLE_WIDTH = 5.0, 3.0  # pixels at low and at high contrast
CANNY = 0.1, 0.2  # slopes in grey levels: a block is left out only where it is flat
FIXED_POINT = 32  # OpenCV takes slopes as 16-bit integers; this keeps 1/32 of a grey level
LONGEST = 100  # pixels that an edge is followed to either side
LEVEL = math.tan(math.pi / 8)  # an edge counts where its slope is within 22.5 degrees of the row


def _reach(grey: np.ndarray, y: np.ndarray, x: np.ndarray, rising: np.ndarray, side: int) -> np.ndarray:
    """How many pixels beside each edge pixel its rise or fall goes on, at least 1; ``side`` is -1 or 1."""
    reach, at, going = np.ones(len(x), int), x + side, np.arange(len(x))
    for _ in range(LONGEST):
        going = going[(at[going] + side >= 0) & (at[going] + side < grey.shape[1])]
        change = (grey[y[going], at[going] + side] - grey[y[going], at[going]]) * side
        going = going[np.where(rising[going], change > 0, change < 0)]
        if not len(going):
            break
        at[going] += side
        reach[going] += 1
    return reach


def _maxima(strength: np.ndarray, above: np.ufunc) -> np.ndarray:
    """bool (H - 2, W - 2): greater than the neighbour before, and ``above`` the one after, along row or column."""
    centre = strength[1:-1, 1:-1]
    along_row = (centre > strength[1:-1, :-2]) & above(centre, strength[1:-1, 2:])
    return along_row | (centre > strength[:-2, 1:-1]) & above(centre, strength[2:, 1:-1])


def edge_widths(grey: np.ndarray) -> np.ndarray:
    """Widths of upright edges along rows (Marziliano et al., 2002), as the package cpbd counts them.

    An edge pixel is a maximum, along its row or its column, of the horizontal slope above Sobel's threshold; its width
    is the distance between the ends of the rise or fall that it belongs to, 2 or more. Of two equal slopes beside each
    other neither is a maximum; in a picture that has no others, of hard steps only, the first of them is.

    Args:
        grey: uint8 (H, W), at least 3 pixels in both directions.

    Returns:
        float32 (H, W), pixels; 0 where there is no edge.
    """
    grey = grey.astype(np.int32)
    slope = cv2.Sobel(grey.astype(np.float32), cv2.CV_32F, 1, 0, ksize=3, borderType=cv2.BORDER_REFLECT)
    strength = slope * slope  # whole numbers below 2 ** 24: exact, 64 times those of the normalised kernel
    strength[strength <= 16 * math.sqrt(strength.mean(dtype=np.float64))] = 0
    peaks = _maxima(strength, np.greater)
    if not peaks.any():
        peaks = _maxima(strength, np.greater_equal)
    across, down = grey[1:-1, 2:] - grey[1:-1, :-2], grey[2:, 1:-1] - grey[:-2, 1:-1]
    y, x = np.nonzero(peaks & ((across == 0) | (np.abs(down) <= LEVEL * np.abs(across))))
    rising = across[y, x] >= 0
    y, x = y + 1, x + 1
    widths = np.zeros(grey.shape, np.float32)
    widths[y, x] = _reach(grey, y, x, rising, -1) + _reach(grey, y, x, rising, 1)
    return widths


def _any_edges(grey: np.ndarray) -> np.ndarray:
    """bool (H, W): Canny's edges of the picture smoothed with sigma 1, down to the faintest."""
    smooth = cv2.GaussianBlur(grey.astype(np.float32), (0, 0), 1, borderType=cv2.BORDER_CONSTANT)
    slopes = (cv2.Sobel(smooth, cv2.CV_32F, *order, scale=FIXED_POINT) for order in ((1, 0), (0, 1)))
    across, down = (np.clip(np.round(slope), -32768, 32767).astype(np.int16) for slope in slopes)
    return cv2.Canny(across, down, *(FIXED_POINT * level for level in CANNY), L2gradient=True) > 0


def frame_cpbd(grey: np.ndarray) -> tuple[float, np.ndarray]:
    """CPBD of one picture: the share of edges whose blur is not noticed.

    Args:
        grey: uint8 (H, W).

    Returns:
        0..1, or NaN without edges; and float32 (H, W), per 64x64 block the share of edges with noticeable blur.
    """
    height, width = grey.shape
    canny, widths = _any_edges(grey), edge_widths(grey)
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
        value, blurred = frame_cpbd(grey8(frame))
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
