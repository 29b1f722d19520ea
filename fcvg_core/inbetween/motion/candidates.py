"""The rigid motions that parts of two key frames may follow: of the whole picture, and of groups of lines and features.

Candidates only propose; :mod:`..finding.labelling` decides pixel by pixel. So a wrong one costs time, a missing one a
layer.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from ...lines.weight_free.motion_hypotheses import feature_matches, features, global_motions
from ...tweening.rigid_groups import find_groups, fit_similarity
from .motions import RigidMotion, similarity_matrix, transformed

MAX_TURN = np.radians(100)  # of a group; larger ones come from chance more often than from motion
MAX_ZOOM = 4.0
MIN_MEMBERS = 4
MOST = 14  # candidates, the best supported
GROUP_TOLERANCE = 0.006  # of the diagonal
FIT_TOLERANCE = 0.003  # of the diagonal, for the members a group's motion is fitted to; at least 1.5 px
SAME = 0.5  # px: motions closer than this on their own points are one
SHORTEST_PERIOD = 8.0  # px
LIKE = 0.06  # distance of RootSIFT descriptors (1 - cosine) below which two features of one picture look the same
FEWEST_REPEATS = 8
ROUND_ABOUT = 4  # periods a motion may be off


def rigid_candidates(
    first: np.ndarray,
    last: np.ndarray,
    lines: tuple[np.ndarray, np.ndarray] | None = None,
    things: Sequence[np.ndarray] = (),
) -> list[RigidMotion]:
    """Motions proposed by features and matched lines, the dominant one first; standing still is always among them.

    Args:
        first, last: uint8 grey pictures (H, W).
        lines: (M, 2, 2) each, matched segments in px counted from pixel centres.
        things: bool (H, W) each, parts of the first picture that move as a whole.
    """
    size, diagonal = first.shape, float(np.hypot(*first.shape))
    matched = feature_matches(first, last)
    found = [_with_supporters(matrix, matched, size) for matrix in global_motions(first, last)]
    found += _groups(matched, lines, diagonal, size)
    if found:
        found += _other_repeats(found[1:], found[0], repeats(last))
    kept: list[RigidMotion] = []
    for motion in found:
        if not any(_same(motion, other) for other in kept):
            kept.append(motion)
    kept = kept[:MOST]
    still = _with_supporters(np.eye(3), matched, size)
    if not any(np.abs(motion.matrix - still.matrix).max() < 1e-3 for motion in kept):
        kept.append(still)
    return kept + _of_things(things, matched, size)


def _of_things(things: Sequence[np.ndarray], features, size: tuple[int, int]) -> list[RigidMotion]:
    """The similarity that the features of each thing agree on; none for things without features."""
    found = []
    for thing in things:
        column, row = np.round(features[0]).astype(int).clip(0, (size[1] - 1, size[0] - 1)).reshape(-1, 2).T
        own = thing[row, column]
        if own.sum() < MIN_MEMBERS:
            continue
        source, target = (np.asarray(side, np.float64)[own] for side in features)
        matrix, near = cv2.estimateAffinePartial2D(source, target, ransacReprojThreshold=2.0)
        if matrix is not None and near.sum() >= MIN_MEMBERS:
            agreed = near.ravel() > 0
            found.append(RigidMotion(np.vstack([matrix, [0, 0, 1]]), (source[agreed], target[agreed]), size))
    return found


def _with_supporters(matrix: np.ndarray, features: tuple[np.ndarray, np.ndarray], size: tuple[int, int]) -> RigidMotion:
    source, target = (np.asarray(side, np.float64) for side in features)
    near = np.linalg.norm(transformed(matrix, source) - target, axis=-1) < 3
    return RigidMotion(matrix, (source[near], target[near]), size)


def _neighbour_segments(places0: np.ndarray, places1: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Segments (N, 2, 2) from each matched feature to its two nearest: features made fit for grouping as lines are."""
    if len(places0) < MIN_MEMBERS:
        return np.zeros((0, 2, 2)), np.zeros((0, 2, 2))
    z = places0 @ (1, 1j)
    distance = np.abs(z[:, None] - z[None])
    np.fill_diagonal(distance, np.inf)
    first = np.repeat(np.arange(len(z)), 2)
    second = np.argsort(distance, axis=1, kind="stable")[:, :2].ravel()
    apart = distance[first, second] > 2
    pairs = np.unique(np.sort(np.stack([first[apart], second[apart]], axis=1), axis=1), axis=0)
    return places0[pairs].astype(np.float64), places1[pairs].astype(np.float64)


