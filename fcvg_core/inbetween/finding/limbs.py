"""Limbs that bend go along with the body they hang on: legs, wings, arms, of which nothing was found again.

They are thin, so what lies around them decides what they follow, and found here and there by chance. What tells them is
that a coarse look at both key frames has no likeness for them where their own motion leads, but has where the body's
leads, and finds there what has no likeness either: the other key frame's limbs (docs/methods/inbetweens.md, Hidden
pixels).
"""

import cv2
import numpy as np

from ....common.helpers import pair_of
from ..layers import FREE, MotionLayers
from ..motion.motions import RigidMotion, Sides, both, lengths, pixel_grid
from ..regions import disc
from .carrying import APART, BETTER, LARGEST, LEAST
from .hiding import SEEN
from .likeness import channel_mean, fetch

COARSE = 0.004  # of the diagonal, sigma with which colours are compared: nets and grass are alike then
STRANGE = 10.0  # grey levels of mean colour difference from which there is no likeness
BODY = 0.001  # share of the picture that a body has at least
BODIES = 0.1  # and that all bodies of one motion have at most
BENDING = 0.015  # of the diagonal, how far limbs may be from where the body's motion leads
LOST = 0.33  # share of a limb that is explained by less than half
REACHED = 0.5  # share of a limb whose goal is one
GAP = 0.005  # of the diagonal, between a limb and its body
LARGER = 2.0  # times the body that its limbs may be
TRUST = 0.6  # less than that of what hides what is known: limbs in two positions fade into each other


def carry_limbs(layers: MotionLayers, carried: Sides) -> None:
    """Change label, displacement and seen of motion layers, and ``carried``, bool (h, w) each, in place."""
    looks = _CoarseLooks(layers)
    for number in (np.argsort(layers.order)[::-1] + FREE).tolist():  # the foremost first
        if number != FREE and isinstance(layers.motions[number], RigidMotion):
            _carry_with(layers, number, looks, carried)


def _carry_with(layers: MotionLayers, number: int, looks: "_CoarseLooks", carried: Sides) -> None:
    """Let limbs go along with the bodies that follow the motion ``number``."""
    bodies = both(lambda side: _bodies((layers.label[side] == number) & (layers.seen[side] > SEEN)))
    if not all(0 < body.mean() <= BODIES for body in bodies):
        return
    fields = both(lambda side: layers.motions[number].displacement(side, looks.grid))
    for side, own in enumerate(_limbs(layers, layers.order[number - FREE], bodies, fields, looks, carried)):
        carried[side][own] = True
        layers.label[side][own] = number
        layers.displacement[side][own] = fields[side][own]
        layers.seen[side][own] = TRUST


class _CoarseLooks:
    """How far blurred colours of both key frames differ."""

    def __init__(self, layers: MotionLayers):
        self.grid, self.diagonal = pixel_grid(*layers.size), float(np.hypot(*layers.size))
        sigma = max(0.5, COARSE * self.diagonal)
        self._blurred = both(lambda side: cv2.GaussianBlur(np.float32(255) * layers.pictures[side], (0, 0), sigma))
        self._light = layers.light
        self.own = both(lambda side: self.difference(side, layers.displacement[side]))

    def difference(self, side: int, field: np.ndarray) -> np.ndarray:
        """float32 (h, w), grey levels, of key frame ``side`` from where ``field`` (h, w, 2) leads."""
        there = fetch(self._blurred[1 - side], field, self.grid)
        if self._light[side] is not None:
            there *= self._light[side]
        return channel_mean(cv2.absdiff(self._blurred[side], there))


