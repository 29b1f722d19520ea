"""Gradient-domain blending: keep the mix's colours and the selected pictures' gradients
(docs/methods/ebsynth.md, Screened Poisson)."""

import cv2
import numpy as np
import scipy.fft
import scipy.sparse
import scipy.sparse.linalg

GRADIENT_WEIGHTS = (2.5, 0.5, 0.5)  # of L, a, b against the screening term's 1
GRADIENT_LIMIT = 100.0
SOLVERS = ("cosine", "lsqr")


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
    rows = np.cos(np.pi * np.arange(height) / height)[:, None]
    columns = np.cos(np.pi * np.arange(width) / width)[None, :]
    spectrum = scipy.fft.dctn(weight**2 * divergence + values, workers=-1)
    spectrum /= 1 + weight**2 * (4 - 2 * rows - 2 * columns)
    return scipy.fft.idctn(spectrum, workers=-1)


def solve_by_lsqr(values: np.ndarray, gradient_y: np.ndarray, gradient_x: np.ndarray, weight: float) -> np.ndarray:
    """The same problem solved iteratively about the mean to a relative tolerance of 1e-6, as the reference does:
    slower and inexact, for comparison with its results."""
    height, width = values.shape

    def difference(length: int) -> scipy.sparse.spmatrix:
        diagonal = np.r_[np.ones(length - 1), 0.0]
        return scipy.sparse.diags([diagonal, -diagonal[:-1]], [0, 1])

    along_x = scipy.sparse.kron(scipy.sparse.eye(height), difference(width))
    along_y = scipy.sparse.kron(difference(height), scipy.sparse.eye(width))
    matrix = scipy.sparse.vstack([along_x * weight, along_y * weight, scipy.sparse.eye(height * width)]).tocsr()
    mean = values.mean()
    right_side = np.concatenate([part.ravel() for part in (weight * gradient_x, weight * gradient_y, values - mean)])
    return scipy.sparse.linalg.lsqr(matrix, right_side, atol=1e-6, btol=1e-6)[0].reshape(height, width) + mean


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
