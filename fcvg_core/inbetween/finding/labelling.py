"""Which displacement each pixel of two key frames follows: cheapest after filtering along the picture's edges.

First each key frame alone chooses; then both must agree: a choice counts as alike only where the pixel it leads to
comes back, elsewhere it costs as much as being hidden. Pixels that stay hidden take the motion of the seen pixels that
a flood along the picture's colours reaches them from.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from ....common.helpers import pair_of
from ..layers import FREE, MotionLayers
from ..motion.motions import Motion, RigidMotion, Sides, both, lengths, pixel_grid
from ..motion.skinning import FigureMotion
from .better_looking import better_looking
from .coarse import CoarseLayers
from .depth_order import depth_order
from .dissolving import dissolve_unknown
from .guided_filter import GuidedFilter
from .hiding import hidden_behind
from .hypotheses import Flow, Hypothesis, chosen_fields, hypotheses, without_flow
from .likeness import change_of_light, channel_mean, fetch, gradient, outside, sampling_difference, unlikeness
from .plain_flow import all_flowing, plain_where_as_good, structure
from .refitting import refitted
from .things import held_together

RADIUS, LAST_RADIUS = 7, 5  # px of the guided filter, and in the last round
ROUNDS = 2
# Costs, in units of "altogether unlike":
HIDDEN = 0.45  # led to a pixel that does not come back
LEAVING = 0.35  # led out of the picture
FAR_FROM_DOMINANT = 0.15  # at a tenth of the diagonal off the dominant motion: of repeats, the nearest wins
FAR_FROM_POINTS = 0.08  # at 15 % of the diagonal off the points the motion was seen on
FLOW = 0.02
DISAGREEING = 0.06  # optical flow of both directions apart by 2 px
UNLED = 0.03  # no motion behind it
RETURN = 1.5  # px within which a pixel counts as come back
FIGURE_RETURN = 6.0  # px, where a body bends
LOOSE = 0.01  # of the diagonal: farther off its motion, a pixel counts as free
AROUND = 9  # px that a pixel is looked at with, lest one counts as found again by chance
ALIKE = 0.7  # mean unlikeness around a pixel up to which it may count as found again
RARE = 0.0005  # share of pixels below which a displacement is given up after the first choice


@dataclass
class _Pair:
    """Two key frames made ready: uint8 RGB, float32 RGB, gradients, filters, light."""

    pictures: Sequence[np.ndarray]

    def __post_init__(self):
        self.grid = pixel_grid(*self.pictures[0].shape[:2])
        self.floats = [picture.astype(np.float32) for picture in self.pictures]
        self.edges = [gradient(picture) for picture in self.floats]
        self.diagonal = float(np.hypot(*self.pictures[0].shape[:2]))
        self.light: tuple[np.ndarray | None, np.ndarray | None] = (None, None)

    def find_light(self, fields: Sides) -> bool:
        """The change of light, given displacements that are right in most places; whether there is one."""
        self.light = pair_of(
            lambda side: change_of_light(self.floats[side], self.floats[1 - side], fields[side], self.grid)
        )
        return any(light is not None for light in self.light)

    def unlikeness(self, side: int, field: np.ndarray) -> np.ndarray:
        return unlikeness(
            self.floats[side], self.edges[side], self.floats[1 - side], field, self.grid, self.light[side]
        )

    def _fetched(self, side: int, field: np.ndarray) -> np.ndarray:
        fetched = fetch(self.floats[1 - side], field, self.grid)
        return fetched if self.light[side] is None else fetched * self.light[side]

    def difference(self, side: int, field: np.ndarray) -> np.ndarray:
        """float32 (h, w), mean colour difference in grey levels."""
        return channel_mean(cv2.absdiff(self.floats[side], self._fetched(side, field)))

    def cost(self, side: int, fields: Sides) -> np.ndarray:
        """0..1 (h, w): unlike where displacements lead, or hidden there."""
        field = fields[side]
        back = lengths(field + fetch(fields[1 - side], field, self.grid))
        agreed = np.clip(1.5 - back / RETURN, 0, 1)
        unlike = agreed * self.unlikeness(side, field) + (1 - agreed) * HIDDEN
        return np.where(outside(field, self.grid), LEAVING, unlike)

    def seen(self, side: int, fields: Sides) -> np.ndarray:
        """float32 (h, w), 0..1: found again, and alike there."""
        field = fields[side]
        fetched = self._fetched(side, field)
        unlike = np.minimum(sampling_difference(self.floats[side], fetched) / 30, 1)
        back = lengths(field + fetch(fields[1 - side], field, self.grid))
        seen = np.clip(2 - back / RETURN, 0, 1) * np.clip(2.5 - 3 * unlike, 0, 1) * ~outside(field, self.grid)
        seen *= cv2.blur(self.unlikeness(side, field), (AROUND, AROUND)) < ALIKE
        return cv2.blur(seen.astype(np.float32), (3, 3))


def _distance(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Of each pixel from the nearest of (N, 2) points, px; far where there is none in the picture."""
    empty = np.ones(size, np.uint8)
    x, y = np.round(points).astype(int).T
    inside = (x >= 0) & (y >= 0) & (x < size[1]) & (y < size[0])
    if not inside.any():
        return np.full(size, 1e4, np.float32)
    empty[y[inside], x[inside]] = 0
    return cv2.distanceTransform(empty, cv2.DIST_L2, 5)