def _limbs(
    layers: MotionLayers, place: int, bodies: Sides, fields: Sides, looks: _CoarseLooks, carried: Sides
) -> Sides:
    """bool (h, w) each: the limbs of bodies at a ``place`` from back to front that ``fields`` displace."""

    def lost(side: int) -> np.ndarray:
        behind = layers.order[layers.label[side] - FREE] < place
        apart = lengths(fields[side] - layers.displacement[side]) > APART * looks.diagonal
        return (looks.own[side] > STRANGE) & behind & apart & ~layers.figure(side) & ~carried[side]

    width = 2 * max(1, round(BENDING * looks.diagonal)) + 1
    around = np.ones((width, width), np.uint8)  # a disc of that size takes ten times as long

    def goals(planes: Sides) -> Sides:
        """Where the motion leads to what the other key frame's planes hold, or near it."""
        near = both(lambda side: cv2.dilate(planes[side].astype(np.uint8), around))
        return both(lambda side: fetch(near[1 - side], fields[side], looks.grid, nearest=True) > 0)

    strange = both(lost)
    meeting = goals(both(lambda side: strange[side] | bodies[side]))
    pieces = pair_of(
        lambda side: _Pieces(
            strange[side] & meeting[side],
            layers.explained[side],
            looks.difference(side, fields[side]),
            looks.own[side],
        )
    )
    taken = both(lambda side: pieces[side].more_alike())
    reached = goals(taken)  # what changes its shape may be more alike seen from one side only
    taken = both(lambda side: taken[side] | pieces[side].reaching(reached[side]))
    if not all(plane.any() for plane in taken):
        return both(lambda side: np.zeros(layers.size, bool))
    taken = both(lambda side: _hanging(taken[side], bodies[side], GAP * looks.diagonal))
    reached = goals(taken)
    return both(lambda side: taken[side] & pieces[side].reaching(reached[side]))


class _Pieces:
    """The connected pieces of a plane that may be limbs.

    Args:
        found: bool (h, w).
        explained: 0..1 (h, w), as in :class:`..layers.MotionLayers`.
        led, own: (h, w), differences where the body's and where their own motion leads.
    """

    def __init__(self, found: np.ndarray, explained: np.ndarray, led: np.ndarray, own: np.ndarray):
        count, self._part, stats, _ = cv2.connectedComponentsWithStats(found.astype(np.uint8), connectivity=4)
        self._areas, self._own = stats[:, cv2.CC_STAT_AREA], np.flatnonzero(found)
        self._numbers = self._part.ravel().take(self._own)
        self._may = (self._areas >= LEAST * found.size) & (self._areas <= LARGEST * found.size)
        self._may &= self._mean(explained < 0.5) > LOST
        self._may[0] = False
        self._unlike = self._mean(led) / np.maximum(self._mean(own), 1e-6)

    def _mean(self, plane: np.ndarray) -> np.ndarray:
        return np.bincount(self._numbers, plane.ravel().take(self._own), len(self._areas)) / self._areas

    def more_alike(self) -> np.ndarray:
        """bool (h, w): those clearly more alike where the body leads them."""
        return (self._may & (self._unlike < BETTER))[self._part]

    def reaching(self, goal: np.ndarray) -> np.ndarray:
        """bool (h, w): those of which enough is led to a goal (h, w), and no less alike there."""
        return (self._may & (self._mean(goal) > REACHED) & (self._unlike < 1))[self._part]


def _bodies(own: np.ndarray) -> np.ndarray:
    """Those connected parts of a plane, bool (h, w), that are large enough."""
    own = cv2.morphologyEx(own.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    _, part, stats, _ = cv2.connectedComponentsWithStats(own, connectivity=4)
    large = stats[:, cv2.CC_STAT_AREA] >= BODY * own.size
    large[0] = False
    return large[part]


def _hanging(pieces: np.ndarray, bodies: np.ndarray, gap: float) -> np.ndarray:
    """Those of the pieces, bool (h, w), that touch a body, or one another that does, unless they are too large."""
    _, whole = cv2.connectedComponents(cv2.dilate((pieces | bodies).astype(np.uint8), disc(gap)))
    of_bodies, of_pieces = (np.bincount(whole.ravel(), plane.ravel()) for plane in (bodies, pieces))
    return pieces & (of_pieces < LARGER * of_bodies)[whole]
