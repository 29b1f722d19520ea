"""Regions that come out torn dissolve in one piece, with one smooth motion, instead of being rendered from layers.

A frame is rendered half-way and looked at: where edges that neither key frame has lie close together, in a region whose
motion is mostly not known, layers have cut through things (docs/methods/inbetweens.md, Torn regions).
"""

from dataclasses import replace

import cv2
import numpy as np

from .finding.carrying import UNKNOWN
from .finding.hypotheses import Flow, optical_flow
from .finding.smooth_motions import SmoothMotions
from .layers import FREE, MotionLayers
from .motion.dissolve import Dissolve, fetch_at
from .motion.motions import Sides, both, pixel_grid
from .motion.skinning import FigureMotion
from .regions import disc
from .rendering.splatting import nearest_known
from .rendering.tears import HalfWay, half_way, torn_at
from .rendering.travel import Travel

# Lengths are shares of the diagonal.
NEAR = 0.015  # over which the density of tears is felt
TORN = 0.06  # share of the pixels near that must be tears for something to be torn
TEARING = 0.02  # and as far as which it then reaches
CLOSING = 0.02  # gaps that belong to what is torn
HOLE = 0.01  # share of the picture below which what it encloses belongs to it too
LEAST = 0.01  # share of the picture below which a region is a blemish
LOOKS = (), (0.25, 0.75)  # times looked at, beside half-way, after what was torn before dissolves
GROWN = 0.3  # share of a region that dissolved, mostly not known, before it grew
MOST = 0.4  # share of the picture that dissolves, above which all of it does
MOSTLY = 0.5  # share of a region, not known, from which it dissolves
WORSE = 0.05  # unlikeness by which a dissolve may then be worse than the layers are, if half-way tells already
PARTLY = 0.15  # and from which it does if one smooth motion is no more unlike than the layers are
RIM = 0.006  # by which regions grow
SOFT = 0.004  # and over which they fade out
SURE, UNSURE = 0.17, 0.5  # unlikeness up to which a dissolve's motion is known, and from which it is not


def dissolve_torn(layers: MotionLayers, points: Sides, flow: Flow | None = None) -> MotionLayers:
    """The layers with what comes out torn as a dissolve; the same if nothing does.

    Args:
        points: px of the solved size (N, 2) each, places matched between the key frames.
        flow: optical flow of that size, in both directions; None: DIS.
    """
    if min(layers.size) < 2:
        return layers
    seen = half_way(layers, UNKNOWN)
    figures = [n for n, motion in enumerate(layers.motions) if isinstance(motion, FigureMotion)]
    people = np.isin(seen.label[0], figures) | np.isin(seen.label[1], figures)
    diagonal = float(np.hypot(*layers.size))
    torn = (seen.torn & ~people).astype(np.float32)
    mended, region, candidates = layers, np.zeros(layers.size, bool), None
    front = both(layers.figure)
    for times in LOOKS:
        torn = np.maximum(torn, torn_at(mended, times) & ~people) if times else torn
        regions = _torn_regions(torn, seen.unknown, people, diagonal)
        passing = _passing(regions > 0, seen, layers, diagonal)
        front = _with_passing(front, passing, seen, layers)
        regions[passing] = 0
        if not regions.any():
            continue
        if candidates is None:
            candidates = _smooth_motions(layers, points, flow)
        region, way, unlike = _unexplained(regions, region, seen, candidates, diagonal, 0 if times else WORSE)
        if region.mean() > MOST:
            region, motion, front = ~people, candidates.best_for_all(), both(layers.figure)
            return _dissolving(layers, region, _dissolve(region, people, motion.way, motion.unlike, front, diagonal))
        if region.any():
            mended = _dissolving(layers, region, _dissolve(region, people, way, unlike, front, diagonal))
    return mended


