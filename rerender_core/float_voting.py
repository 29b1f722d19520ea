"""What 8-bit synthesis loses of 16-bit and float key frames, and how to give it back."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def float_vote(style: Tensor, matches: Tensor, patch: int) -> Tensor:
    """As the plain vote of patch_voting.py, without rounding and without limits.

    Args:
        style: float [H, W, C].
        matches: int [Ht, Wt, 2], (x, y) of each pixel's matched patch; negative = none.
        patch: side of the patch.

    Returns:
        float [Ht, Wt, C]; 0 where nothing votes.
    """
    height, width, channels = style.shape
    target_height, target_width = matches.shape[:2]
    radius = patch // 2
    padded = F.pad(matches.long().permute(2, 0, 1), (radius,) * 4, value=-(2**20)).permute(1, 2, 0)
    total = style.new_zeros(target_height, target_width, channels)
    count = style.new_zeros(target_height, target_width, 1)
    flat = style.reshape(-1, channels)
    for dy in range(patch):
        for dx in range(patch):
            match = padded[dy : dy + target_height, dx : dx + target_width]
            x, y = match[..., 0] + radius - dx, match[..., 1] + radius - dy
            inside = (match[..., 0] >= 0) & (x >= 0) & (x < width) & (y >= 0) & (y < height)
            index = torch.where(inside, y * width + x, 0)
            total += flat[index] * inside[..., None]
            count += inside[..., None]
    return total / count.clamp_min(1)


def lost_precision(style: Tensor, matches: np.ndarray, made: np.ndarray, patch: int) -> Tensor:
    """What to add to a frame (0..1) made from the 8-bit key to have it as from the float key, [H, W, C]."""
    voted = float_vote(style.float(), torch.from_numpy(np.ascontiguousarray(matches)), patch)
    return voted - torch.from_numpy(np.ascontiguousarray(made)).float() / 255
