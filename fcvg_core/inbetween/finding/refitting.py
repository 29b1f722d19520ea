"""Motions fitted again to the optical flow of all pixels that follow them: finer than from features."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import cv2
import numpy as np

from ...tweening.rigid_groups import fit_similarity
from ..motion.motions import Matrix, Motion, RigidMotion, Sides, both, lengths, similarity_matrix, transformed
from .hypotheses import Hypothesis

FEWEST = 400  # pixels
AGREEING = 0.5  # px, disagreement of both directions up to which flow is believed
NEAR = 1.5  # px off the motion up to which a pixel has a say
FITTING = 0.5  # px off a fit up to which it has one in the next
FITS = 4
MOST = 20000  # pixels that have one
BETTER = 0.99  # share of the difference that must remain for a fit to be taken


def refitted(
    found: Sequence[Hypothesis],
    chosen: Sides,
    motions: Sequence[Motion],
    grid: np.ndarray,
    difference: Callable[[int, np.ndarray], np.ndarray],
) -> tuple[list[Hypothesis], list[Motion]]:
    """The displacements and motions; rigid motions that enough pixels follow are fitted to them where that helps.

    Args:
        found: from :func:`.hypotheses.hypotheses`.
        chosen: number in ``found`` of each pixel, (h, w) for each side.
        motions: that the numbers in ``found`` mean.
        grid: :func:`..motion.motions.pixel_grid`.
        difference: how far the pixels (h, w) of key frame ``side`` differ from where a displacement (h, w, 2) leads.
    """
    better = list(motions)
    for place, hypothesis in enumerate(found):
        motion, number = hypothesis.motion, hypothesis.number
        if not isinstance(motion, RigidMotion) or hypothesis.rest is None or hypothesis.error is None:
            continue
        alone = next((n for n, h in enumerate(found) if h.number == number and h.rest is None), place)
        own = np.isin(chosen[0], (place, alone)), np.isin(chosen[1], (place, alone))
        points = _followers(motion, hypothesis.rest, hypothesis.error, own, grid)
        if len(points[0]) < FEWEST:
            continue
        fitted = replace(motion, matrix=_fit(motion.matrix, *points))
        before, after = (
            sum(float(difference(side, m.displacement(side, grid))[own[side]].sum()) for side in (0, 1))
            for m in (motion, fitted)
        )
        if after < BETTER * before:
            better[number] = fitted
    return [_with_motion(h, better, grid) for h in found], better


def _followers(motion: RigidMotion, rest: Sides, error: Sides, own: Sides, grid: np.ndarray) -> Sides:
    """Points (N, 2) of the first key frame and where flow takes them, from the pixels of both sides."""
    ends: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for side in (0, 1):
        off = rest[side].astype(np.float32)
        sound = np.flatnonzero(own[side] & (error[side] < AGREEING) & (lengths(off) < NEAR))
        sound = sound[:: max(1, len(sound) // MOST)]
        start = grid.reshape(-1, 2)[sound].astype(np.float64)
        ends[side].append(start)
        ends[1 - side].append(start + motion.displacement(side, start) + off.reshape(-1, 2)[sound])
    return np.concatenate(ends[0]), np.concatenate(ends[1])


def _fit(matrix: Matrix, source: np.ndarray, target: np.ndarray) -> Matrix:
    """The motion of the same kind, similarity or homography, that takes most source points nearest to target points."""
    alike = similarity_matrix(complex(*matrix[:2, 0]), complex(*matrix[:2, 2]))
    kind = _fit_similarity if np.allclose(matrix, alike, rtol=0, atol=1e-9) else _fit_homography
    fitted = kind(source, target)
    for _ in range(FITS):
        off = lengths(transformed(fitted, source) - target)
        near = off <= max(FITTING, float(np.median(off)))
        fitted = kind(source[near], target[near])
    return fitted


def _fit_similarity(source: np.ndarray, target: np.ndarray) -> Matrix:
    return similarity_matrix(*fit_similarity(source @ (1, 1j), target @ (1, 1j)))


def _fit_homography(source: np.ndarray, target: np.ndarray) -> Matrix:
    return cv2.findHomography(source, target, 0)[0]


def _with_motion(hypothesis: Hypothesis, motions: Sequence[Motion], grid: np.ndarray) -> Hypothesis:
    """The same with the motion of that number in ``motions``; flow on top leads to the same places as before."""
    if hypothesis.motion is None:
        return hypothesis
    motion = motions[hypothesis.number]
    if motion is hypothesis.motion:
        return hypothesis
    if hypothesis.rest is None:
        return replace(hypothesis, motion=motion)
    rest = both(lambda side: (hypothesis.field(side, grid) - motion.displacement(side, grid)).astype(np.float16))
    return replace(hypothesis, motion=motion, rest=rest)
