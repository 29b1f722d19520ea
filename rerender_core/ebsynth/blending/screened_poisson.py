"""Gradient-domain blending: keep the mix's colours and the selected pictures' gradients
(docs/methods/ebsynth.md, Screened Poisson)."""

import math

import cv2
import numpy as np
import scipy.fft
from scipy.sparse.linalg import LinearOperator, lsqr

GRADIENT_WEIGHTS = (2.5, 0.5, 0.5)  # of L, a, b against the screening term's 1
GRADIENT_LIMIT = 100.0
SOLVERS = ("cosine", "lsqr")
SLOW_FACTOR = 31  # transforms of lengths with a prime factor above it take two to four times as long
FORGOTTEN = 36.0  # exp(-36) is a rounding error of float64


def fast_length(length: int, weight: float) -> int:
    """The length a side is mirrored to, so that its transform is quick; itself where that already is.

    The screened equation forgets: a change d pixels away weighs ``exp(-d * arccosh(1 + 1 / (2 w^2)))``, so mirrored
    rows that many that it is below float64's rounding leave the solution what it is without them.
    """
    left, factor = length, 2
    while factor <= SLOW_FACTOR:
        if left % factor:
            factor += 1
        else:
            left //= factor
    if left == 1:
        return length
    return scipy.fft.next_fast_len(length + math.ceil(FORGOTTEN / math.acosh(1 + 0.5 / weight**2)), real=True)


def solve_by_cosine(values: np.ndarray, gradient_y: np.ndarray, gradient_x: np.ndarray, weight: float) -> np.ndarray:
    """Exact minimiser x of ``|w(Dx x - gx)|^2 + |w(Dy x - gy)|^2 + |x - values|^2``.

    D are forward differences ``I[p] - I[p + 1]`` with 0 in the last row and column. The normal equations are diagonal
    under the cosine transform.

    Args:
        values, gradient_y, gradient_x: float64 [H, W].
        weight: w.
    """
    height, width = values.shape
    divergence = np.diff(gradient_y, axis=0, prepend=0) + np.diff(gradient_x, axis=1, prepend=0)
    right_side = weight**2 * divergence + values
    fast = [fast_length(length, weight) for length in (height, width)]
    if fast != [height, width]:
        right_side = np.pad(right_side, [(0, fast[0] - height), (0, fast[1] - width)], mode="symmetric")
    rows, columns = (2 * np.cos(np.pi * np.arange(length) / length) for length in fast)
    spectrum = scipy.fft.dctn(right_side, workers=-1)
    spectrum /= 1 + weight**2 * (4 - rows[:, None] - columns)
    return scipy.fft.idctn(spectrum, workers=-1)[:height, :width]


def solve_by_lsqr(values: np.ndarray, gradient_y: np.ndarray, gradient_x: np.ndarray, weight: float) -> np.ndarray:
    """The same problem solved iteratively about the mean to a relative tolerance of 1e-6, as the reference does:
    slower and inexact, for comparison with its results."""
    shape = values.shape
    # Weighted differences along x and y and the picture; a picture. Written anew in every iteration: SciPy's copies.
    forth, back = np.zeros((3, *shape)), np.empty(shape)

    def residuals(solution: np.ndarray) -> np.ndarray:
        picture, stacked = solution.reshape(shape), forth
        np.subtract(picture[:, :-1], picture[:, 1:], out=stacked[0, :, :-1])
        np.subtract(picture[:-1], picture[1:], out=stacked[1, :-1])
        stacked[:2] *= weight
        stacked[2] = picture
        return stacked.ravel()

    def adjoint(residual: np.ndarray) -> np.ndarray:
        along_x, along_y, picture = residual.reshape(3, *shape)
        total = back
        total.fill(0)
        total[:, :-1] += along_x[:, :-1]
        total[:, 1:] -= along_x[:, :-1]
        total[:-1] += along_y[:-1]
        total[1:] -= along_y[:-1]
        total *= weight
        total += picture
        return total.ravel()

    size = (3 * values.size, values.size)
    system = LinearOperator(size, matvec=residuals, rmatvec=adjoint, dtype=np.float64)
    mean = values.mean()
    right_side = np.concatenate([part.ravel() for part in (weight * gradient_x, weight * gradient_y, values - mean)])
    return lsqr(system, right_side, atol=1e-6, btol=1e-6)[0].reshape(shape) + mean


def _selected_gradient(left: np.ndarray, right: np.ndarray, from_right: np.ndarray, axis: int) -> np.ndarray:
    """Forward differences of ``right`` where ``from_right`` (the pixel that owns the difference), else of ``left``."""
    difference = [-np.diff(picture, axis=axis, append=picture.take([-1], axis=axis)) for picture in (left, right)]
    return np.where(from_right, difference[1], difference[0]).clip(-GRADIENT_LIMIT, GRADIENT_LIMIT)


def poisson_blend_lab(
    blend: np.ndarray, left: np.ndarray, right: np.ndarray, mask: np.ndarray, solver: str = "cosine"
) -> np.ndarray:
    """As :func:`poisson_blend`, before clipping and conversion: float64 Lab [H, W, 3] in 0..255 units."""
    solve = solve_by_cosine if solver == "cosine" else solve_by_lsqr
    lab = [cv2.cvtColor(picture, cv2.COLOR_RGB2LAB).astype(np.float64) for picture in (blend, left, right)]
    solution = np.empty_like(lab[0])
    for channel, weight in enumerate(GRADIENT_WEIGHTS):
        values, a, b = (np.ascontiguousarray(picture[..., channel]) for picture in lab)
        down, across = (_selected_gradient(a, b, mask, axis) for axis in (0, 1))
        solution[..., channel] = solve(values, down, across, weight)
    return solution


def poisson_blend(
    blend: np.ndarray, left: np.ndarray, right: np.ndarray, mask: np.ndarray, solver: str = "cosine"
) -> np.ndarray:
    """Give a blended picture the gradients of the selected pictures.

    Args:
        blend: uint8 RGB [H, W, 3], usually of :func:`.histogram_blend.histogram_blend`.
        left, right: uint8 RGB [H, W, 3].
        mask: bool [H, W], True = gradients of ``right``.
        solver: "cosine" (exact, closed form) or "lsqr" (the reference's iteration).

    Returns:
        uint8 RGB [H, W, 3].
    """
    lab = poisson_blend_lab(blend, left, right, mask, solver)
    return cv2.cvtColor(lab.clip(0, 255).astype(np.uint8), cv2.COLOR_LAB2RGB)  # truncated as in the reference
