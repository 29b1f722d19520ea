"""Drawn paths that pull what is near them off the straight way between the key frames."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..poses.pose import PoseFrame


@dataclass(frozen=True)
class DrawnPath:
    """The way of one point from the first key frame to the last.

    Attributes:
        times: float64 (N,), increasing, 0 = first key frame, 1 = last.
        points: float64 (N, 2), pixel (x, y) at these times, N >= 2; linear between them, at rest before and after.
    """

    times: np.ndarray
    points: np.ndarray

    @classmethod
    def sampled(cls, points: np.ndarray) -> "DrawnPath":
        """A path of evenly timed points (N, 2)."""
        return cls(np.linspace(0, 1, len(points)), np.asarray(points, np.float64))

    def at(self, times: np.ndarray) -> np.ndarray:
        """Positions (F, 2)."""
        return np.stack([np.interp(times, self.times, axis) for axis in self.points.T], axis=-1)

    def detour(self, times: np.ndarray) -> np.ndarray:
        """How far the path is off the straight way from its first to its last point, (F, 2) px; nothing at both."""
        times = np.clip(times, 0, 1)
        return self.at(times) - (self.points[0] + (self.points[-1] - self.points[0]) * times[:, None])


def paths_from_tracks(track_path: np.ndarray, track_visibility: np.ndarray | None) -> list[DrawnPath]:
    """The paths of the host's TRACKS, by their visible frames; tracks seen in fewer than two frames are left out.

    Args:
        track_path: (T, N, 2) pixel (x, y).
        track_visibility: bool (T, N) or (T, 1), or None for always.
    """
    frames, count = track_path.shape[:2]
    seen = np.ones((frames, count), bool) if track_visibility is None else np.asarray(track_visibility, bool)
    seen = np.broadcast_to(seen, (frames, count)) & np.isfinite(track_path).all(axis=-1)
    times = np.linspace(0, 1, frames)
    return [
        DrawnPath(times[shown], np.asarray(track_path[shown, number], np.float64))
        for number, shown in enumerate(seen.T)
        if shown.sum() >= 2
    ]


def pull(
    paths: Sequence[DrawnPath], start: np.ndarray, end: np.ndarray, fractions: Sequence[float], radius: float
) -> np.ndarray:
    """By how much paths displace points that go from ``start`` to ``end``.

    A path pulls what begins near its beginning *and* ends near its end: the weight falls smoothly from 1 to 0 as the
    larger of the two distances reaches ``radius`` (Tukey's biweight). Paths that overlap share.

    Args:
        start, end: (N, 2), pixel (x, y).
        fractions: t per frame.
        radius: px, above 0.

    Returns:
        float64 (F, N, 2), px.
    """
    times = np.asarray(fractions, np.float64)
    weights = reach(paths, start, end, radius)
    total = np.zeros((len(times), len(start), 2))
    for path, weight in zip(paths, weights, strict=True):
        total += weight[:, None] * path.detour(times)[:, None]
    return total / np.maximum(weights.sum(axis=0), 1)[:, None]


def reach(paths: Sequence[DrawnPath], start: np.ndarray, end: np.ndarray, radius: float) -> np.ndarray:
    """How strongly each path pulls points that go from ``start`` to ``end``: (paths, N), 0..1; see :func:`pull`."""
    weights = np.zeros((len(paths), len(start)))
    for weight, path in zip(weights, paths, strict=True):
        away = [
            np.linalg.norm(side - point, axis=-1) for side, point in ((start, path.points[0]), (end, path.points[-1]))
        ]
        weight[:] = np.maximum(1 - (np.maximum(*away) / radius) ** 2, 0) ** 2
    return weights


def pull_segments(
    paths: Sequence[DrawnPath],
    moved: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    fractions: Sequence[float],
    radius: float,
) -> np.ndarray:
    """Displace segments as wholes.

    Args:
        moved: (F, M, 2, 2), pixel (x, y), the segments on their way without paths.
        start, end: float32 (M, 2, 2), the segments in the key frames.

    Returns:
        float32 (F, M, 2, 2).
    """
    offset = pull(paths, start.mean(axis=1), end.mean(axis=1), fractions, radius)
    return moved + offset[:, :, None].astype(np.float32)


def pull_poses(
    paths: Sequence[DrawnPath],
    poses: Sequence[PoseFrame],
    ends: tuple[PoseFrame, PoseFrame],
    fractions: Sequence[float],
    radius: float,
    canvas: tuple[int, int],
) -> list[PoseFrame]:
    """Displace people as wholes.

    Args:
        poses: one per fraction; the people of ``ends`` come first, in the same order, others stay where they are.
        ends: the people that are in both key frames, at fraction 0 and at fraction 1.
        canvas: (height, width) of the pictures the paths were drawn on.
    """
    size = np.array(canvas[::-1], np.float64)
    start, end = (_centres(frame) * size for frame in ends)
    offsets = pull(paths, start, end, fractions, radius) / size
    return [_shifted(frame, offset) for frame, offset in zip(poses, offsets, strict=True)]


def _centres(frame: PoseFrame) -> np.ndarray:
    """Mean of every person's reported joints, (P, 2); unreported ones stand at (0, 0)."""
    reported = (frame.body != 0).any(axis=-1).sum(axis=-1)
    return frame.body.sum(axis=1) / np.maximum(reported, 1)[:, None]


def _shifted(frame: PoseFrame, offset: np.ndarray) -> PoseFrame:
    """The first people moved by ``offset`` (N, 2) in units of the canvas; unreported points stay unreported."""
    moved = {}
    for name in ("body", "left_hand", "right_hand", "face"):
        points = getattr(frame, name).copy()
        pulled = points[: len(offset)]
        points[: len(offset)] = np.where((pulled == 0).all(axis=-1, keepdims=True), 0, pulled + offset[:, None])
        moved[name] = points
    return replace(frame, **moved)
