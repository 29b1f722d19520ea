"""Plain optical flow in place of motions that explain the key frames no better, and motions without flow on top.

What deforms follows no rigid motion; pieced together from several it is a little more alike everywhere, by chance, and
comes apart at the seams. One flow for a whole piece is the simpler explanation. Where motions alone explain as much as
with flow on top, nothing deforms. Smooth surfaces are found anywhere, so only what has structure is asked
(docs/methods/inbetweens.md, Simpler explanations).
"""

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from ..motion.motions import Sides, both
from ..motion.skinning import FigureMotion
from .hypotheses import Hypothesis, chosen_fields, without_flow

FLOW = 0  # place of free flow among the displacements
RIM = 5  # px around a piece that count with it
STIFF = 0.0025  # mean cost that flow on top of motions takes off up to which nothing deforms
DEFORMING = 0.006  # from which much does
AS_GOOD = 0.002  # mean cost by which one flow may be worse than motions alone where much deforms
WHOLE = 0.012  # mean cost by which several motions must else be better than one flow for everything
LIKELY = 0.4  # mean cost up to which one flow may stand for everything
STRUCTURE = 6.0  # grey levels over 2 px, gradient that counts in full
AROUND = 2.0  # px, sigma of the surroundings whose gradients count


def structure(edges: np.ndarray) -> np.ndarray:
    """How much each pixel's cost tells, float32 (h, w) 0..1, by a key frame's :func:`.likeness.gradient` (h, w, 2)."""
    strength = np.sqrt(cv2.GaussianBlur(np.square(edges).sum(axis=-1), (0, 0), AROUND))
    return np.minimum(strength / STRUCTURE, 1)


def plain_where_as_good(
    found: Sequence[Hypothesis],
    chosen: Sides,
    fields: Sides,
    things: Sequence[np.ndarray],
    grid: np.ndarray,
    cost: Callable[[int, Sides], np.ndarray],
    weights: Sides,
) -> Sides:
    """``chosen`` with motions alone if nothing deforms, else free flow for everything, or for connected pieces of one
    motion, where it costs no more.

    Posed figures and masked things keep their motions.

    Args:
        found, chosen: as in :mod:`.labelling`.
        fields: the displacements chosen, (h, w, 2) for each side.
        things: from :func:`.things.parted`.
        grid: :func:`..motion.motions.pixel_grid`.
        cost: 0..1 (h, w) of key frame ``side`` with the displacements of both sides.
        weights: :func:`structure` of both key frames; all mean costs are weighted by it.
    """
    weights = both(lambda side: weights[side] + np.float32(1e-6))  # a picture without structure
    total = sum(float(side.sum()) for side in weights)
    flow = both(lambda side: found[FLOW].field(side, grid))
    simpler = without_flow(found).astype(chosen[0].dtype)
    alone = simpler[chosen[0]], simpler[chosen[1]]
    stiff = chosen_fields(found, alone, grid)

    def costs(way: Sides) -> Sides:
        return both(lambda side: cost(side, way).astype(np.float32))

    def mean(costs: Sides) -> float:
        return sum(float((costs[side] * weights[side]).sum()) for side in (0, 1)) / total

    flowing, moving, led = costs(flow), costs(fields), costs(stiff)
    by_flow, as_chosen, by_motions = mean(flowing), mean(moving), mean(led)
    if by_motions - as_chosen < STIFF:
        return alone
    worse = both(lambda side: flowing[side] - moving[side])
    pieced = by_motions - as_chosen > DEFORMING and by_flow < by_motions + AS_GOOD
    everywhere = (pieced or by_flow - as_chosen < WHOLE) and by_flow < LIKELY
    numbers = np.array([hypothesis.number for hypothesis in found])
    held = _held(found, chosen, things)

    def plainer(side: int) -> np.ndarray:
        rimmed = cv2.blur(worse[side], (RIM, RIM))
        label = numbers[chosen[side]]
        plain = np.zeros(label.shape, bool)
        for number in set(np.unique(label).tolist()) - held:
            count, part = cv2.connectedComponents((label == number).astype(np.uint8), connectivity=4)
            as_good = np.bincount(part.ravel(), rimmed.ravel(), count) < 0
            as_good[0] = False
            plain |= (label == number) if everywhere else as_good[part]
        return np.where(plain, FLOW, chosen[side]).astype(chosen[side].dtype)

    return both(plainer)


def all_flowing(found: Sequence[Hypothesis], chosen: Sides, things: Sequence[np.ndarray]) -> Sides:
    """``chosen`` with free flow for everything but posed figures and masked things."""
    numbers = np.array([hypothesis.number for hypothesis in found])
    kept = np.isin(numbers, list(_held(found, chosen, things)))
    return both(lambda side: np.where(kept[chosen[side]], chosen[side], FLOW).astype(chosen[side].dtype))


def _held(found: Sequence[Hypothesis], chosen: Sides, things: Sequence[np.ndarray]) -> set[int]:
    """Numbers of the motions that are kept: those of posed figures and of masked things."""
    numbers = np.array([hypothesis.number for hypothesis in found])
    held = {hypothesis.number for hypothesis in found if isinstance(hypothesis.motion, FigureMotion)}
    for thing in things:
        held |= set(numbers[chosen[0][thing]].tolist())
    return held
