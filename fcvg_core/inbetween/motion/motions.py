"""Motions from the first key frame to the last: rigid ones, and what every kind of motion offers the renderer.

Points are pixels (x, y) counted from centres. Time is the share of the way, 0 = first key frame, 1 = last; outside
0..1 a motion goes on along the same arc.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from ....common.helpers import pair_of
from ...tweening.rigid_groups import fit_similarity

Matrix = np.ndarray  # float64 (3, 3)
Sides = tuple[np.ndarray, np.ndarray]  # of the first and of the last key frame


def both(made: Callable[[int], np.ndarray]) -> Sides:
    """What is made for key frame 0 and for key frame 1, beside each other as :func:`.pair_of` says."""
    return pair_of(made)


def pixel_grid(height: int, width: int) -> np.ndarray:
    """Coordinates (height, width, 2), float32, of the pixels of a picture."""
    return np.stack(np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)), axis=-1)


def put(field: np.ndarray, pixels: np.ndarray, values: np.ndarray) -> None:
    """``field[pixels] = values``, pixels numbered row by row: float32 (H, W[, 2]), contiguous, and (N[, 2]).

    A vector is one complex number here, because numpy takes many times as long for rows of two.
    """
    if field.ndim == 3:
        field, values = field.view(np.complex64), np.ascontiguousarray(values).view(np.complex64)
    field.reshape(-1)[pixels] = values.reshape(-1)


def lengths(vectors: np.ndarray) -> np.ndarray:
    """Lengths (...) of vectors (..., 2); numpy's own reductions of so short an axis take many times as long."""
    x, y = vectors[..., 0], vectors[..., 1]
    return np.sqrt(x * x + y * y)


def transformed(matrix: Matrix, points: np.ndarray) -> np.ndarray:
    """Homography applied to (..., 2) points, in their precision."""
    m = np.asarray(matrix, points.dtype)
    x, y = points[..., 0], points[..., 1]
    moved = np.stack([m[0, 0] * x + m[0, 1] * y + m[0, 2], m[1, 0] * x + m[1, 1] * y + m[1, 2]], axis=-1)
    if abs(matrix[2, 0]) + abs(matrix[2, 1]) > 1e-9:
        moved /= (m[2, 0] * x + m[2, 1] * y + m[2, 2])[..., None]
    return moved


def similarity_matrix(factor: complex, shift: complex) -> Matrix:
    """The similarity ``w = factor * z + shift`` of points z = x + iy."""
    return np.array([[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag], [0, 0, 1.0]])


class Motion(Protocol):
    """Where the pixels of either key frame go."""

    def displacement(self, side: int, points: np.ndarray) -> np.ndarray:
        """From key frame ``side`` (0 = first, 1 = last) to the other one: (..., 2) px for points (..., 2)."""
        ...

    def detour(self, side: int, points: np.ndarray, time: float, centre: complex | None = None) -> np.ndarray:
        """How far points of key frame ``side`` are off the straight way at ``time``, counted from that frame.

        Args:
            points: (N, 2), px.
            centre: point x + iy of the *first* key frame that goes straight while the rest turns about it; None: the
                motion turns about the point it leaves in place.

        Returns:
            (N, 2), px; nothing at the times 0 and 1.
        """
        ...

    def scaled(self, factor: float) -> "Motion":
        """The same motion in a picture ``factor`` times as large."""
        ...


@dataclass(frozen=True)
class RigidMotion:
    """One homography for a whole layer; it turns and zooms along the arc of the similarity nearest to it.

    Attributes:
        matrix: pixel of the first key frame to pixel of the last.
        points: float64 (N, 2) each, places in the first and in the last key frame that were seen to move so; N may be
            0 for a motion that is merely supposed.
        size: (height, width) of the key frames.
    """

    matrix: Matrix
    points: Sides
    size: tuple[int, int]

    @cached_property
    def _sides(self) -> Sides:
        return self.matrix, np.linalg.inv(self.matrix)

    def from_side(self, side: int) -> Matrix:
        """Pixel of key frame ``side`` to pixel of the other one."""
        return self._sides[side]

    def displacement(self, side: int, points: np.ndarray) -> np.ndarray:
        """As :meth:`Motion.displacement`."""
        return transformed(self._sides[side], points) - points

    @cached_property
    def _similarities(self) -> list[tuple[complex, complex]]:
        height, width = self.size
        corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], float)
        return [fit_similarity(corners @ (1, 1j), transformed(m, corners) @ (1, 1j)) for m in self._sides]

    def detour(self, side: int, points: np.ndarray, time: float, centre: complex | None = None) -> np.ndarray:
        """As :meth:`Motion.detour`."""
        factor, shift = self._similarities[side]
        exponent = np.log(factor)
        if abs(exponent) < 1e-4:
            return np.zeros_like(points)
        z = points[..., 0] + 1j * points[..., 1]
        if centre is None:
            along = np.expm1(time * exponent) / np.expm1(exponent) - time
            way = ((factor - 1) * z + shift) * along
        else:
            if side:
                there, moved = self._similarities[0]
                centre = there * centre + moved
            way = (z - centre) * (np.expm1(time * exponent) - time * (factor - 1))
        return np.stack([way.real, way.imag], axis=-1).astype(points.dtype)

    def scaled(self, factor: float) -> "RigidMotion":
        """As :meth:`Motion.scaled`; pixel centres lie half a pixel inside."""
        zoom = np.diag([factor, factor, 1.0])
        zoom[:2, 2] = 0.5 * factor - 0.5
        size = round(self.size[0] * factor), round(self.size[1] * factor)
        points = both(lambda side: self.points[side] * factor + (0.5 * factor - 0.5))
        return RigidMotion(zoom @ self.matrix @ np.linalg.inv(zoom), points, size)
