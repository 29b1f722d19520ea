"""Poses as FCVG draws them: pictures for its condition encoder (spec dwpose.md 7, fcvg.md 5.2)."""

from collections.abc import Sequence

import numpy as np

from .line_matches import Progress
from .pose import PoseFrame


def draw_poses(poses: Sequence[PoseFrame], height: int, width: int, progress: Progress | None = None) -> np.ndarray:
    """Draw poses on black.

    Figures are drawn on a canvas whose shorter side is 2160 px and reduced by bilinear interpolation without
    antialiasing, with red and blue exchanged against OpenPose: what FCVG's weights have been trained on.

    Args:
        poses: F frames; positions are taken relative to the picture, whatever canvas they came from.
        height, width: size of the pictures in pixels.
        progress: told after each frame.

    Returns:
        uint8 RGB (F, height, width, 3).
    """
    raise RuntimeError("under construction")
