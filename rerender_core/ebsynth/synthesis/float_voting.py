"""What 8-bit synthesis loses of 16-bit and float key frames, and how to give it back."""

import numpy as np
import torch
from torch import Tensor

from ....common.helpers import Helpers
from .voting import Voting


def float_vote(
    style: Tensor, matches: Tensor, patch: int, voting: Voting = "plain", errors: Tensor | None = None
) -> Tensor:
    """As :func:`.voting.vote`, without rounding and without limits.

    Args:
        style: float [H, W, C].
        matches: int [Ht, Wt, 2], (x, y) of each pixel's matched patch; negative = none.
        patch: side of the patch.
        voting, errors: see there; errors float [Ht, Wt], for "weighted" only.

    Returns:
        float [Ht, Wt, C]; 0 where nothing votes.
    """
    height, width, channels = style.shape
    target_height, target_width = matches.shape[:2]
    radius, plain = patch // 2, voting == "plain"
    weight = (matches[..., 0] >= 0).to(style.dtype)
    if voting == "weighted":
        if errors is None:
            raise ValueError("weighted votes need the patch errors")
        weight = weight / (1 + errors / (patch * patch * channels))
    rows, columns = (torch.arange(-radius, size + radius) for size in (target_height, target_width))
    inside = [(places >= 0) & (places < size) for places, size in ((rows, target_height), (columns, target_width))]
    rows, columns = rows.clamp(0, target_height - 1), columns.clamp(0, target_width - 1)
    matches, weight = matches.long()[rows][:, columns], weight[rows][:, columns]
    if plain:
        weight = weight * inside[0][:, None] * inside[1]
    total, count = (
        style.new_zeros(target_height, target_width, channels),
        style.new_zeros(target_height, target_width, 1),
    )
    flat = style.reshape(-1, channels)
    for dy in range(patch):
        for dx in range(patch):
            window = (slice(dy, dy + target_height), slice(dx, dx + target_width))
            x, y = (matches[window] + torch.tensor([radius - dx, radius - dy])).unbind(-1)
            said = weight[window]
            if plain:
                said = said * ((x >= 0) & (x < width) & (y >= 0) & (y < height))
            index = y.clamp(0, height - 1) * width + x.clamp(0, width - 1)
            total += flat.index_select(0, index.flatten()).view(total.shape) * said[..., None]
            count += said[..., None]
    return total / torch.where(count > 0, count, 1)


def lost_precision(
    style: Tensor, matches: np.ndarray, errors: np.ndarray, made: np.ndarray, patch: int, voting: Voting
) -> Tensor:
    """What to add to a frame (0..1) made from the 8-bit key to have it as from the float key, [H, W, C].

    Args:
        matches, errors, made: of the last vote, see :class:`.propagation.Side`.
        patch, voting: of the last vote.
    """
    matched, misfit, eight_bit = (torch.from_numpy(np.ascontiguousarray(field)) for field in (matches, errors, made))
    with Helpers(style.device):
        return float_vote(style.float(), matched, patch, voting, misfit) - eight_bit.float() / 255
