"""Condition pictures: lines and poses of every frame, drawn and fused
(docs/methods/conditions.md, Fusing lines and poses)."""

from collections.abc import Sequence

import numpy as np
import torch

from ...common.progress import Progress, silent
from ..lines.drawing import draw_segments
from ..poses.drawing import PoseDrawer
from ..poses.pose import PoseFrame


def fuse_conditions(lines: np.ndarray, poses: np.ndarray) -> np.ndarray:
    """Poses over lines, channel by channel: where a pose's channel is 0, the line's shows through.

    Args:
        lines, poses: uint8 RGB of equal shape.
    """
    return np.where(poses != 0, poses, lines)


def pose_sequence(
    moved: Sequence[PoseFrame], first: PoseFrame, last: PoseFrame, fractions: Sequence[float]
) -> list[PoseFrame]:
    """Interpolated poses with the key frames themselves at a first fraction of 0 and a last one of 1.

    As published: there, surplus people appear and hidden joints do not.
    """
    poses = list(moved)
    if fractions[0] == 0:
        poses[0] = first
    if fractions[-1] == 1:
        poses[-1] = last
    return poses


def draw_conditions(
    segments: np.ndarray | None,
    colours: np.ndarray | None,
    poses: Sequence[PoseFrame] | None,
    canvas: tuple[int, int],
    thickness: int = 1,
    progress: Progress = silent,
) -> torch.Tensor:
    """The condition picture of every frame.

    Args:
        segments: (F, M, 2, 2), pixel (x, y), or None for poses only.
        colours: uint8 (M, 3), RGB of each line.
        poses: F frames, or None for lines only. One of the two must be given.
        canvas: (height, width) of the pictures.
        thickness: of lines, pixels.
        progress: told after each frame.

    Returns:
        float32 RGB (F, height, width, 3), 0..1 in steps of 1/255.
    """
    count = len(poses or ()) if segments is None else len(segments)
    drawer = None if poses is None or not any(map(len, poses)) else PoseDrawer(*canvas)
    frames = torch.empty((count, *canvas, 3), dtype=torch.float32)
    for index in range(count):
        if segments is None:
            picture = np.zeros((*canvas, 3), np.uint8)
        else:
            assert colours is not None, "lines have colours"
            picture = draw_segments(segments[index], colours, *canvas, thickness)
        if poses is not None and drawer is not None and len(poses[index]):
            picture = fuse_conditions(picture, drawer.picture(poses[index]))
        frames[index] = torch.from_numpy(picture)
        progress((index + 1) / count, "drawing conditions")
    return frames.div_(255)