class _Costs:
    """Of every displacement what does not depend on other choices, float16 (h, w), made when it is first asked for."""

    def __init__(self, pair: _Pair, dominant: Sides, coarse: CoarseLayers | None):
        self._pair, self._dominant, self._coarse = pair, dominant, coarse
        self._unlike: dict[tuple[Hypothesis, int], np.ndarray] = {}
        self._reluctant: dict[tuple[Hypothesis, int], np.ndarray] = {}
        self._away: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def unlikeness(self, side: int, hypothesis: Hypothesis, field: np.ndarray) -> np.ndarray:
        """Of ``field``, which is the hypothesis', from what lies there."""
        if (hypothesis, side) not in self._unlike:
            self.fresh_unlikeness(side, hypothesis, field)
        return self._unlike[hypothesis, side]

    def fresh_unlikeness(self, side: int, hypothesis: Hypothesis, field: np.ndarray) -> np.ndarray:
        """The same made anew, float32."""
        unlike = self._pair.unlikeness(side, field)
        self._unlike[hypothesis, side] = unlike.astype(np.float16)
        return unlike

    def reluctance(self, side: int, hypothesis: Hypothesis, field: np.ndarray) -> np.ndarray:
        """What it costs before anything is compared."""
        if (hypothesis, side) not in self._reluctant:
            self._reluctant[hypothesis, side] = self._made_reluctance(side, hypothesis, field)
        return self._reluctant[hypothesis, side]

    def _made_reluctance(self, side: int, hypothesis: Hypothesis, field: np.ndarray) -> np.ndarray:
        motion, diagonal = hypothesis.motion, self._pair.diagonal
        if isinstance(motion, FigureMotion):
            return motion.reluctance(side, self._pair.grid).astype(np.float16)  # people go where they want
        off = lengths(field - self._dominant[side]) / (0.1 * diagonal)
        cost = FAR_FROM_DOMINANT * np.minimum(off, 1)
        if self._coarse is not None:
            cost += self._coarse.cost(side, field)
        if hypothesis.error is not None:
            cost += FLOW + DISAGREEING * np.minimum(hypothesis.error[side].astype(np.float32) / 2, 1)
        if motion is None:
            cost += UNLED
        elif isinstance(motion, RigidMotion):
            cost += self._far_from_points(side, motion.points[side])
        return cost.astype(np.float16)

    def _far_from_points(self, side: int, points: np.ndarray) -> np.ndarray:
        if side not in self._away or self._away[side][0] is not points:  # a motion comes alone, then with flow on top
            away = _distance(points, self._pair.grid.shape[:2]) / (0.15 * self._pair.diagonal)
            self._away[side] = points, FAR_FROM_POINTS * np.minimum(away, 1)
        return self._away[side][1]

    def keep(self, found: Sequence[Hypothesis], unlikeness: bool = True) -> None:
        """Forget all but what belongs to these; all of ``unlikeness``, if it is not to be kept."""
        kept = set(found)
        self._unlike = {key: plane for key, plane in self._unlike.items() if unlikeness and key[0] in kept}
        self._reluctant = {key: plane for key, plane in self._reluctant.items() if key[0] in kept}


