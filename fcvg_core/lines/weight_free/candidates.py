"""Which segment of the last frame lies where motion takes a segment of the first."""

import numpy as np

from ..geometry import cross, directions, dot, lengths, line_coordinates, normals, points_along
from .motion_hypotheses import MotionHypothesis

SIDE = 4.0  # pixels beside a segment where its motion is read too: a contour moves with one of its sides
SHARES = np.linspace(0.05, 0.95, 9).astype(np.float32)
PERPENDICULAR, ANGLE = 2.5, 6.0  # pixels, degrees: deviation that halves the agreement
MAX_PERPENDICULAR, MAX_ANGLE = 15.0, 25.0
BEYOND, LEAST_BEYOND = 0.25, 8.0  # a detected piece is relied on this share of its length, or pixels, past its ends


def predict(hypothesis: MotionHypothesis, segments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where segments (N, 2, 2) go under a hypothesis: by the motion on them, and on either side.

    Returns:
        predicted (3, N, 2, 2) and trust (3, N), 0..1.
    """
    points, beside = points_along(segments, SHARES), normals(segments)[:, None]
    ends, trust = _linear_motion(*hypothesis.at(np.stack([points + side * beside for side in (-SIDE, 0, SIDE)])))
    return segments + ends, trust


def _linear_motion(moved: np.ndarray, trust: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Displacements of both endpoints (..., 2, 2), from those (..., T, 2) along the segment, and trust (...) in them.

    A robust straight-line fit (iteratively reweighted, Cauchy weights of 1 px).
    """
    basis = np.stack([1 - SHARES, SHARES])  # (2, T)
    squares = (basis[:, None] * basis).reshape(4, -1).T  # (T, 4)
    weight = trust + 1e-3
    for _ in range(3):
        normal = (weight @ squares).reshape(*weight.shape[:-1], 2, 2) + 1e-4 * np.eye(2)
        ends = np.linalg.solve(normal, (weight[..., None, :] * basis) @ moved)
        left = moved - basis.T @ ends
        residual = dot(left, left)
        weight = (trust + 1e-3) / (1 + residual)
    return ends.astype(np.float32), trust.mean(axis=-1) / (1 + (np.sqrt(residual).mean(axis=-1) / 4) ** 2)


def agreement(
    predicted: np.ndarray, trust: np.ndarray, segments: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How well predicted segments (N, 2, 2) with trust (N,) agree with detected ones (M, 2, 2).

    Directions count: a segment turned end for end does not agree.

    Returns:
        numbers (Q,) of the predicted and of the detected segments that agree at all, and how well, float32 (Q,), 0..1.
    """
    along, towards = directions(predicted), directions(segments)
    first, second = _close(predicted, segments)
    at, on, towards = predicted[first], segments[second], towards[second]
    offsets = at[:, 0] - on[:, 0], at[:, 1] - on[:, 0]
    perpendicular = np.sqrt((cross(towards, offsets[0]) ** 2 + cross(towards, offsets[1]) ** 2) / 2)
    angle = np.degrees(np.arctan2(np.abs(cross(along[first], towards)), dot(along[first], towards)))
    begin, finish = dot(towards, offsets[0]), dot(towards, offsets[1])
    own, theirs = lengths(at), lengths(on)
    overlap = np.minimum(np.maximum(begin, finish), theirs) - np.maximum(np.minimum(begin, finish), 0)
    share = np.clip(overlap / np.maximum(np.minimum(own, theirs), 1e-3), 0, 1)
    fit = np.sqrt(share) / (1 + (perpendicular / PERPENDICULAR) ** 2) / (1 + (angle / ANGLE) ** 2)
    near = (angle < MAX_ANGLE) & (perpendicular < MAX_PERPENDICULAR)
    return first[near], second[near], (fit * (0.3 + 0.7 * trust[first]))[near].astype(np.float32)


def _close(predicted: np.ndarray, segments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers (Q,) of the pairs of segments (N, 2, 2) and (M, 2, 2) that may agree, and of few others: all pairs are
    looked at by products of matrices alone."""
    along, towards, margin = directions(predicted), directions(segments), 1.01
    turned = np.stack([-towards[:, 1], towards[:, 0]])
    beside = np.einsum("cm,mc->m", turned, segments[:, 0])
    across = predicted[:, 0] @ turned - beside
    across *= across
    other = predicted[:, 1] @ turned - beside
    across += np.square(other, out=other)
    near = across < 2 * (margin * MAX_PERPENDICULAR) ** 2
    near &= along @ towards.T > np.cos(np.radians(margin * MAX_ANGLE))
    first, second = np.nonzero(near)
    return first, second


def transfer(start: np.ndarray, predicted: np.ndarray, segments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Corresponding parts of start segments and of the lines through the segments they are matched with.

    Detectors break lines into other pieces in each frame, so detected endpoints do not correspond. The predicted
    segment is projected onto the matched line instead, as far as the piece found there can be relied on.

    Args:
        start, predicted, segments: (N, 2, 2), in the same order.

    Returns:
        start and end parts (N, 2, 2).
    """
    place = line_coordinates(predicted.transpose(1, 0, 2), segments)[0].T  # (N, 2)
    length = lengths(segments)
    beyond = np.maximum(BEYOND * length, LEAST_BEYOND)
    span = place[:, 1] - place[:, 0]
    span = np.where(np.abs(span) < 1e-3, 1e-3, span)
    limits = (np.stack([-beyond, length + beyond], axis=1) - place[:, :1]) / span[:, None]
    low, high = np.maximum(limits.min(axis=1), 0), np.minimum(limits.max(axis=1), 1)
    empty = high <= low
    shares = np.stack([np.where(empty, 0, low), np.where(empty, 1, high)], axis=1)[..., None]
    along = directions(segments)[:, None]
    onto = segments[:, :1] + (place[:, :1] + shares[..., 0] * span[:, None])[..., None] * along
    return start[:, :1] + shares * (start[:, 1:] - start[:, :1]), onto


class Candidates:
    """For each pair of a start and an end segment, the best agreement so far and the prediction it rests on."""

    def __init__(self, start: np.ndarray, end: np.ndarray):
        self.start, self.end = start, end
        self.agreement = np.zeros((len(start), len(end)), np.float32)
        self._predictions: list[np.ndarray] = []
        self._best = np.zeros(self.agreement.shape, np.int16)

    def add(self, predicted: np.ndarray, trust: np.ndarray) -> None:
        """Take predictions (P, N, 2, 2) with trust (P, N) into account."""
        count = len(self.start)
        row, second, value = agreement(predicted.reshape(-1, 2, 2), trust.ravel(), self.end)
        turns = np.searchsorted(row, count * np.arange(len(predicted) + 1))  # rows ascend
        for number, one in enumerate(predicted):
            turn = slice(turns[number], turns[number + 1])
            at = row[turn] - number * count, second[turn]
            better = value[turn] > self.agreement[at]
            at = at[0][better], at[1][better]
            self._best[at] = len(self._predictions)
            self.agreement[at] = value[turn][better]
            self._predictions.append(one)

    def best(self, count: int, least: float) -> tuple[np.ndarray, np.ndarray]:
        """Numbers (Q,) of start and end segments: up to ``count`` partners of each start segment, above ``least``."""
        count = min(count, len(self.end))
        partner = np.argpartition(-self.agreement, count - 1, axis=1)[:, :count]
        first = np.repeat(np.arange(len(self.start)), count)
        keep = self.agreement[first, partner.ravel()] > least
        return first[keep], partner.ravel()[keep]

    def predicted(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """The predictions (Q, 2, 2) on which pairs rest."""
        return np.stack(self._predictions)[self._best[first, second], first]
