"""Linear motion of matched line segments between two key frames (docs/methods/conditions.md, Straight motion)."""

from collections.abc import Sequence

import numpy as np


def pair_endpoints(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """``end`` with its endpoints in the order in which ``start``'s endpoints move to them.

    Straight where ``|a0-b0| + |a1-b1| < |a0-b1| + |a1-b0|`` (strictly), crossed elsewhere.

    Args:
        start, end: float32 (M, 2, 2), pixel (x, y) of both endpoints.
    """
    crossed = end[:, ::-1]
    distance = [np.linalg.norm(start - candidate, axis=-1).sum(axis=-1) for candidate in (end, crossed)]
    return np.where((distance[0] < distance[1])[:, None, None], end, crossed)


def keep_keyframes(moved: np.ndarray, start: np.ndarray, end: np.ndarray, fractions: Sequence[float]) -> np.ndarray:
    """Put the key frames' own segments, endpoint order included, at a first fraction of 0 and a last one of 1.

    Args:
        moved: (F, M, 2, 2), written to.
    """
    if len(fractions) and fractions[0] == 0:
        moved[0] = start
    if len(fractions) and fractions[-1] == 1:
        moved[-1] = end
    return moved


def interpolate_segments(start: np.ndarray, end: np.ndarray, fractions: Sequence[float]) -> np.ndarray:
    """Every endpoint moves on a straight line: ``a + (b - a) t`` in float32, endpoints paired first.

    Args:
        start, end: float32 (M, 2, 2), pixel (x, y).
        fractions: t per frame, 0 = first key frame, 1 = last; values outside overshoot. A first frame at 0 and a last
            one at 1 are the key frames verbatim.

    Returns:
        float32 (F, M, 2, 2).
    """
    steps = np.asarray(fractions, np.float32)[:, None, None, None]
    moved = start + (pair_endpoints(start, end) - start) * steps
    return keep_keyframes(moved, start, end, fractions)