def _groups(features, lines, diagonal: float, size: tuple[int, int]) -> list[RigidMotion]:
    """Similarities that several lines or features share, the largest group first."""
    start, end = _neighbour_segments(*features)
    if lines is not None:
        start, end = np.concatenate([lines[0], start]), np.concatenate([lines[1], end])
    groups = find_groups(start, end, diagonal, GROUP_TOLERANCE)
    found = []
    for number in range(groups.label.max(initial=-1) + 1):
        own = groups.label == number
        if own.sum() < MIN_MEMBERS:
            continue
        middles = [side[own].mean(axis=1) @ (1, 1j) for side in (start, end)]
        factor, shift = fit_similarity(*middles)
        for _ in range(3):
            near = np.abs(factor * middles[0] + shift - middles[1]) < max(1.5, FIT_TOLERANCE * diagonal)
            if near.sum() < MIN_MEMBERS:
                break
            factor, shift = fit_similarity(*(side[near] for side in middles))
        if not np.isfinite(factor) or abs(np.angle(factor)) > MAX_TURN or not 1 / MAX_ZOOM < abs(factor) < MAX_ZOOM:
            continue
        points = start[own].reshape(-1, 2), end[own].reshape(-1, 2)
        found.append(RigidMotion(similarity_matrix(factor, shift), points, size))
    return found


def repeats(picture: np.ndarray) -> list[complex]:
    """Shifts x + iy, in px, after which a uint8 grey picture looks the same in places: fence posts, windows."""
    places, described = features(picture)
    if len(places) < FEWEST_REPEATS:
        return []
    first, second = np.nonzero(1 - described @ described.T < LIKE)
    z = places.astype(np.float64) @ (1, 1j)
    shift = z[second] - z[first]
    ahead = (shift.real > 1) | ((np.abs(shift.real) <= 1) & (shift.imag > 0))  # one of each pair of opposites
    shift = shift[ahead & (np.abs(shift) > SHORTEST_PERIOD)]
    found: list[complex] = []
    while len(shift) >= FEWEST_REPEATS and len(found) < 3:
        tried = shift[:: max(1, len(shift) // 300)]
        near = np.abs(shift[:, None] - tried[None]) < 1.5
        best = near.sum(axis=0).argmax()
        if near[:, best].sum() < FEWEST_REPEATS:
            break
        period = shift[near[:, best]].mean()
        found.append(complex(period))
        shift = shift[np.abs(shift - period) > 3]
    return found


def _other_repeats(motions: list[RigidMotion], dominant: RigidMotion, periods: list[complex]) -> list[RigidMotion]:
    """The same motions, as near to the dominant one as periods allow: what repeats also matches itself farther away."""
    steps = [number * period for period in periods for number in range(-ROUND_ABOUT, ROUND_ABOUT + 1)]
    moved = []
    for motion in motions if steps else ():
        centre = motion.points[0].mean(axis=0)
        off = (transformed(dominant.matrix, centre) - transformed(motion.matrix, centre)) @ (1, 1j)
        step = min(steps, key=lambda s: abs(s - off))
        if step != 0:
            end = motion.points[1] + [step.real, step.imag]
            moved.append(RigidMotion(similarity_matrix(1, step) @ motion.matrix, (motion.points[0], end), motion.size))
    return moved


def _same(motion: RigidMotion, other: RigidMotion) -> bool:
    if not len(motion.points[0]):
        return bool(np.abs(motion.matrix - other.matrix).max() < 1e-3)
    moved = [transformed(m.matrix, motion.points[0]) for m in (motion, other)]
    return float(np.linalg.norm(moved[0] - moved[1], axis=-1).mean()) < SAME
