"""Which matched segments move together: groups that one similarity (turn, zoom, shift) carries from key to key.

A segment alone does not tell by how much it turns: its direction is known only up to half a turn, and the ends of a
detected segment slide along it. Lines of one rigid thing do tell together. Similarities are found one after the other
by consensus of midpoints (sequential RANSAC with local refinement, Chum et al. 2003, here over a fixed set of
candidates, so that results do not depend on chance).

Points are complex numbers x + iy in pixels; a similarity is ``w = factor * z + shift``; y points down, so a positive
angle turns clockwise on the screen.
"""

from dataclasses import dataclass

import numpy as np

TOLERANCE = 0.01  # of the picture's diagonal: how far a midpoint may be off its group's motion
ANGLE_TOLERANCE = np.radians(20)  # between a segment's direction and its group's turn
MIN_MEMBERS = 3
MAX_ZOOM = 4.0
MAX_SEEDS = 300  # lines that propose candidates; more are sampled evenly
PARTNERS = (1, 2, 4, 8, 16, 32)  # ranks of the neighbours a line proposes motions with: near and far


def _candidates(middle0: np.ndarray, middle1: np.ndarray, span0: np.ndarray, span1: np.ndarray):
    """Similarities proposed by pairs of midpoints and, in both directions, by single segments: two complex (C,)."""
    count = len(middle0)
    seeds = np.unique(np.linspace(0, count - 1, min(count, MAX_SEEDS)).astype(int))
    nearest = np.argsort(np.abs(middle0[seeds, None] - middle0[None]), axis=1, kind="stable")
    ranks = [rank for rank in PARTNERS if rank < count]
    first = np.repeat(seeds, len(ranks))
    second = nearest[:, ranks].ravel()
    base = middle0[second] - middle0[first]
    apart = np.abs(base) > 1
    first, second, base = first[apart], second[apart], base[apart]
    pairs = (middle1[second] - middle1[first]) / base
    own = span1[seeds] / span0[seeds]
    own = own / np.abs(own)
    factor = np.concatenate([pairs, own, -own])
    anchor = np.concatenate([first, seeds, seeds])
    plausible = (np.abs(factor) < MAX_ZOOM) & (np.abs(factor) > 1 / MAX_ZOOM)
    factor, anchor = factor[plausible], anchor[plausible]
    return factor, middle1[anchor] - factor * middle0[anchor]


def _members(factor, shift, middle0, middle1, span0, span1, tolerance) -> np.ndarray:
    """Which segments follow the similarities: boolean (..., M) for ``factor`` and ``shift`` of shape (...)."""
    factor, shift = np.asarray(factor)[..., None], np.asarray(shift)[..., None]
    near = np.abs(factor * middle0 + shift - middle1) <= tolerance
    turned = factor * span0
    return near & (np.abs((turned.conj() * span1).imag) <= np.sin(ANGLE_TOLERANCE) * np.abs(turned) * np.abs(span1))


def fit_similarity(middle0: np.ndarray, middle1: np.ndarray) -> tuple[complex, complex]:
    """Least-squares similarity of points (Umeyama 1991, in complex form)."""
    centred0, centred1 = middle0 - middle0.mean(), middle1 - middle1.mean()
    spread = np.vdot(centred0, centred0).real
    factor = np.vdot(centred0, centred1) / spread if spread > 1 else complex("nan")
    return factor, middle1.mean() - factor * middle0.mean()


@dataclass(frozen=True)
class RigidGroups:
    """Which group each of M segments belongs to, and how the groups move.

    Attributes:
        label: int (M,), number of the group, the largest one 0; -1 = none.
        factor: complex128 (M,), zoom * exp(i * turn) of the segment's group; NaN = none.
    """

    label: np.ndarray
    factor: np.ndarray


def find_groups(start: np.ndarray, end: np.ndarray, diagonal: float, tolerance: float = TOLERANCE) -> RigidGroups:
    """The rigid groups among matched segments.

    Args:
        start, end: (M, 2, 2), pixel (x, y) of both endpoints; their order does not matter.
        diagonal: of the picture in pixels.
        tolerance: how far a midpoint may be off its group's motion, as a share of the diagonal.
    """
    points = [np.asarray(side, np.float64) @ (1, 1j) for side in (start, end)]
    middles = [side.mean(axis=1) for side in points]
    spans = [side[:, 1] - side[:, 0] for side in points]
    spans = [np.where(np.abs(span) > 1e-6, span, 1e-6) for span in spans]  # a segment of no length has no direction
    groups = RigidGroups(np.full(len(start), -1), np.full(len(start), complex("nan")))
    if len(start) < MIN_MEMBERS:
        return groups
    tolerance *= diagonal
    geometry = middles[0], middles[1], spans[0], spans[1]
    factors, shifts = _candidates(*geometry)
    table = _members(factors, shifts, *geometry, tolerance)
    free = np.ones(len(start), bool)
    while len(factors):
        support = table @ free.astype(np.int32)
        best = int(support.argmax())
        if support[best] < MIN_MEMBERS:
            break
        members, factor = table[best] & free, factors[best]
        for _ in range(3):
            refined, shift = fit_similarity(middles[0][members], middles[1][members])
            grown = _members(refined, shift, *geometry, tolerance) & free
            if grown.sum() < members.sum():
                break
            members, factor = grown, refined
        groups.label[members] = groups.label.max() + 1
        groups.factor[members] = factor
        free &= ~members
    return groups
