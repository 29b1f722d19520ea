"""Scene cuts of a clip: where the picture changes at once, everywhere, and stays changed.

Frames are compared as small blurred pictures in CIE Lab, where hue has no end (red beside red is near) and dark or
grey pixels have no colour to be wrong about, after optical flow has moved one onto the other, so that motion and pans
do not count.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from torch import Tensor

from ..pictures import to_uint8

SIDE = 96  # frames are compared at this width
BLUR = 1.5  # pixels at that width: averages noise away
USUAL = 8.0  # threshold, Delta E
STEADY = 2.0  # a cut changes the picture so many times as much as the frames around it do; a fade does not
FLASH = 8  # frames: what comes back within so many was a flash
BACK = 0.35  # share of the change below which a picture has come back


def find_cuts(frames: Tensor, threshold: float = USUAL) -> list[int]:
    """Numbers of the frames at which a new scene begins.

    Args:
        frames: float [T, H, W, 3], 0..1.
        threshold: mean change of colour (Delta E 1976) that makes a cut; lower finds more.
    """
    pictures = [_small(to_uint8(frame)) for frame in frames]
    changes = [0.0] + [_change(before, after, threshold) for before, after in zip(pictures, pictures[1:], strict=False)]
    cuts: list[int] = []
    for number, change in enumerate(changes):
        around = [changes[place] for place in _around(number, len(changes)) if place not in cuts]
        sudden = change > threshold and (not around or change > STEADY * float(np.median(around)))
        near = max(BACK * change, BACK * STEADY * threshold)
        if sudden and not _comes_back(pictures, number, cuts[-1] if cuts else 0, near):
            cuts.append(number)
    return cuts


def _around(number: int, count: int) -> list[int]:
    return [place for place in (number - 2, number - 1, number + 1, number + 2) if 0 < place < count]


def _small(picture: np.ndarray) -> np.ndarray:
    """uint8 RGB to blurred float32 Lab [h, SIDE, 3], L 0..100."""
    height = max(1, round(picture.shape[0] * SIDE / picture.shape[1]))
    small = cv2.resize(picture, (SIDE, min(height, 4 * SIDE)), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(cv2.GaussianBlur(small.astype(np.float32) / 255, (0, 0), BLUR), cv2.COLOR_RGB2LAB)


def _change(before: np.ndarray, after: np.ndarray, enough: float) -> float:
    """Mean Delta E between two pictures, with motion taken out where there is more than ``enough``."""
    still = float(np.linalg.norm(after - before, axis=-1).mean())
    if still <= enough or min(after.shape[:2]) < 16:  # DIS takes no smaller pictures
        return still
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST).calc(_light(after), _light(before), None)
    y, x = np.indices(after.shape[:2], np.float32)
    moved = cv2.remap(before, x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return min(still, float(np.linalg.norm(after - moved, axis=-1).mean()))


def _light(picture: np.ndarray) -> np.ndarray:
    return np.clip(picture[..., 0] * 2.55, 0, 255).astype(np.uint8)


def _comes_back(pictures: Sequence[np.ndarray], number: int, begin: int, near: float) -> bool:
    """Whether a frame soon after ``number`` is as ``near`` to one shortly before it, since ``begin``."""
    before = pictures[max(begin, number - FLASH) : number]
    after = pictures[number + 1 : number + FLASH] or pictures[number : number + 1]
    return any(_change(a, b, near) <= near for a in before for b in after)
