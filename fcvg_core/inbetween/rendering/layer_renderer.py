"""Frames between two key frames, rendered from their motion layers.

At each time the displacements of both key frames are splatted, back to front; where something comes to lie, its colour
is sampled from its key frame with cubic weights. Both results are mixed by time; what only one key frame shows comes
from that one.
"""

from collections.abc import Sequence
from functools import cached_property

import cv2
import numpy as np

from ....common.helpers import pair_of
from ..layers import PARTS, MotionLayers
from ..motion.dissolve import Dissolve, fetch_at
from ..motion.motions import lengths, pixel_grid
from .enlarging import Enlarging
from .hole_filling import Holes
from .splatting import Splatter, nearest_known
from .travel import Travel

LONGEST = 1536  # longer side, px, of the pictures on which displacements are splatted
FRINGE = 0.005  # trust in pixels at the rim of what lies in front of them: their colour is mixed with its colour
HIDDEN = 0.05  # trust in pixels that are not found again
CLEAN = 0.04  # trust above which a pixel has no colour of what lies in front
BEHIND = 1e-3  # weight of what the other key frame puts something in front of
WELL, A_LITTLE = 0.7, 0.2  # known less than well, a pixel hides nothing that is known more than a little
NOTHING = 1e-4  # weight where nothing comes to lie and the nearest motion is gone on with
SPARSE, FEWEST_SAMPLES = 4, 20  # step and number of pixels that tell how a layer goes on beyond the border
HOLE_SEARCH = 31  # px of the window in which the farthest layer is looked for
LEVEL = 1 << 14  # more than there are depths; a power of 2
SAME = 2.5  # px within which both key frames mean the same thing
JUMP = 2.5  # px between neighbours that part one thing from another
LEAST_SHOWN = np.float32(1.001)  # what passes in front of a dissolve in both key frames dissolves with it
FIGURE = 0.7  # trust in posed people at least, so that they stay in one piece


