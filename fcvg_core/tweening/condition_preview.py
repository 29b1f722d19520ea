"""Condition pictures laid over a cross-fade of the key frames, to judge correspondences by eye."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch

SHADE = 0.55  # of the key frames, so that lines stand out
SPREAD = np.ones((3, 3), np.uint8)  # one-pixel lines become three pixels wide, or they vanish in scaled-down previews


def overlay_conditions(
    conditions: torch.Tensor, start: torch.Tensor, end: torch.Tensor, fractions: Sequence[float]
) -> torch.Tensor:
    """Lay each condition picture over the darkened mixture of the key frames at its fraction.

    Args:
        conditions: float32 (F, H, W, 3), 0..1.
        start, end: float32 (H, W, 3), 0..1.
        fractions: one per frame; 0 shows ``start``, 1 ``end``, beyond them the nearer one.

    Returns:
        float32 (F, H, W, 3), 0..1.
    """
    preview = torch.empty_like(conditions)
    first, last = (np.ascontiguousarray(side.cpu().numpy()) for side in (start, end))
    for index, fraction in enumerate(fractions):
        weight = float(np.clip(fraction, 0, 1))
        picture = preview[index].numpy()
        cv2.addWeighted(first, SHADE * (1 - weight), last, SHADE * weight, 0, dst=picture)
        spread = cv2.dilate(conditions[index].numpy(), SPREAD)
        black = cv2.inRange(spread, (0, 0, 0), (0, 0, 0))
        cv2.copyTo(spread, cv2.bitwise_not(black), picture)
    return preview