def _choose(filters: Sequence[GuidedFilter], count: int, cost: Callable[[int, int], np.ndarray]) -> Sides:
    """Number of the cheapest of ``count`` displacements, int16 (h, w), for each side; ``cost(side, number)`` (h, w)."""

    def chosen(side: int) -> np.ndarray:
        for number in range(count):
            filtered = filters[side](cost(side, number))
            if number == 0:
                least, best = filtered, np.zeros(filtered.shape, np.uint8)
                continue
            better = filtered < least
            least[better], best[better] = filtered[better], number
        return cv2.medianBlur(best, 5).astype(np.int16)

    return both(chosen)


def _flooded(picture: np.ndarray, chosen: np.ndarray, seen: np.ndarray, simpler: np.ndarray) -> np.ndarray:
    """``chosen`` where pixels are seen; hidden ones take what a watershed of the picture's colours brings them."""
    sure = cv2.erode((seen > 0.6).astype(np.uint8), np.ones((3, 3), np.uint8))
    if not sure.any():
        return chosen
    basins = cv2.watershed(picture, np.where(sure > 0, simpler[chosen] + 1, 0).astype(np.int32))
    shores = cv2.dilate(basins.clip(0).astype(np.uint8), np.ones((3, 3), np.uint8))
    basins = np.where(basins > 0, basins, shores)
    return np.where((seen < 0.5) & (basins > 0), basins - 1, chosen).astype(np.int16)


def find_layers(
    pictures: tuple[np.ndarray, np.ndarray],
    motions: Sequence[Motion],
    flow: Flow | None = None,
    things: Sequence[np.ndarray] = (),
    tell: Callable[[float, str], None] = lambda share, text: None,
    coarse: MotionLayers | None = None,
) -> MotionLayers:
    """The motion layers of two key frames.

    Args:
        pictures: uint8 RGB (h, w, 3) each.
        motions: candidates, the dominant one first; with none all follow the flow.
        flow: optical flow in px in place of DIS.
        things: bool (h, w) each, in the first key frame, what follows one motion as a whole; they do not overlap.
        tell: called with the share done and what is being done; may raise to cancel.
        coarse: layers of the same key frames found at a smaller size, which lead these.
    """
    pair = _Pair(pictures)
    greys = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in pictures]
    leading = None if coarse is None else CoarseLayers(coarse, pair.grid.shape[:2])
    found = hypotheses(
        greys,
        motions,
        flow,
        lambda share: tell(0.3 * share, "estimating motion"),
        lambda number: leading is None or leading.follow(number),
    )
    dominant = both(lambda side: found[1 if motions else 0].field(side, pair.grid))
    filters = [GuidedFilter(picture, RADIUS) for picture in pictures]
    costs = _Costs(pair, dominant, leading)

    def first_costs(side: int, number: int) -> np.ndarray:
        if side == 0:  # the other one is done beside it
            tell(0.3 + 0.2 * number / len(found), "choosing motion layers")
        field = found[number].field(side, pair.grid)
        unlike = costs.fresh_unlikeness(side, found[number], field)
        unlike[outside(field, pair.grid)] = LEAVING
        return unlike + costs.reluctance(side, found[number], field)

    def chosen_by(filters: Sequence[GuidedFilter], cost: Callable[[int, int], np.ndarray]) -> Sides:
        chosen = _choose(filters, len(found), cost)
        return held_together(things, found, chosen, pair.grid, pair.unlikeness)

    chosen = chosen_by(filters, first_costs)
    fields = chosen_fields(found, chosen, pair.grid)
    lit = pair.find_light(fields)
    if lit:
        chosen = chosen_by(filters, first_costs)
        fields = chosen_fields(found, chosen, pair.grid)
        pair.find_light(fields)
    found, chosen = _without_rare(found, chosen)
    found, motions = refitted(found, chosen, motions, pair.grid, pair.difference)
    fields = chosen_fields(found, chosen, pair.grid)
    costs.keep(found, unlikeness=not lit)

    for turn in range(ROUNDS):

        def agreed_costs(side: int, number: int, turn=turn, fields=fields) -> np.ndarray:
            if side == 0:
                tell(0.5 + 0.45 * (turn + number / len(found)) / ROUNDS, "choosing motion layers")
            field = found[number].field(side, pair.grid)
            back = lengths(field + fetch(fields[1 - side], field, pair.grid, nearest=True))
            come_back = FIGURE_RETURN if isinstance(found[number].motion, FigureMotion) else RETURN
            agreed = np.clip(1.5 - back / come_back, 0, 1)
            unlike = costs.unlikeness(side, found[number], field)
            cost = agreed * unlike + (1 - agreed) * HIDDEN
            cost[outside(field, pair.grid)] = LEAVING
            return cost + costs.reluctance(side, found[number], field)

        if turn == ROUNDS - 1:
            filters.clear()  # before the others are made
            filters += [GuidedFilter(picture, LAST_RADIUS) for picture in pictures]
        chosen = chosen_by(filters, agreed_costs)
        fields = chosen_fields(found, chosen, pair.grid)
    costs.keep(())
    filters.clear()
    chosen = plain_where_as_good(
        found, chosen, fields, things, pair.grid, pair.cost, both(lambda side: structure(pair.edges[side]))
    )
    fields = chosen_fields(found, chosen, pair.grid)
    tell(0.95, "ordering motion layers")
    layers = _finished(pair, found, chosen, fields, motions)
    dissolve_unknown(layers)
    flowing = all_flowing(found, chosen, things)
    if all((flowing[side] == chosen[side]).all() for side in (0, 1)):
        return layers

    def plain() -> MotionLayers:
        return _finished(pair, found, flowing, chosen_fields(found, flowing, pair.grid), motions)

    return better_looking(layers, plain)


