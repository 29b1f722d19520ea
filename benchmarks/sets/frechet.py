"""Frechet distance between two sets of features, and its confidence interval by resampling clips."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from betwixt.common.errors import BetwixtError

LEVEL = 0.95


class Distance(NamedTuple):
    """A distance and the interval that holds it with probability :data:`LEVEL`; None without draws."""

    value: float
    low: float | None
    high: float | None


def frechet_distance(
    first: np.ndarray,
    second: np.ndarray,
    first_weights: np.ndarray | None = None,
    second_weights: np.ndarray | None = None,
) -> float:
    """|m1 - m2|^2 + Tr(S1 + S2 - 2 (S1 S2)^(1/2)) of the Gaussians through two sets of features.

    With centred rows A and B (S1 = A'A, S2 = B'B) the last trace is the sum of the singular values of A B', so that no
    root of a matrix is taken, which is inexact where there are fewer rows than features.

    Args:
        first, second: [n, D] and [m, D], at least two rows each.
        first_weights, second_weights: how often each row counts; default once.
    """
    mean_one, one = _gaussian(first, first_weights)
    mean_two, two = _gaussian(second, second_weights)
    shared = np.linalg.svd(one @ two.T, compute_uv=False).sum()
    distance = np.sum((mean_one - mean_two) ** 2) + np.sum(one**2) + np.sum(two**2) - 2 * shared
    return max(0.0, float(distance))


def _gaussian(features: np.ndarray, weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Mean, and rows A with A'A = the unbiased covariance."""
    features = np.asarray(features, np.float64)
    weights = np.ones(len(features)) if weights is None else np.asarray(weights, np.float64)
    features, weights = features[weights > 0], weights[weights > 0]
    count = weights.sum()
    mean = weights @ features / count
    rows = np.sqrt(weights / (count - 1))[:, None] * (features - mean)
    return mean, rows if len(rows) <= rows.shape[1] else np.linalg.qr(rows, mode="r")


def distance_of_sets(
    first: Sequence[np.ndarray], second: Sequence[np.ndarray], replicates: int, seed: int = 0, paired: bool = False
) -> Distance:
    """Frechet distance of two sets of clips with its bootstrap interval.

    Whole clips are drawn with replacement in both sets, since the frames of a clip resemble each other. The interval is
    the basic one, reflected at the value: a distance grows when clips are drawn twice as it does when there are few
    of them, and reflecting takes this bias out. The interval is therefore of the distance of the populations, and can
    lie below the value where clips are few.

    Args:
        first, second: features of each clip, [rows, D].
        replicates: number of draws; 0 gives no interval.
        paired: clip i of one set was made from clip i of the other, so that the two are drawn together.

    Raises:
        BetwixtError: fewer than two clips in a set, or features that are not finite.
    """
    for name, features in (("first", first), ("second", second)):
        if len(features) < 2:
            raise BetwixtError(
                f"The {name} set has {len(features)} clip.",
                "A distance of sets needs at least two clips in each, and is worth little below a hundred.",
                "Add clips to the folder.",
            )
    rows, counts = [np.concatenate(features) for features in (first, second)], [_rows(first), _rows(second)]
    if not all(np.isfinite(features).all() for features in rows):
        raise BetwixtError("Features are NaN or infinite.", "All must be finite.", "Check the file of the network.")
    value, random = frechet_distance(*rows), np.random.default_rng(seed)
    drawn = []
    for _ in range(replicates):
        draws = [random.multinomial(len(n), np.full(len(n), 1 / len(n))) for n in counts[: 1 if paired else 2]]
        weights = [np.repeat(draw, n) for draw, n in zip(draws * 2 if paired else draws, counts, strict=True)]
        if all(np.count_nonzero(weight) > 1 and weight.sum() > 1 for weight in weights):
            drawn.append(frechet_distance(*rows, *weights))
    if not drawn:
        return Distance(value, None, None)
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Distance(value, max(0.0, float(2 * value - high)), max(0.0, float(2 * value - low)))


def _rows(features: Sequence[np.ndarray]) -> list[int]:
    return [len(rows) for rows in features]
