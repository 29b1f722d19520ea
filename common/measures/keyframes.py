"""How true a clip is to the two key frames it runs between: its end frames and its colours."""

import cv2
import numpy as np
import torch

from ..pictures import same_size
from .measurement import Measurement, channel_mean, mean, pictures

# Of sRGB's primaries, and their white (IEC 61966-2-1), as scikit-image has them
RGB_TO_XYZ = np.array(
    [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]], np.float32
)
WHITE = np.array([0.95047, 1.0, 1.08883], np.float32)


def end_frame_error(frames: torch.Tensor, start: torch.Tensor, end: torch.Tensor) -> Measurement:
    """Mean absolute difference of the first frame to the first key and of the last frame to the last key.

    Args:
        frames: float32 [T, H, W, 3] 0..1.
        start, end: float32 [H, W, 3] of the same size.

    Returns:
        0..1, the mean of both; ``per_frame`` holds the two. The heat map is the mean of both differences.

    Raises:
        BetwixtError: another size.
    """
    same_size(frames, start, "frames", "start")
    same_size(frames, end, "frames", "end")
    first, last = pictures(frames[[0, -1]])
    key0, key1 = pictures(torch.stack([start, end]))
    differences = [channel_mean(np.abs(first - key0)), channel_mean(np.abs(last - key1))]
    values = [float(difference.mean(dtype=np.float64)) for difference in differences]
    return Measurement("End-frame error", mean(values), tuple(values), "", False, np.mean(differences, axis=0))


def mean_lab(picture: torch.Tensor) -> np.ndarray:
    """Mean CIE Lab (D65) of an sRGB picture float32 [H, W, 3] 0..1: float64 (3,), L 0..100."""
    (values,) = pictures(picture[None])
    linear = cv2.pow(cv2.addWeighted(values, 1 / 1.055, values, 0, 0.055 / 1.055), 2.4)
    np.copyto(linear, values / np.float32(12.92), where=values <= 0.04045)
    xyz = cv2.transform(linear, RGB_TO_XYZ / WHITE[:, None])
    roots = np.cbrt(xyz)
    np.copyto(roots, cv2.addWeighted(xyz, 24389 / 27 / 116, xyz, 0, 16 / 116), where=xyz <= 216 / 24389)
    x, y, z, _ = cv2.mean(roots)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def colour_distance(frames: torch.Tensor, start: torch.Tensor, end: torch.Tensor) -> Measurement:
    """How far each frame's mean colour is from what lies between the mean colours of the two keys.

    CIE76 colour difference to the nearest point of the straight line from key to key in Lab: 0 at either key and
    for every blend of them, 2.3 is about the least difference that is noticed.

    Args:
        frames, start, end: as for :func:`end_frame_error`; the keys may have any size.
    """
    key0, key1 = mean_lab(start), mean_lab(end)
    line = key1 - key0
    length = float(line @ line)
    values = []
    for picture in frames:
        offset = mean_lab(picture) - key0
        share = float(np.clip(offset @ line / length, 0, 1)) if length > 0 else 0.0
        values.append(float(np.linalg.norm(offset - share * line)))
    return Measurement("Colour distance", mean(values), tuple(values), "Delta E", False)
