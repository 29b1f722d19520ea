"""Affine moving least squares: a smooth way for every pixel from the ways of some points (Schaefer et al. 2006)."""

import cv2
import numpy as np

FEWEST = 6  # points that tell of a motion
STEP = 8  # px between the places that are solved for; between them all is bilinear
NEAR = 1.0  # px^2, within which a point's pull no longer grows
POWER = 1.5  # of the squared distance, with which it falls
STIFF = 4.0  # px^2: points closer together than this do not turn or stretch what is around them


def least_squares_displacement(source: np.ndarray, goal: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """How far each pixel moves when points ``source`` go to ``goal``.

    Args:
        source, goal: (N, 2), px (x, y) counted from pixel centres, N >= :data:`FEWEST`.
        size: (height, width).

    Returns:
        float32 (height, width, 2), px.
    """
    height, width = size
    y, x = np.mgrid[0 : height + STEP : STEP, 0 : width + STEP : STEP]
    points = np.stack([x, y], axis=-1).reshape(-1, 1, 2).astype(float)
    weight = 1 / (np.square(points - source).sum(axis=-1) + NEAR) ** POWER
    weight /= weight.sum(axis=1, keepdims=True)
    mean0, mean1 = weight @ source, weight @ goal
    apart0, apart1 = source - mean0[:, None], goal - mean1[:, None]
    spread = np.einsum("pn,pni,pnj->pij", weight, apart0, apart0) + STIFF * np.eye(2)
    shared = np.einsum("pn,pni,pnj->pij", weight, apart0, apart1) + STIFF * np.eye(2)
    moved = np.einsum("pi,pij->pj", points[:, 0] - mean0, np.linalg.solve(spread, shared)) + mean1
    coarse = (moved - points[:, 0]).reshape(*x.shape, 2).astype(np.float32)
    places = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).astype(np.float32) / STEP
    return cv2.remap(coarse, places, None, cv2.INTER_LINEAR)
