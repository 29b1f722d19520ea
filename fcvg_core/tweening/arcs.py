"""Segments that turn instead of shrinking: motion along the arcs of similarities.

Linear motion of endpoints shortens whatever turns: half-way through a quarter turn by 29 %, through a half turn to
nothing. Here the angle of a segment grows linearly, its length geometrically, and its midpoint runs along the arc of
its group's similarity, a circle or a logarithmic spiral, so a rigid thing stays rigid in every frame.
"""

from collections.abc import Sequence

import numpy as np

from .line_interpolation import keep_keyframes
from .rigid_groups import find_groups

HALF_TURN_SPAN = np.radians(-170)  # turns are counted from here, so that half turns all go clockwise
PIVOTS = ("fixed point", "own centre")
SHORTEST = 1.0  # px; lengths below count as this: the logarithm of nothing is not defined


def arc_progress(exponent: np.ndarray, times: np.ndarray) -> np.ndarray:
    """How far along its chord a point is, as a complex factor, when ``exp(exponent)`` is its similarity's factor.

    ``w(t) = z + (w(1) - z) * progress``; for pure shifts it is t, turns and zooms go about their fixed point.

    Args:
        exponent: complex (M,), log zoom + i turn.
        times: (F,).

    Returns:
        complex (F, M).
    """
    straight = np.abs(exponent) < 1e-9
    safe = np.where(straight, 1, exponent)
    return np.where(straight, times[:, None], np.expm1(times[:, None] * safe) / np.expm1(safe))


def _spans(span0: np.ndarray, span1: np.ndarray, turn: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Endpoint differences over time, complex (F, M): angle linear, length geometric.

    ``turn`` (M,) decides which way round and by how many half turns a segment goes.
    """
    length0, length1 = (np.maximum(np.abs(span), SHORTEST) for span in (span0, span1))
    direction1 = np.where(np.abs(span1) > 0, span1, span0 * np.exp(1j * turn))
    direction0 = np.where(np.abs(span0) > 0, span0, direction1 * np.exp(-1j * turn))
    direction0 = np.where(direction0 == 0, 1, direction0)
    direction0 = direction0 / np.abs(direction0)
    rest = np.where(direction1 == 0, 0, np.angle(direction1 / (direction0 * np.exp(1j * turn))))
    rest = (rest + np.pi / 2) % np.pi - np.pi / 2  # the nearer of the two directions of an undirected segment
    exponent = np.log(length1 / length0) + 1j * (turn + rest)
    return direction0 * length0 * np.exp(times[:, None] * exponent)


def _rolling(
    middle0: np.ndarray, middle1: np.ndarray, exponent: np.ndarray, label: np.ndarray, times: np.ndarray
) -> np.ndarray:
    """Midpoints over time, complex (F, M), when the centre of every group goes straight and the rest turns about it."""
    moved = middle0 + (middle1 - middle0) * times[:, None]
    for group in range(label.max(initial=-1) + 1):
        members = label == group
        centre0, centre1 = middle0[members].mean(), middle1[members].mean()
        arm0, arm1 = middle0[members] - centre0, middle1[members] - centre1
        growth = exponent[members]
        turned = arm0 * np.exp(times[:, None] * growth) + (arm1 - arm0 * np.exp(growth)) * times[:, None]
        moved[:, members] = centre0 + (centre1 - centre0) * times[:, None] + turned
    return moved


def arc_segments(
    start: np.ndarray,
    end: np.ndarray,
    fractions: Sequence[float],
    canvas: tuple[int, int],
    pivot: str = "fixed point",
) -> np.ndarray:
    """Move segments along arcs.

    Segments of one rigid group (:func:`.rigid_groups.find_groups`) follow the group's similarity, corrected so that
    each ends exactly where it was matched. A segment without group turns the shorter way, at most a quarter turn.

    Args:
        start, end: float32 (M, 2, 2), pixel (x, y); endpoint order does not matter.
        fractions: t per frame, 0 = first key frame, 1 = last; values outside overshoot along the same arcs. A first
            frame at 0 and a last one at 1 are the key frames verbatim.
        canvas: (height, width) of the key frames.
        pivot: one of :data:`PIVOTS`; "fixed point": a group swings about the point its similarity leaves in place,
            like a door or an arm; "own centre": its centre moves straight while it turns, like a wheel.

    Returns:
        float32 (F, M, 2, 2).
    """
    times = np.asarray(fractions, np.float64)
    points0, points1 = (np.asarray(side, np.float64) @ (1, 1j) for side in (start, end))
    middle0, middle1 = points0.mean(axis=1), points1.mean(axis=1)
    span0, span1 = points0[:, 1] - points0[:, 0], points1[:, 1] - points1[:, 0]
    groups = find_groups(start, end, float(np.hypot(*canvas)))
    grouped = groups.label >= 0
    group = np.log(np.where(grouped, groups.factor, 1))
    group = group + np.where(group.imag < HALF_TURN_SPAN, 2j * np.pi, 0)
    alone = np.angle(np.where((span0 != 0) & (span1 != 0), span1 * span0.conj(), 1))
    alone = (alone + np.pi / 2) % np.pi - np.pi / 2
    exponent = np.where(grouped, group, 1j * alone)
    if pivot == "own centre":
        middle = _rolling(middle0, middle1, exponent, groups.label, times)
    else:
        middle = middle0 + (middle1 - middle0) * arc_progress(exponent, times)
    half = _spans(span0, span1, exponent.imag, times) / 2
    ends = np.stack([middle - half, middle + half], axis=-1)
    moved = np.stack([ends.real, ends.imag], axis=-1).astype(np.float32)
    return keep_keyframes(moved, start, end, fractions)
