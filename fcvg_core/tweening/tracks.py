"""Interpolated lines and poses as point tracks, for models that are steered by tracks (the host's TRACKS)."""

from collections.abc import Sequence

import numpy as np
import torch

from ..poses.pose import SCORE_THRESHOLD, PoseFrame

TRACK_POINTS = ("midpoints", "endpoints", "midpoints and endpoints")  # of lines


def line_tracks(segments: np.ndarray, points: str = "midpoints") -> np.ndarray:
    """Points of moving segments.

    Args:
        segments: (F, M, 2, 2), F >= 2, pixel (x, y), endpoints in the same order in all frames but the last, which may
            be the key frame verbatim.
        points: one of :data:`TRACK_POINTS`.

    Returns:
        float32 (F, N, 2).
    """
    before, last = segments[-2:]
    turned = np.sum((before[:, 1] - before[:, 0]) * (last[:, 1] - last[:, 0]), axis=-1) < 0
    segments = np.concatenate([segments[:-1], np.where(turned[:, None, None], last[:, ::-1], last)[None]])
    parts = [segments.mean(axis=2)] if "midpoints" in points else []
    if "endpoints" in points:
        parts += [segments[:, :, 0], segments[:, :, 1]]
    return np.concatenate(parts, axis=1).astype(np.float32)


def joint_tracks(poses: Sequence[PoseFrame], people: int, canvas: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Body joints of the first ``people`` people.

    Returns:
        float32 (F, 18 people, 2) pixels of ``canvas`` (height, width), and bool (F, 18 people): seen by the estimator.
    """
    joints = np.stack([frame.body[:people].reshape(-1, 2) for frame in poses]) * np.array(canvas[::-1])
    seen = np.stack([frame.body_score[:people].reshape(-1) > SCORE_THRESHOLD for frame in poses])
    return joints.astype(np.float32), seen


def host_tracks(points: np.ndarray, visible: np.ndarray, canvas: tuple[int, int]) -> dict[str, torch.Tensor]:
    """The host's TRACKS value; points outside the picture count as invisible.

    Args:
        points: (F, N, 2), pixel (x, y).
        visible: bool (F, N).

    Returns:
        ``track_path`` float32 (F, N, 2) and ``track_visibility`` bool (F, N).
    """
    inside = ((points >= 0) & (points < np.array(canvas[::-1]))).all(axis=-1)
    path = torch.from_numpy(np.ascontiguousarray(points, np.float32))
    return {"track_path": path, "track_visibility": torch.from_numpy(inside & visible)}
