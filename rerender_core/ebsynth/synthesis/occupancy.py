"""How evenly matches use the source picture: the uniformity term of patch synthesis
(docs/methods/ebsynth.md, Uniformity)."""

import torch.nn.functional as F
from torch import Tensor


def covered(count: Tensor, patch: int) -> Tensor:
    """Sum of [B, H, W] over the patch around each pixel, 0 outside; same type.

    Of match counts this is Omega, the number of patches that cover a pixel; of Omega it is the patch sum that
    occupancy is made of.
    """
    if count.device.type != "cpu" and count.is_floating_point():  # one launch; whole numbers, so the same sums
        return F.avg_pool2d(count[:, None], patch, 1, patch // 2, divisor_override=1)[:, 0]
    for axis in (1, 2):
        total, size = count.clone(), count.shape[axis]
        for shift in range(1, min(patch // 2, size - 1) + 1):
            total.narrow(axis, shift, size - shift).add_(count.narrow(axis, 0, size - shift))
            total.narrow(axis, 0, size - shift).add_(count.narrow(axis, shift, size - shift))
        count = total
    return count
