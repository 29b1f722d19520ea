"""How evenly matches use the source picture: the uniformity term of patch synthesis
(docs/methods/ebsynth.md, Uniformity)."""

import torch
from torch import Tensor


def match_count(nnf: Tensor, source_size: tuple[int, int]) -> Tensor:
    """How many target pixels are matched to each source pixel.

    Args:
        nnf: integer [B, Ht, Wt, 2], (x, y); negative = no match, not counted.
        source_size: (Hs, Ws).

    Returns:
        int64 [B, Hs, Ws].
    """
    b, area = nnf.shape[0], source_size[0] * source_size[1]
    flat = nnf[..., 1].long() * source_size[1] + nnf[..., 0].long()
    flat = flat + torch.arange(b, device=nnf.device).view(b, 1, 1) * area
    return torch.bincount(flat[nnf[..., 0] >= 0], minlength=b * area).view(b, *source_size)


def covered(count: Tensor, patch: int) -> Tensor:
    """Sum of [B, H, W] over the patch around each pixel, 0 outside; same type.

    Of match counts this is Omega, the number of patches that cover a pixel; of Omega it is the patch sum that
    occupancy is made of.
    """
    for axis in (1, 2):
        total, size = count.clone(), count.shape[axis]
        for shift in range(1, min(patch // 2, size - 1) + 1):
            total.narrow(axis, shift, size - shift).add_(count.narrow(axis, 0, size - shift))
            total.narrow(axis, 0, size - shift).add_(count.narrow(axis, shift, size - shift))
        count = total
    return count
