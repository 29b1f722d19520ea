"""Affine moving least squares: a smooth way for every pixel from the ways of some points (Schaefer et al. 2006)."""

import cv2
import numpy as np

FEWEST = 6  # points that tell of a motion
STEP = 8  # px between the places that are solved for; between them all is bilinear
NEAR = 1.0  # px^2, within which a point's pull no longer grows
POWER = 1.5  # of the squared distance, with which it falls
BLOCK = 1 << 18  # pulls that are in memory at a time
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
    centre = source.mean(axis=0)
    points, places = source - centre, np.stack([x.ravel(), y.ravel()], axis=-1) - centre
    way = goal - source
    outer = [(points[:, [axis]] * values) for axis in (0, 1) for values in (points, way)]
    moments = np.concatenate([np.ones((len(points), 1)), points, way, *outer], axis=1)
    rows = max(1, BLOCK // len(points))
    coarse = np.concatenate([_moved(places[at : at + rows], points, moments) for at in range(0, len(places), rows)])
    coarse = coarse.reshape(*x.shape, 2).astype(np.float32)
    between = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).astype(np.float32) / STEP
    return cv2.remap(coarse, between, None, cv2.INTER_LINEAR)


def _moved(places: np.ndarray, points: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """How far places (P, 2) move, from the points and of each 1, itself, its way and both outer products with it."""
    apart = np.square(places[:, [0]] - points[:, 0]) + np.square(places[:, [1]] - points[:, 1]) + NEAR
    means = apart**-POWER @ moments
    means /= means[:, :1]
    mean, way = means[:, 1:3], means[:, 3:5]
    products = means[:, 5:].reshape(-1, 2, 2, 2)  # axis of the point; with itself or its way; axis of that
    spread = products[:, :, 0] - mean[:, :, None] * mean[:, None, :] + STIFF * np.eye(2)
    shared = products[:, :, 1] - mean[:, :, None] * way[:, None, :]
    return np.einsum("pi,pij->pj", places - mean, np.linalg.solve(spread, shared)) + way
