"""LSD, the line segment detector, as GlueStick runs it
(docs/methods/lines.md, Line segment detector): exact to the last bit."""

import math
from typing import Literal

import numpy as np

from ....common.compiled_kernels import compile_ahead, compiled, numba_available
from . import kernels as lsd_kernels
from .sampling import gaussian_sample

Engine = Literal["auto", "numba", "python"]

LEAST_NORM = 2.0 / math.sin(lsd_kernels.TOLERANCE)  # quantisation to 8 bit turns weaker gradients by over 22.5 degrees
BINS = 1024
UNDEFINED = -1024.0  # an angle that is aligned with nothing


def lsd(grey: np.ndarray, scale: float, engine: Engine = "auto") -> np.ndarray:
    """Detect line segments at one scale.

    Args:
        grey: uint8 [H, W], any size from 1x1, any strides.
        scale: the picture is smoothed and resampled by this factor first, 0 < scale <= 1.
        engine: "numba" compiles the scalar part (seconds, once per installation, see
            common/compiled_kernels.py), "python" interprets the same source and takes six times as long; "auto" is
            numba where it is installed. Both give the same bits.

    Returns:
        float32 (N, 5): x1, y1, x2, y2 in pixels of ``grey``, with the detector's half pixel bias (a step between
        columns 49 and 50 lies at x = 50.0), and the angular precision p of the segment (0.125 or 0.125 / 2^k). In
        order of detection: strong gradients first. (0, 5) when there are none.

    Raises:
        ImportError: ``engine="numba"`` and numba is not installed.
    """
    if engine == "auto":
        engine = "numba" if numba_available() else "python"
    picture = grey.astype(np.float64) if scale == 1.0 else gaussian_sample(grey, scale)
    height, width = picture.shape
    gradient_x, gradient_y, norms = _gradient(picture)
    defined = np.flatnonzero(norms > LEAST_NORM)
    if not len(defined):
        return np.zeros((0, 5), np.float32)
    seeds = _seeds(norms, width, height)
    kernels = compiled(lsd_kernels) if engine == "numba" else lsd_kernels
    # Interpreted, lists are several times quicker than arrays.
    sequence = np.ascontiguousarray if engine == "numba" else np.ndarray.tolist

    angles = sequence(np.full(norms.size, UNDEFINED))
    kernels.gradient_angles(
        sequence(gradient_x.ravel()[defined]), sequence(gradient_y.ravel()[defined]), sequence(defined), angles
    )
    used = np.ones(norms.size, np.uint8)
    used[defined] = 0
    segments = sequence(np.zeros(5 * len(seeds)))
    count = kernels.find_segments(
        sequence(seeds),
        angles,
        sequence(norms.ravel()),
        sequence(used),
        sequence(np.zeros(len(defined), np.int64)),
        width,
        height,
        segments,
    )
    found = np.array(segments[: 5 * count], np.float64).reshape(count, 5)
    found[:, :4] /= scale
    return found.astype(np.float32)


def prepare() -> None:
    """Have the detector compiled beside what comes first, such as reading a network."""
    compile_ahead(compile_detector)


def compile_detector() -> None:
    """The smallest detection that calls every kernel."""
    picture = np.zeros((32, 32), np.uint8)
    picture[8:24, 8:24] = 255
    lsd(picture, 1.0, "numba")


def _gradient(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradient x, y and its norm at the bottom right pixel of each 2x2 block: [H + 1, W + 1], zero elsewhere.

    The layout, one column and one row more than the picture, is the kernels'.
    """
    down = picture[1:, 1:] - picture[:-1, :-1]
    up = picture[:-1, 1:] - picture[1:, :-1]
    height, width = picture.shape
    result = np.zeros((3, height + 1, width + 1))
    gradient_x, gradient_y, norms = result
    inside = (slice(1, height), slice(1, width))
    gradient_x[inside] = down + up
    gradient_y[inside] = down - up
    norms[inside] = np.sqrt((gradient_x[inside] ** 2 + gradient_y[inside] ** 2) / 4.0)
    return gradient_x, gradient_y, norms


def _seeds(norms: np.ndarray, width: int, height: int) -> np.ndarray:
    """Indices of the defined pixels by falling gradient, quantised to 1024 bins; column by column inside a bin.

    The last row and column are no seeds, as in the published detector.
    """
    columns = norms[: height - 1, : width - 1].T
    x, y = np.nonzero(columns > LEAST_NORM)
    bins = np.minimum((columns[x, y] * BINS / norms.max()).astype(np.int64), BINS - 1)
    order = np.argsort(-bins, kind="stable")
    return (y * (width + 1) + x)[order]