def _without_rare(found: list[Hypothesis], chosen: Sides) -> tuple[list[Hypothesis], Sides]:
    """Drops displacements that next to no pixel chose; their pixels choose again in the next round."""
    counts = np.bincount(np.concatenate([side.ravel() for side in chosen]), minlength=len(found))
    kept = [number for number, count in enumerate(counts) if count >= RARE * 2 * chosen[0].size or number == 0]
    place = np.zeros(len(found), np.int16)
    place[kept] = np.arange(len(kept))
    return [found[number] for number in kept], both(lambda side: place[chosen[side]])


def _finished(pair: _Pair, found: list[Hypothesis], chosen: Sides, fields: Sides, motions) -> MotionLayers:
    """Hidden pixels flooded, everything put together."""
    seen = both(lambda side: pair.seen(side, fields))
    simpler = without_flow(found)
    chosen = both(lambda side: _flooded(pair.pictures[side], chosen[side], seen[side], simpler))

    def put_together(chosen: Sides):
        fields = chosen_fields(found, chosen, pair.grid)
        seen = both(lambda side: pair.seen(side, fields))
        label = both(lambda side: _labels(found, chosen[side], side, LOOSE * pair.diagonal))
        return label, fields, seen, depth_order(label, fields, seen, pair.grid, len(motions))

    label, fields, seen, order = put_together(chosen)
    chosen = hidden_behind(found, chosen, label, fields, seen, order, pair.grid)
    label, fields, seen, order = put_together(chosen)
    explained = both(lambda side: _explained(pair, side, label, seen, fields, order))
    layers = MotionLayers(
        pictures=both(lambda side: pair.pictures[side] / np.float32(255)),
        size=pair.pictures[0].shape[:2],
        motions=tuple(motions),
        label=label,
        displacement=fields,
        seen=seen,
        explained=explained,
        light=(pair.light[0], pair.light[1]),
        order=order,
    )
    return layers


def _labels(found: list[Hypothesis], chosen: np.ndarray, side: int, loose: float) -> np.ndarray:
    """Numbers of the motions followed, int16 (h, w); what flow takes off its motion by over ``loose`` px is free."""
    label = np.full(chosen.shape, FREE, np.int16)
    for place in np.unique(chosen):
        own = chosen == place
        if found[place].rest is not None and found[place].motion is not None:
            own &= lengths(found[place].rest[side].astype(np.float32)) < loose
        label[own] = found[place].number
    return label


def _explained(pair: _Pair, side: int, label: Sides, seen: Sides, fields: Sides, order: np.ndarray) -> np.ndarray:
    """Seen, or gone: behind something that is seen, or out of the picture with a motion that is seen elsewhere."""
    own, other = (order[label[number] - FREE].astype(np.float32) for number in (side, 1 - side))
    in_front = fetch(other, fields[side], pair.grid, nearest=True) > own
    behind = fetch(seen[1 - side], fields[side], pair.grid) * in_front
    own = label[side].ravel() - FREE
    shares = np.bincount(own, seen[side].ravel()) / np.maximum(np.bincount(own), 1)
    gone = np.minimum(2 * shares, 1)[label[side] - FREE]
    return np.maximum(seen[side], np.where(outside(fields[side], pair.grid), gone, behind)).astype(np.float32)
