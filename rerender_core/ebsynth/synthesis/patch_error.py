"""Weighted squared difference of matched patches (docs/methods/ebsynth.md, Patch error)."""

import torch
from torch import Tensor

from ....common.helpers import Helpers

VALUES_AT_A_TIME = 1 << 18  # by each helper
DEVICE_VALUES = 1 << 26  # an accelerator waits for launches: fewer still


def replicate(picture: Tensor, margin: int) -> Tensor:
    """[B, H, W, C] with its borders repeated outwards by ``margin`` pixels, same type."""
    if margin == 0:
        return picture
    for axis in (1, 2):  # taken by index: padding knows floating point alone, four times the memory
        size = picture.shape[axis]
        places = torch.arange(-margin, size + margin, device=picture.device).clamp(0, size - 1)
        picture = picture.index_select(axis, places)
    return picture


def patch_rows(picture: Tensor, patch: int) -> Tensor:
    """A view of all runs of ``patch`` pixels: contiguous [B, H, W, C] to [B * H * W - patch + 1, patch * C].

    Row i starts at flat pixel i. A run that starts in the last ``patch - 1`` columns goes on in the next image row.
    """
    b, h, w, c = picture.shape
    return picture.as_strided((b * h * w - patch + 1, patch * c), (c, 1))


def patch_error(
    source: Tensor, target: Tensor, weights: Tensor, nnf: Tensor, patch: int, modulation: Tensor | None = None
) -> Tensor:
    """The patch error of every match.

    Args:
        source: uint8 [B, Hs, Ws, C], style and guides of the key frame.
        target: uint8 [B, Ht, Wt, C], the same channels of the frame that is made.
        weights: float32 [C].
        nnf: integer [B, Ht, Wt, 2], (x, y) of the centre of the matched source patch; negative = no match.
        patch: side of the square patch, odd.
        modulation: uint8 [B, Ht, Wt, C], scales the weights by its value / 255 at the target pixel; None = 255.

    Returns:
        float32 [B, Ht, Wt]: sum over patch and channels of weight * modulation * difference^2, in squared grey levels
        of 0..255; 0 where there is no match. Positions outside a picture read its border.
    """
    radius = patch // 2
    b, ht, wt, _ = target.shape
    source, target = replicate(source, radius), replicate(target, radius)
    source_rows, target_rows = patch_rows(source, patch), patch_rows(target, patch)
    scale_rows = None if modulation is None else patch_rows(replicate(modulation, radius), patch)
    row_weights = weights.float().repeat(patch)
    (hs, ws), wide = source.shape[1:3], target.shape[2]

    matched = nnf[..., 0] >= 0
    on_processor = target.device.type == "cpu"
    if on_processor:
        batch, y, x = torch.nonzero(matched, as_tuple=True)
        match = nnf[matched].long()
    else:  # which are matched is not asked: the processor would wait for the answer
        batch, y, x = (places.flatten() for places in _places(nnf))
        match = nnf.flatten(0, 2).clamp(min=0).long()
    first_source = batch * (hs * ws) + match[:, 1] * ws + match[:, 0]  # top left corners, in the padded pictures
    first_target = batch * (target.shape[1] * wide) + y * wide + x
    error = torch.zeros(len(y), device=target.device)
    values = VALUES_AT_A_TIME if on_processor else DEVICE_VALUES
    rows_at_a_time = max(values // source_rows.shape[1], 1)

    def measure(start: int) -> None:
        part = slice(start, start + rows_at_a_time)
        for row in range(patch):
            here = first_target[part] + row * wide
            ours, theirs = source_rows[first_source[part] + row * ws], target_rows[here]
            difference = (ours.maximum(theirs) - ours.minimum(theirs)).float()
            difference *= difference
            if scale_rows is not None:
                difference *= scale_rows[here].float() / 255.0
            error[part] += difference @ row_weights

    with Helpers(target.device) as helpers:
        helpers.each(measure, range(0, len(y), rows_at_a_time))
    if not on_processor:
        return error.view(b, ht, wt).masked_fill(~matched, 0.0)
    result = torch.zeros(b, ht, wt, device=target.device)
    result[matched] = error
    return result


def _places(nnf: Tensor) -> list[Tensor]:
    """Problem, row and column of every pixel of [B, H, W, 2], each int64 [B, H, W]."""
    ranges = [torch.arange(size, device=nnf.device) for size in nnf.shape[:3]]
    return list(torch.meshgrid(ranges, indexing="ij"))
