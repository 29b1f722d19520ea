"""Posed figures that bend: the bones of a pose drive a smooth deformation of the figure around them.

Every pixel follows the bones near it, nearer ones more (linear blend skinning, Magnenat-Thalmann et al. 1988), so that
a body bends at its joints and never comes apart. Between the key frames bones turn: angles and lengths change evenly
along the chain that begins at the hips, so that limbs do not shrink.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...poses.pose import SCORE_THRESHOLD, PoseFrame
from ...tweening.pose_interpolation import pair_people
from .motions import Sides, both, lengths

NOSE, NECK, HIPS = 0, 1, (8, 11)
HEAD = (14, 15, 16, 17)  # eyes and ears
ROOT, CROWN = 18, 19  # joints added to OpenPose's 18: between the hips, and as far above the head's centre as the neck
TREE = (  # (parent, child) joints, parents first; bones from back to front
    (ROOT, NECK),
    (NECK, 2), (2, 3), (3, 4), (ROOT, 8), (8, 9), (9, 10),
    (ROOT, 11), (11, 12), (12, 13),
    (NECK, CROWN),
    (NECK, 5), (5, 6), (6, 7),
)  # fmt: skip
DEPTH = (9, 1, 2, 3, 4, 5, 6, 7, 8, 8, 10, 11, 12, 13)  # of the bones: right limbs, left leg, body, head, left arm
TORSO_RADIUS, LIMB_RADIUS, HEAD_RADIUS = 0.24, 0.13, 0.34  # of the distance from neck to hips
SHARPNESS = 6.0  # power of the distance with which a bone's hold falls
REACH = 2.2  # radii within which a pixel may belong to the figure
BONUS, PENALTY, NEVER = 0.15, 0.4, 4.0  # costs, as in :mod:`..finding.labelling`
FEWEST_BONES = 4


def _complete(body: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """18 joints (18, 2) px with :data:`ROOT` and :data:`CROWN` added: (20, 2), and which are known."""
    joints, known = np.zeros((20, 2)), np.zeros(20, bool)
    joints[:18], known[:18] = body, seen
    hips = [hip for hip in HIPS if seen[hip]]
    if hips:
        joints[ROOT], known[ROOT] = body[hips].mean(axis=0), True
    head = [joint for joint in HEAD if seen[joint]] or ([NOSE] if seen[NOSE] else [])
    if head and seen[NECK]:
        centre = body[head].mean(axis=0)
        joints[CROWN], known[CROWN] = centre + 0.8 * (centre - body[NECK]), True
    return joints, known


@dataclass(frozen=True)
class FigureMotion:
    """One person in both key frames.

    Attributes:
        joints: float64 (20, 2) px in each key frame, OpenPose's 18, the middle of the hips, the crown.
        bones: numbers in :data:`TREE` of the bones that both key frames show, parents first.
    """

    joints: Sides
    bones: tuple[int, ...]

    def scaled(self, factor: float) -> "FigureMotion":
        """The same figure in a picture ``factor`` times as large."""
        return FigureMotion(both(lambda side: self.joints[side] * factor + (0.5 * factor - 0.5)), self.bones)

    @cached_property
    def _ends(self) -> np.ndarray:
        """(bones, 2): joints at both ends."""
        return np.array([TREE[bone] for bone in self.bones])

    def _radii(self, side: int) -> np.ndarray:
        """How thick the figure is about each bone, px."""
        spans = [np.linalg.norm(np.subtract(*j[[ROOT, NECK]])) for j in self.joints if 0 in self.bones]
        long = lengths(np.subtract(*self.joints[side][self._ends.T]))
        unit = spans[side] if spans else 1.6 * np.median(long)
        radii = {0: TORSO_RADIUS, TREE.index((NECK, CROWN)): HEAD_RADIUS}
        return unit * np.array([radii.get(bone, LIMB_RADIUS) for bone in self.bones])

    def _distances(self, side: int, points: np.ndarray) -> np.ndarray:
        """(bones, ...) distance of points (..., 2) from each bone, in its radii."""
        places = points.astype(np.float32)
        distances = []
        for (a, b), radius in zip(self.joints[side][self._ends].astype(np.float32), self._radii(side), strict=True):
            span = b - a
            along = ((places - a) @ span / max(float(span @ span), 1e-6)).clip(0, 1)
            distances.append(lengths(places - a - along[..., None] * span) / np.float32(radius))
        return np.stack(distances)

    def at(self, time: float) -> np.ndarray:
        """Joints (20, 2), px, at a time counted from the first key frame."""
        start, end = (side @ (1, 1j) for side in self.joints)
        placed = start + (end - start) * time
        for bone in self.bones:
            parent, child = TREE[bone]
            before, after = start[child] - start[parent], end[child] - end[parent]
            if min(abs(before), abs(after)) > 1e-6:
                grown = abs(before) + (abs(after) - abs(before)) * time
                turned = before / abs(before) * np.exp(1j * time * np.angle(after / before))
                placed[child] = placed[parent] + max(grown, 0.0) * turned
        return np.stack([placed.real, placed.imag], axis=-1)

    def _moved(self, side: int, points: np.ndarray, joints: np.ndarray) -> np.ndarray:
        """Displacement (..., 2) of points of a key frame when its joints go to ``joints``."""
        hold = 1 / (0.2 + self._distances(side, points)) ** SHARPNESS
        hold /= hold.sum(axis=0)
        z = points[..., 0] + 1j * points[..., 1]
        source, target = (place @ (1, 1j) for place in (self.joints[side], joints))
        moved = np.zeros(z.shape, complex)
        for (parent, child), share in zip(self._ends, hold, strict=True):
            span = source[child] - source[parent]
            factor = (target[child] - target[parent]) / span if abs(span) > 1e-6 else 1
            moved += share * (target[parent] + factor * (z - source[parent]))
        way = moved - z
        return np.stack([way.real, way.imag], axis=-1).astype(points.dtype)

    def displacement(self, side: int, points: np.ndarray) -> np.ndarray:
        """As :meth:`.motions.Motion.displacement`."""
        return self._moved(side, points, self.joints[1 - side])

    def detour(self, side: int, points: np.ndarray, time: float, centre: complex | None = None) -> np.ndarray:
        """As :meth:`.motions.Motion.detour`; limbs turn about their joints whatever ``centre`` is."""
        joints = self.at(time if side == 0 else 1 - time)
        return self._moved(side, points, joints) - self.displacement(side, points) * points.dtype.type(time)

    def reluctance(self, side: int, grid: np.ndarray) -> np.ndarray:
        """What it costs that pixels (h, w, 2) belong to the figure: less than nothing on its bones, much far away."""
        near = self._distances(side, grid).min(axis=0)
        cost = np.interp(near, [0.6, 1.0, REACH, REACH + 0.5], [-BONUS, -0.5 * BONUS, PENALTY, NEVER])
        return cost.astype(np.float32)

    def depth(self, side: int, points: np.ndarray) -> np.ndarray:
        """int (N,), which of the figure's own parts are in front of which, from 0 on, below 16."""
        return np.array(DEPTH)[list(self.bones)][self._distances(side, points).argmin(axis=0)]


def figures(first: PoseFrame, last: PoseFrame, size: tuple[int, int]) -> list[FigureMotion]:
    """The people that both key frames show, for pictures of ``size`` (height, width)."""
    found = []
    for i, j in pair_people(first, last):
        sides = []
        for frame, person in ((first, i), (last, j)):
            seen = (frame.body_score[person] > SCORE_THRESHOLD) & (frame.body[person] != 0).any(axis=-1)
            sides.append(_complete(frame.body[person] * np.array(size[::-1]) - 0.5, seen))
        known = sides[0][1] & sides[1][1]
        bones = tuple(number for number, (a, b) in enumerate(TREE) if known[a] and known[b])
        if len(bones) >= FEWEST_BONES:
            found.append(FigureMotion((sides[0][0], sides[1][0]), bones))
    return found