def _smooth_motions(layers: MotionLayers, points: Sides, flow: Flow | None) -> SmoothMotions:
    pictures = both(lambda side: _levels(layers, side))
    if flow is None:
        greys = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in pictures]
        flow = optical_flow(*greys), optical_flow(*greys[::-1])
    return SmoothMotions(pictures, flow, points, layers.motions)


def _unexplained(
    regions: np.ndarray, before: np.ndarray, seen: HalfWay, candidates: SmoothMotions, diagonal: float, worst: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Those of the numbered regions (h, w) that layers do not explain, and what was one of them ``before``: bool
    (h, w), their smooth motions (h, w, 2) and how unlike both key frames are then (h, w).

    Args:
        worst: unlikeness by which what is mostly not known may be worse as a dissolve.
    """
    region, way = np.zeros(before.shape, bool), np.zeros((*before.shape, 2), np.float32)
    unlike = np.zeros(before.shape, np.float32)

    _, part = cv2.connectedComponents(before.astype(np.uint8))
    shares = np.bincount(part.ravel(), seen.unknown.ravel()) / np.maximum(np.bincount(part.ravel()), 1)
    mostly = shares[part] > MOSTLY

    def dissolves(own: np.ndarray, unlikeness: float) -> bool:
        unknown = seen.unknown[own].mean()
        worse = unlikeness - seen.unlike[own].mean()
        unexplained = (unknown > MOSTLY and worse < worst) or (unknown > PARTLY and worse <= 0)
        return bool(own.mean() >= LEAST and (unexplained or (before & mostly)[own].mean() > GROWN))

    def take(own: np.ndarray, always: bool) -> None:
        motion, unlikeness = candidates.best(own, _around(own, seen, diagonal))
        if always or dissolves(own, unlikeness):
            region[own], way[own], unlike[own] = True, motion.way[own], motion.unlike[own]

    for number in range(1, regions.max() + 1):
        take(regions == number, False)
    count, left = cv2.connectedComponents((before & ~region).astype(np.uint8))
    for number in range(1, count):
        take(left == number, True)
    return region, way, unlike


def _levels(layers: MotionLayers, side: int) -> np.ndarray:
    picture = cv2.resize(layers.pictures[side], layers.size[::-1], interpolation=cv2.INTER_AREA)
    return (picture.clip(0, 1) * 255).round().astype(np.uint8)


def _torn_regions(torn: np.ndarray, unknown: np.ndarray, people: np.ndarray, diagonal: float) -> np.ndarray:
    """Number of the torn region of each pixel half-way, int (h, w), 0 for none."""
    density = cv2.GaussianBlur(torn, (0, 0), max(1.0, NEAR * diagonal))
    core = density > TORN
    if not core.any():
        return np.zeros(torn.shape, int)
    unknown = cv2.morphologyEx(unknown.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)) > 0
    _, part = cv2.connectedComponents(((density > TEARING) | unknown).astype(np.uint8))
    region = np.isin(part, np.unique(part[core])).astype(np.uint8)
    margin = round(2 * CLOSING * diagonal) + 1
    closed = cv2.morphologyEx(np.pad(region, margin), cv2.MORPH_CLOSE, disc(CLOSING * diagonal))
    region = closed[margin:-margin, margin:-margin] > 0
    _, part, stats, _ = cv2.connectedComponentsWithStats((~region).astype(np.uint8))
    region |= stats[part, cv2.CC_STAT_AREA] < HOLE * region.size
    return cv2.connectedComponents((region & ~people).astype(np.uint8))[1]


def _passing(region: np.ndarray, seen: HalfWay, layers: MotionLayers, diagonal: float) -> np.ndarray:
    """bool (h, w): what passes in front of a region, bool (h, w): parts of one known motion that lie mostly outside."""
    passing = np.zeros(region.shape, bool)
    if not region.any():
        return passing
    place = layers.order[_around(region, seen, diagonal) - FREE]
    known = (seen.label[0] == seen.label[1]) & ~seen.unknown
    for number in np.unique(seen.label[0][region & known]).tolist():
        if number == FREE or layers.order[number - FREE] <= place:
            continue
        _, part, stats, _ = cv2.connectedComponentsWithStats((known & (seen.label[0] == number)).astype(np.uint8))
        areas = stats[:, cv2.CC_STAT_AREA]
        inside = np.bincount(part.ravel(), region.ravel(), len(areas)) / areas
        own = (inside < MOSTLY) & (areas >= LEAST * region.size)
        own[0] = False
        passing |= own[part]
    return passing


def _with_passing(front: Sides, passing: np.ndarray, seen: HalfWay, layers: MotionLayers) -> Sides:
    """``front``, bool (h, w) each, and what comes to lie half-way in what is ``passing`` (h, w) and has its motion."""
    if not passing.any():
        return front

    def more(side: int) -> np.ndarray:
        numbers = np.where(passing, seen.label[side], FREE).astype(np.float32)
        there = cv2.remap(numbers, _half_way_places(layers, side), None, cv2.INTER_NEAREST, borderValue=FREE)
        return front[side] | ((there == layers.label[side]) & (there != FREE))

    return both(more)


def _half_way_places(layers: MotionLayers, side: int) -> np.ndarray:
    """Where the pixels of a key frame lie half-way, float32 (h, w, 2) px."""
    led = pixel_grid(*layers.size) + np.float32(0.5) * layers.displacement[side]
    detour = Travel().detour(layers, side, 0.5)
    return led if detour is None else led + detour


def _around(region: np.ndarray, seen: HalfWay, diagonal: float) -> int:
    """The motion that most of what is around a region follows."""
    ring = (cv2.dilate(region.astype(np.uint8), disc(NEAR * diagonal)) > 0) & ~region
    labels = np.concatenate([label[ring] for label in seen.label])
    return int(np.bincount(labels - FREE).argmax()) + FREE if len(labels) else FREE


def _dissolve(region, people, way, unlike, front: Sides, diagonal: float) -> Dissolve:
    """What is shown in ``region`` with soft borders; its motion goes on outside of it."""
    nearest = nearest_known(region, np.arange(region.size))
    if nearest is not None:
        way = way.reshape(-1, 2)[nearest].reshape(way.shape)
    way = cv2.GaussianBlur(way, (0, 0), max(1.0, 2 * SOFT * diagonal))
    grown = cv2.dilate(region.astype(np.float32), disc(RIM * diagonal)) * ~people
    known = ((UNSURE - cv2.blur(unlike, (5, 5))) / (UNSURE - SURE)).clip(0, 1).astype(np.float32)
    share = cv2.GaussianBlur(grown, (0, 0), max(0.5, SOFT * diagonal))
    return Dissolve(share, way, known, both(lambda side: front[side].astype(np.float32)))


def _dissolving(layers: MotionLayers, region: np.ndarray, dissolve: Dissolve) -> MotionLayers:
    """The layers with a dissolve; pixels of the key frames that belong to its region go along with it."""
    inside = region.astype(np.float32)
    ends = [dissolve.from_side(side) for side in (0, 1)]

    def belongs(side: int) -> np.ndarray:
        there = np.maximum(fetch_at(inside, ends[side][0]), fetch_at(inside, _half_way_places(layers, side))) > 0.5
        return there & (dissolve.front[side] == 0)

    own = both(belongs)
    known = both(lambda side: fetch_at(dissolve.known, ends[side][0]))
    return replace(
        layers,
        dissolve=dissolve,
        label=both(lambda side: np.where(own[side], FREE, layers.label[side]).astype(np.int16)),
        displacement=both(lambda side: np.where(own[side][..., None], ends[side][1], layers.displacement[side])),
        seen=both(lambda side: np.where(own[side], known[side], layers.seen[side])),
        explained=both(lambda side: np.where(own[side], known[side], layers.explained[side])),
    )
