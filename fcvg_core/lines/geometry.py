"""Plane geometry of line segments: float arrays (N, 2, 2), pixel (x, y) of both endpoints."""

import numpy as np


def lengths(segments: np.ndarray) -> np.ndarray:
    """Lengths (N,) in pixels."""
    return np.linalg.norm(segments[:, 1] - segments[:, 0], axis=-1)


def directions(segments: np.ndarray) -> np.ndarray:
    """Unit vectors (N, 2) from the first endpoint to the second; (0, 0) for a point."""
    span = segments[:, 1] - segments[:, 0]
    return span / np.maximum(np.linalg.norm(span, axis=-1, keepdims=True), 1e-6)


def normals(segments: np.ndarray) -> np.ndarray:
    """Unit vectors (N, 2) a quarter turn from the directions, to the right as seen on the screen (y down)."""
    along = directions(segments)
    return np.stack([-along[:, 1], along[:, 0]], axis=-1)


def cross(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """z of the cross product of (..., 2) vectors."""
    return first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0]


def dot(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Scalar product of (..., 2) vectors; a sum over so short an axis is several times as slow."""
    return first[..., 0] * second[..., 0] + first[..., 1] * second[..., 1]


def points_along(segments: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Points (N, K, 2) at ``shares`` (K,) of the way from the first endpoint to the second."""
    return segments[:, None, 0] + shares[:, None] * (segments[:, 1] - segments[:, 0])[:, None]


def line_coordinates(points: np.ndarray, segments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Place along and signed distance from each segment's line.

    Args:
        points: (..., N, 2), one for each segment.
        segments: (N, 2, 2).

    Returns:
        along, across: (..., N) pixels; along is 0 at the first endpoint and the length at the second.
    """
    offset = points - segments[:, 0]
    along = directions(segments)
    return dot(along, offset), cross(along, offset)
