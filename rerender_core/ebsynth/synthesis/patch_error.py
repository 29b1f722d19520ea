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

    matched, matches = nnf[..., 0] >= 0, nnf.flatten(0, 2)
    on_processor = target.device.type == "cpu"
    if on_processor:
        pixels = torch.nonzero(matched.flatten())[:, 0]
    else:  # which are matched is not asked: the processor would wait for the answer
        pixels = torch.arange(len(matches), device=target.device)
    error = torch.zeros(len(pixels), device=target.device)
    values = VALUES_AT_A_TIME if on_processor else DEVICE_VALUES
    rows_at_a_time = max(values // source_rows.shape[1], 1)

    def measure(start: int) -> None:
        part = slice(start, start + rows_at_a_time)
        pixel, match = pixels[part], matches[pixels[part]].clamp(min=0).long()
        line = torch.div(pixel, wt, rounding_mode="floor")  # of all problems' lines, one below the other
        batch = torch.div(line, ht, rounding_mode="floor")
        # Top left corners in the padded pictures.
        first_source = (batch * hs + match[:, 1]) * ws + match[:, 0]
        first_target = (line + 2 * radius * batch) * wide + pixel - line * wt
        for row in range(patch):
            here = first_target + row * wide
            ours, theirs = source_rows.index_select(0, first_source + row * ws), target_rows.index_select(0, here)
            difference = (ours.maximum(theirs) - ours.minimum(theirs)).float()
            difference *= difference
            if scale_rows is not None:
                difference *= scale_rows.index_select(0, here).float() / 255.0
            error[part] += difference @ row_weights

    with Helpers(target.device) as helpers:
        helpers.each(measure, range(0, len(pixels), rows_at_a_time))
    if not on_processor:
        return error.view(b, ht, wt).masked_fill(~matched, 0.0)
    result = torch.zeros(b, ht, wt, device=target.device)
    result[matched] = error
    return result