class LayerRenderer:
    """Renders any number of frames of one pair of key frames.

    Args:
        layers: from :func:`..finding.labelling.find_layers`.
        travel: on which ways the layers go.
    """

    def __init__(self, layers: MotionLayers, travel: Travel | None = None):
        self.layers = layers
        self._travel = travel or Travel()
        height, width = layers.pictures[0].shape[:2]
        shrink = min(1.0, LONGEST / max(height, width))
        self._size = max(1, round(height * shrink)), max(1, round(width * shrink))
        self._scale = np.divide(self._size[::-1], layers.size[::-1], dtype=np.float32)
        self._sides = pair_of(lambda side: _Side(layers, side, self._size))

    @cached_property
    def _dissolve_here(self) -> Dissolve | None:
        """The dissolve, if there is one, at the size displacements are splatted at."""
        dissolve = self.layers.dissolve
        if dissolve is None:
            return None
        planes = dissolve.share, dissolve.way, dissolve.known, *dissolve.front
        share, way, known, *front = (cv2.resize(plane, self._size[::-1]) for plane in planes)
        return Dissolve(share, way * self._scale, known, (front[0], front[1]))

    def frame(self, time: float) -> tuple[np.ndarray, np.ndarray]:
        """The picture at ``time``, float32 RGB (H, W, 3) 0..1, and how sure its motion is, float32 (H, W) 0..1.

        Times outside 0..1 go on along the same ways, with the colours of the nearer key frame. 0 and 1 are the key
        frames themselves, bit by bit.
        """
        picture, sure, _ = self.frame_and_holes(time)
        return picture, sure

    def frame_and_holes(self, time: float) -> tuple[np.ndarray, np.ndarray, Holes]:
        """As :meth:`frame`, and what neither key frame shows then."""
        if time in (0, 1):
            picture = self.layers.pictures[int(time)]
            return picture.copy(), np.ones(picture.shape[:2], np.float32), Holes.none(self._size)
        parts, sure, picture = self.composed(time)
        empty = parts[1].top < 0
        if self._dissolve_here is not None:
            empty &= self.lay_over(self._dissolve_here, picture, sure, time, parts) < 0.5
        return picture, self._enlarged(sure).clip(0, 1), parts[0].holes.where(empty)

    def composed(self, time: float) -> tuple[Sequence["_Part"], np.ndarray, np.ndarray]:
        """What each key frame contributes at ``time``, how sure its motion is, (h, w), and the picture (H, W, 3), from
        the layers alone."""
        passed = time, 1 - time
        parts = pair_of(
            lambda number: self._sides[number].at(
                passed[number], self._travel.detour(self.layers, number, passed[number])
            )
        )
        first_share = self._first_share(parts, time)
        picture = self._mixed(parts, first_share, passed)
        return parts, np.maximum(parts[0].explained, parts[1].explained), picture

    def lay_over(
        self, dissolve: Dissolve, picture: np.ndarray, sure: np.ndarray, time: float, parts: Sequence["_Part"]
    ) -> np.ndarray:
        """Lay what dissolves over the picture (H, W, 3) and ``sure`` (h, w), in place, behind what passes in front of
        it there as ``parts`` from :meth:`composed` tell; its share (h, w)."""
        detour = self._travel.dissolve_detour(self.layers, time)
        if detour is not None:
            detour = cv2.resize(detour, self._size[::-1]) * self._scale
        places, grid = dissolve.half_way(time, detour), pixel_grid(*self._size)
        passing = (fetch_at(front, grid + part.offset) for front, part in zip(dissolve.front, parts, strict=True))
        share = fetch_at(dissolve.share, places) * (1 - np.maximum(*passing))
        sure += share * (fetch_at(dissolve.known, places) - sure)
        gone = float(np.clip(time, 0, 1))
        sources = dissolve.sources(places)
        weights = [
            np.float32(left) * (LEAST_SHOWN - fetch_at(front, there))
            for left, front, there in zip((1 - gone, gone), dissolve.front, sources, strict=True)
        ]
        passed = time, 1 - time
        first, mixed = pair_of(
            lambda number: self._sides[number].colours(self._enlarged(sources[number] - grid), passed[number])
        )
        first -= mixed
        first *= self._enlarged(weights[0] / (weights[0] + weights[1]))[..., None]
        mixed += first
        mixed -= picture
        mixed *= self._enlarged(share)[..., None]
        picture += mixed
        picture.clip(0, 1, out=picture)
        return share

    def _first_share(self, parts: Sequence["_Part"], time: float) -> np.ndarray:
        """float32 (h, w), 0..1: how much of each pixel's colour is the first key frame's."""
        shares = np.clip([1 - time, time], 1e-6, 1).astype(np.float32)
        weights = [share * part.trust for share, part in zip(shares, parts, strict=True)]
        places = [part.top.ravel() // PARTS for part in parts]
        apart = np.flatnonzero(places[0] != places[1])
        apart = apart[~self._same_thing(parts, apart)]
        apart = apart[~self._doubtful(parts, apart)]
        second_in_front = places[0].take(apart) < places[1].take(apart)
        weights[0].ravel()[apart[second_in_front]] *= BEHIND
        weights[1].ravel()[apart[~second_in_front]] *= BEHIND
        weights[1] += weights[0]
        return np.divide(weights[0], weights[1], out=weights[0])

    @staticmethod
    def _doubtful(parts: Sequence["_Part"], pixels: np.ndarray) -> np.ndarray:
        """bool (N,): in which of the pixels numbered ``pixels`` (N,) what lies in front is not known well, and what it
        would hide is known a little at least: trust and time mix both."""
        known = [np.maximum(part.explained.take(pixels), part.trust.take(pixels)) for part in parts]
        first_in_front = parts[0].top.take(pixels) // PARTS > parts[1].top.take(pixels) // PARTS
        front, behind = np.where(first_in_front, known, known[::-1])
        return (front < WELL) & (behind > A_LITTLE)

    def _same_thing(self, parts: Sequence["_Part"], pixels: np.ndarray) -> np.ndarray:
        """bool (N,): in which of the pixels numbered ``pixels`` (N,) both key frames show the same thing, as far as
        its motion tells."""
        offsets = [part.offset_at(pixels) for part in parts]
        ahead = offsets[0] + self._sides[0].displacement_at(pixels, offsets[0]) - offsets[1]
        back = offsets[1] + self._sides[1].displacement_at(pixels, offsets[1]) - offsets[0]
        return (lengths(ahead) < SAME) & (lengths(back) < SAME)

    def _enlarged(self, plane: np.ndarray) -> np.ndarray:
        size = self.layers.pictures[0].shape[1::-1]
        return plane if plane.shape[1::-1] == size else cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR)

    def _mixed(self, parts, first_share, passed) -> np.ndarray:
        """Both key frames' colours, mixed; edges between layers smoothed, because layers are cut at whole pixels."""
        first, picture = pair_of(
            lambda number: self._sides[number].colours(self._enlarged(parts[number].offset), passed[number])
        )
        first -= picture
        first *= self._enlarged(first_share)[..., None]
        picture += first
        rim = self._enlarged(cv2.GaussianBlur(self._rim(parts, first_share), (0, 0), 0.5))[..., None]
        smooth = cv2.GaussianBlur(picture, (0, 0), 0.8)
        smooth -= picture
        smooth *= RIM_SMOOTHING * rim
        picture += smooth
        return picture.clip(0, 1, out=picture)

    def _rim(self, parts: Sequence["_Part"], first_share: np.ndarray) -> np.ndarray:
        """float32 (h, w): 1 where two layers with different motions meet."""
        front = ((np.where(first_share > 0.5, parts[0].top, parts[1].top) & (LEVEL - 1)) // PARTS).astype(np.uint8)
        box = np.ones((3, 3), np.uint8)
        edges = np.flatnonzero(cv2.dilate(front, box) != cv2.erode(front, box))
        of_first = first_share.ravel()[edges] > 0.5
        rim = np.zeros(front.size, np.float32)
        for part, own in zip(parts, (edges[of_first], edges[~of_first]), strict=True):
            rim[own] = part.spread_at(own) > JUMP
        return rim.reshape(front.shape)


RIM_SMOOTHING = 0.8


def _spread(field: np.ndarray, width: int) -> np.ndarray:
    """How far the vectors (h, w, 2) around each pixel are apart, (h, w)."""
    box = np.ones((width, width), np.uint8)
    spread = cv2.dilate(field, box) - cv2.erode(field, box)
    return np.maximum(spread[..., 0], spread[..., 1])


class _Part:
    """What one key frame contributes at one time, planes of the splatted size: ``offset`` px into the key frame,
    ``trust`` and ``explained`` 0..1, ``top`` the depth on top, -1 = nothing, and the ``holes`` where that is so."""

    def __init__(self, values: np.ndarray, top: np.ndarray, grid: np.ndarray, free: int):
        self._values = values.reshape(-1, 4)
        self.offset, self.trust, self.explained, self.top = values[..., :2], values[..., 2], values[..., 3], top
        self.holes = Holes.none(top.shape)
        holes = np.flatnonzero(top < 0)
        if len(holes):
            # Holes show what lies around them farthest back, not what tore them open by moving on; where that goes on
            # is hidden in the key frame, so its colour is drawn out.
            depth = (top & (LEVEL - 1)).astype(np.uint16)  # that of nothing is the largest
            behind = self.trust > CLEAN
            behind &= depth == cv2.erode(depth, np.ones((HOLE_SEARCH, HOLE_SEARCH), np.uint8))
            self._fill(holes, behind, depth // PARTS, grid, free)

    def offset_at(self, pixels: np.ndarray) -> np.ndarray:
        """``offset`` (N, 2) of the pixels numbered ``pixels`` (N,)."""
        return self._values.take(pixels, axis=0)[:, :2]

    def spread_at(self, pixels: np.ndarray) -> np.ndarray:
        """:func:`_spread` of width 3 of ``offset`` at the pixels numbered ``pixels`` (N,), (N,)."""
        height, width = self.top.shape
        y, x = np.divmod(pixels, width)
        rows = [(y + down).clip(0, height - 1) * width for down in (-1, 0, 1)]
        columns = [(x + right).clip(0, width - 1) for right in (-1, 0, 1)]
        around = [self.offset_at(row + column) for row in rows for column in columns]
        spread = np.maximum.reduce(around) - np.minimum.reduce(around)
        return np.maximum(spread[:, 0], spread[:, 1])

    def _fill(self, holes, behind: np.ndarray, place: np.ndarray, grid: np.ndarray, free: int):
        """Fill the pixels numbered ``holes`` from the nearest of those that are ``behind``.

        Beyond the key frame's border places go on as those of the same layer do: affinely.
        """
        source, values = nearest_known(behind, holes), self._values
        if source is None:
            values[holes, 2] = NOTHING
            return
        points, offset = grid.reshape(-1, 2), self.offset_at(source)
        own_points = points.take(holes, axis=0)
        places = offset + points.take(source, axis=0)
        goes_on = offset + own_points
        trust = np.full(len(holes), NOTHING, np.float32)
        layer = place.take(source)
        coarse = np.s_[::SPARSE, ::SPARSE]
        thin = behind[coarse]
        thin_layers, thin_points = place[coarse][thin], grid[coarse][thin]
        thin_goals = thin_points + values.reshape(*behind.shape, 4)[coarse][thin][:, :2]
        last = np.subtract(behind.shape[::-1], 1)
        for number in np.unique(layer):
            known = thin_layers == number
            if number == free or known.sum() < FEWEST_SAMPLES:  # optical flow goes on in no simple way
                continue
            samples = np.concatenate([thin_points[known], np.ones((known.sum(), 1), np.float32)], axis=1)
            affine = np.linalg.lstsq(samples.astype(np.float64), thin_goals[known].astype(np.float64), rcond=None)[0]
            own = np.flatnonzero(layer == number)
            goals = own_points.take(own, axis=0) @ affine[:2] + affine[2]
            beyond = lengths(goals - goals.clip(0, last))
            out = np.flatnonzero(beyond > 0)
            places[own[out]] = goals[out]
            goes_on[own] = goals
            trust[own] /= (1 + beyond) ** 2
        values[holes, :2] = places - own_points
        values[holes, 2] = trust
        self.holes = Holes(behind.shape, holes, layer, goes_on)


class _Side:
    """One key frame at the size displacements are splatted at."""

    def __init__(self, layers: MotionLayers, side: int, size: tuple[int, int]):
        self._picture = layers.pictures[side]
        self._light = layers.light[side]
        self._size, self._solved = size, layers.size
        depth = layers.depth(side)
        place = (depth // PARTS).astype(np.uint8)
        rim = (cv2.dilate(place, np.ones((5, 5), np.uint8)) > place) & (_spread(layers.displacement[side], 5) > JUMP)
        trust = np.where(rim, FRINGE, 1) * (HIDDEN + (1 - HIDDEN) * layers.seen[side])
        trust = np.where(layers.figure(side), np.maximum(trust, FIGURE), trust)
        self._enlarging = None if size == self._solved else Enlarging(depth, size)
        self._displacement = self._resized_field(layers.displacement[side])
        trust = self._resized(trust.astype(np.float32))
        self._values = np.empty((*size, 4), np.float32)  # offset (written anew for each time), trust, explained
        self._values[..., 2], self._values[..., 3] = trust, self._resized(layers.explained[side])
        known = np.where(trust > 0.5, 2, np.where(trust > CLEAN, 1, 0))
        self._splat = Splatter((depth if self._enlarging is None else self._enlarging.numbers) + LEVEL * known)
        self._grid = pixel_grid(*size)
        self._free = layers.order[0]  # place of the free flow

    def _resized(self, plane: np.ndarray) -> np.ndarray:
        return plane if self._enlarging is None else self._enlarging(plane)

    def _resized_field(self, field: np.ndarray) -> np.ndarray:
        """Displacements in pixels of the new size."""
        if self._enlarging is None:
            return field
        return self._enlarging(field * np.divide(self._size[::-1], self._solved[::-1], dtype=np.float32))

    def displacement_at(self, pixels: np.ndarray, offset: np.ndarray) -> np.ndarray:
        """Displacements (N, 2) of what lies ``offset`` (N, 2) px beside the pixels numbered ``pixels`` (N,)."""
        last = np.subtract(self._size[::-1], 1)
        x, y = np.rint(self._grid.reshape(-1, 2).take(pixels, axis=0) + offset).astype(np.int64).clip(0, last).T
        return self._displacement.reshape(-1, 2).take(y * self._size[1] + x, axis=0)

    def at(self, passed: float, detour: np.ndarray | None) -> _Part:
        """What this key frame contributes when ``passed`` of the way from it is gone."""
        moved = self._displacement * np.float32(passed)
        if detour is not None:
            moved += self._resized_field(detour)
        np.negative(moved, out=self._values[..., :2])
        moved += self._grid
        return _Part(*self._splat(moved, self._values), self._grid, self._free)

    @cached_property
    def _full_grid(self) -> np.ndarray:
        return pixel_grid(*self._picture.shape[:2])

    def colours(self, offset: np.ndarray, passed: float) -> np.ndarray:
        """Sampled ``offset`` (H, W, 2) px of the splatted size beside each pixel, in the light of that time."""
        height, width = self._picture.shape[:2]
        if (height, width) != self._size:
            offset = offset * np.divide((width, height), self._size[::-1], dtype=np.float32)
        places = self._full_grid + offset
        colours = cv2.remap(self._picture, places, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        if self._light is None:
            return colours
        gain = cv2.resize(self._light, (width, height)) if self._light.shape[:2] != (height, width) else self._light
        gain = cv2.remap(1 / gain, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return colours * (1 + np.float32(min(max(passed, 0.0), 1.0)) * (gain - 1))
