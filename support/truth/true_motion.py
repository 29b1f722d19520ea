"""What the true motion makes of two key frames: no way that is told less comes nearer to the frames between them."""

import cv2
import numpy as np

from support.pictures.moved_pictures import MovedClip, apply, part_way

WHOLE = 0.99  # share of a pixel's four neighbours that show the layer


def true_motion(clip: MovedClip, time: float) -> tuple[np.ndarray, np.ndarray]:
    """The frame at ``time``, one of ``clip.seen``: each pixel from both key frames, cubic, where they show its place
    of its layer; nearer key frames count for more.

    Returns:
        uint8 RGB (H, W, 3), and bool (H, W): which pixels a key frame shows; the others are black.
    """
    height, width = clip.first.shape[:2]
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).astype(np.float64)
    total, weight = np.zeros((height, width, 3)), np.zeros((height, width, 1))
    for picture, end, share in ((clip.first, 0, 1 - time), (clip.last, 1, time)):
        for number, motion in enumerate(clip.motions):
            places = apply(part_way(motion, end) @ np.linalg.inv(part_way(motion, time)), grid).astype(np.float32)
            shown = cv2.remap((clip.seen[end] == number).astype(np.float32), places, None, cv2.INTER_LINEAR)
            own = ((clip.seen[time] == number) & (shown > WHOLE))[..., None]
            colour = cv2.remap(picture, places, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
            total, weight = total + share * own * colour, weight + share * own
    known = weight[..., 0] > 0
    return np.rint(total / np.maximum(weight, 1e-9)).astype(np.uint8), known
