"""On which ways motion layers go: straight, along the arcs of their motions, pulled along drawn paths."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from ...tweening.drawn_paths import DrawnPath, reach
from ..layers import FREE, MotionLayers
from ..motion.motions import RigidMotion, pixel_grid

WHOLE = 0.25  # share of the picture below which a connected part of one motion is pulled as a whole


@dataclass
class Travel:
    """The ways between key frames.

    Attributes:
        arcs: things that turn or zoom follow the arc of their motion; otherwise all goes straight.
        own_centre: a thing's centre goes straight while it turns, like a wheel, instead of swinging about the point
            that its motion leaves in place.
        paths: drawn ones, in pixels of the key frames.
        radius: how far a path reaches, px.
    """

    arcs: bool = True
    own_centre: bool = False
    paths: Sequence[DrawnPath] = ()
    radius: float = 150.0
    _pulls: dict = field(default_factory=dict, repr=False, compare=False)
    _parts: dict = field(default_factory=dict, repr=False, compare=False)

    def detour(self, layers: MotionLayers, side: int, time: float) -> np.ndarray | None:
        """How far the pixels of a key frame are off the straight way at ``time`` counted from it, float32 (h, w, 2) px
        of the solved size; None where all goes straight."""
        detour = None
        if self.arcs:
            detour = self._turned(layers, side, time)
            flat = detour.reshape(-1, 2)
            for number, own, points, centre in self._follow(layers, side)[2]:
                flat[own] = layers.motions[number].detour(side, points, time, centre)
        if self.paths:
            pull = self._pull(layers, side, time if side == 0 else 1 - time)
            detour = pull if detour is None else detour + pull
        return detour

    def dissolve_detour(self, layers: MotionLayers, time: float) -> np.ndarray | None:
        """How far what dissolves is pulled off the straight way at ``time``, for the places it has half-way: float32
        (h, w, 2) px of the solved size; None without paths."""
        if not self.paths or layers.dissolve is None:
            return None
        key = id(layers), "dissolve"
        if key not in self._pulls:
            scale = np.array(layers.pictures[0].shape[1::-1]) / np.array(layers.size[::-1])
            ends = layers.dissolve.sources(pixel_grid(*layers.size))
            start, end = (points.reshape(-1, 2) * scale for points in ends)
            weights = reach(self.paths, start, end, self.radius).reshape(-1, *layers.size).astype(np.float32)
            self._pulls[key] = weights / np.maximum(weights.sum(axis=0), 1)
        return self._pulled(layers, self._pulls[key], time)

    def _turned(self, layers: MotionLayers, side: int, time: float) -> np.ndarray:
        """The detours of all that moves rigidly, (h, w, 2), 0 elsewhere: a similarity for each motion."""
        place, rigid, _ = self._follow(layers, side)
        table = np.zeros((4, len(layers.motions) + 1), np.float32)
        for number, centre in rigid:
            corners = layers.motions[number].detour(side, np.array([[0.0, 0.0], [1.0, 0.0]]), time, centre)
            table[:, number - FREE] = *(corners[1] - corners[0]), *corners[0]
        height, width = layers.size
        x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
        cos, sin, right, down = (np.take(row, place, mode="clip") for row in table)
        detour = np.empty((height, width, 2), np.float32)
        np.add(right, cos * x, out=detour[..., 0])
        detour[..., 0] -= sin * y
        np.add(down, sin * x, out=detour[..., 1])
        detour[..., 1] += cos * y
        return detour

    def _follow(self, layers: MotionLayers, side: int) -> tuple[np.ndarray, list[tuple], list[tuple]]:
        """Which place in a table of motions, free flow first, each pixel (h, w) has; number and centre of each rigid
        motion; of the others also the numbers and places of the pixels that follow them."""
        key = id(layers), side
        if key not in self._parts:
            label = layers.label[side]
            rigid, bending = [], []
            for number in np.unique(label[label != FREE]):
                centre = self._centre(layers, number) if self.own_centre else None
                if isinstance(layers.motions[number], RigidMotion):
                    rigid.append((number, centre))
                else:
                    own = np.flatnonzero(label == number)
                    bending.append((number, own, pixel_grid(*layers.size).reshape(-1, 2)[own], centre))
            self._parts[key] = (label - FREE).astype(np.intp), rigid, bending
        return self._parts[key]

    def _centre(self, layers: MotionLayers, number: int) -> complex | None:
        own = layers.label[0] == number
        if not own.any():
            return None
        y, x = np.nonzero(own)
        return complex(x.mean(), y.mean())

    def _pull(self, layers: MotionLayers, side: int, time: float) -> np.ndarray:
        """What the paths add, (h, w, 2) px; ``time`` counts from the first key frame."""
        key = id(layers), side
        if key not in self._pulls:
            self._pulls[key] = self._weights(layers, side)
        return self._pulled(layers, self._pulls[key], time)

    def _pulled(self, layers: MotionLayers, weights: np.ndarray, time: float) -> np.ndarray:
        """The paths' ways (h, w, 2), px of the solved size, at the weights (paths, h, w)."""
        scale = np.array(layers.size[::-1]) / np.array(layers.pictures[0].shape[1::-1])
        ways = np.stack([path.detour(np.array([time]))[0] * scale for path in self.paths]).astype(np.float32)
        return np.tensordot(weights, ways, axes=([0], [0])).astype(np.float32)

    def _weights(self, layers: MotionLayers, side: int) -> np.ndarray:
        """How strongly each path pulls each pixel, float32 (paths, h, w); small connected parts go as wholes."""
        grid = pixel_grid(*layers.size).reshape(-1, 2)
        ends = [grid, grid + layers.displacement[side].reshape(-1, 2)]
        scale = np.array(layers.pictures[0].shape[1::-1]) / np.array(layers.size[::-1])
        start, end = (points * scale for points in (ends if side == 0 else ends[::-1]))
        weights = reach(self.paths, start, end, self.radius).reshape(-1, *layers.size).astype(np.float32)
        for number in np.unique(layers.label[side]):
            if number == FREE:
                continue
            count, part, stats, _ = cv2.connectedComponentsWithStats((layers.label[side] == number).astype(np.uint8))
            for place in range(1, count):
                if stats[place, cv2.CC_STAT_AREA] < WHOLE * part.size:
                    own = part == place
                    weights[:, own] = weights[:, own].max(axis=1, keepdims=True)
        return weights / np.maximum(weights.sum(axis=0), 1)
