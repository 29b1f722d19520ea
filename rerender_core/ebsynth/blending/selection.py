"""Which of two propagated pictures each pixel is taken from (docs/methods/ebsynth.md, Selection)."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from ...flow.warping import warp


def weights_of(count: int, published: bool = False) -> list[float]:
    """Weight of the right key frame for the ``count`` frames between two key frames: c / (count + 1) for frame
    c = 1..count. ``published`` starts at 0 instead, (c - 1) / count, as the reference does."""
    return [(frame - 1) / count if published else frame / (count + 1) for frame in range(1, count + 1)]


def selection_masks(
    error_left: np.ndarray,
    error_right: np.ndarray,
    flows: Sequence[np.ndarray],
    weights: Sequence[float],
    mirrored_errors: bool = False,
) -> Iterator[np.ndarray]:
    """Per frame, where the picture propagated from the right key frame wins.

    Args:
        error_left, error_right: float32 [N, H, W], patch errors of the two propagations for the N frames between two
            key frames, both in time order.
        flows: N of float32 [H, W, 2], flow of frame c living on it and pointing into the frame before; the first one
            (into the left key frame) is not used.
        weights: weight of the right key frame per frame.
        mirrored_errors: read ``error_right`` in reverse order, a fault of the reference.

    Yields:
        bool [H, W], True = take the right one. A pixel that went to the right key frame stays there along the motion.
    """
    if mirrored_errors:
        error_right = error_right[::-1]
    before = None
    for index, weight in enumerate(weights):
        mask = weight * error_left[index] >= (1 - weight) * error_right[index]
        if before is not None:
            previous = torch.from_numpy(before.astype(np.float32))[None, None]
            flow = torch.from_numpy(np.ascontiguousarray(flows[index].transpose(2, 0, 1)))[None]
            mask |= warp(previous, flow, "nearest")[0, 0].numpy() > 0.5
        before = mask
        yield mask


def select(left: np.ndarray, right: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """``right`` where the mask is True, else ``left``; pictures [H, W, C]."""
    return np.where(mask[..., None], right, left)
