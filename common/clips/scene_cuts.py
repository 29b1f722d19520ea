"""Scene cuts of a clip, by the change of colour from frame to frame."""

import cv2
import numpy as np
from torch import Tensor

from ..pictures import to_uint8

SIDE = 128  # frames are compared at this width
USUAL = 27.0  # threshold


def find_cuts(frames: Tensor, threshold: float = USUAL) -> list[int]:
    """Numbers of the frames at which a new scene begins.

    Args:
        frames: float [T, H, W, 3], 0..1.
        threshold: mean change of hue, saturation and value (8-bit) that makes a cut; lower finds more.
    """
    cuts, previous = [], None
    for number, frame in enumerate(frames):
        picture = to_uint8(frame)
        height = max(1, round(picture.shape[0] * SIDE / picture.shape[1]))
        small = cv2.resize(picture, (SIDE, height), interpolation=cv2.INTER_AREA)
        colours = cv2.cvtColor(small, cv2.COLOR_RGB2HSV).astype(np.int16)
        if previous is not None and np.abs(colours - previous).mean() > threshold:
            cuts.append(number)
        previous = colours
    return cuts
