"""The coarse-to-fine pyramid of patch synthesis (docs/methods/ebsynth.md, Pyramid)."""

import torch
from torch import Tensor

ROWS_AT_ONCE = 32  # of a level on the processor: sampled in float32, the whole would be its largest picture by far


def level_count(source_size: tuple[int, int], target_size: tuple[int, int], patch: int) -> int:
    """The most levels whose coarsest still holds two patches and a pixel along every side; 0 if none does."""
    smallest, levels = min(*source_size, *target_size), 0
    while smallest >> levels >= 2 * patch + 1:
        levels += 1
    return levels


def level_size(size: tuple[int, int], level: int, levels: int) -> tuple[int, int]:
    """(height, width) at ``level``, counted from the coarsest = 0."""
    return size[0] >> (levels - 1 - level), size[1] >> (levels - 1 - level)


def resample(picture: Tensor, size: tuple[int, int]) -> Tensor:
    """A level of the pyramid, sampled from the full picture without smoothing.

    Args:
        picture: uint8 [B, H, W, C].
        size: (height, width) of the level.

    Returns:
        uint8 [B, height, width, C]. As in the reference, the width's ratio serves both axes and values are truncated.
    """
    full_height, full_width = picture.shape[1:3]
    if (full_height, full_width) == tuple(size):
        return picture
    step = torch.tensor(full_width / size[1], dtype=torch.float32)  # a single value may stay on the processor

    def positions(count: int, limit: int) -> tuple[Tensor, Tensor, Tensor]:
        exact = torch.arange(count, device=picture.device, dtype=torch.float32) * step
        low = exact.floor()
        index = low.long()
        return index.clamp(max=limit - 1), (index + 1).clamp(max=limit - 1), exact - low

    top, bottom, down = positions(size[0], full_height)
    left, right, along = positions(size[1], full_width)
    down, along = down.view(1, -1, 1, 1), along.view(1, 1, -1, 1)

    def row(index: Tensor) -> Tensor:
        line = picture[:, index]
        return line[:, :, left].float() * (1 - along) + line[:, :, right].float() * along

    def part(rows: slice) -> Tensor:
        return (row(top[rows]) * (1 - down[:, rows]) + row(bottom[rows]) * down[:, rows]).to(torch.uint8)

    at_once = ROWS_AT_ONCE if picture.device.type == "cpu" else size[0]
    return torch.cat([part(slice(first, first + at_once)) for first in range(0, size[0], at_once)], dim=1)


def resample_mask(mask: Tensor, size: tuple[int, int], upscaled: tuple[int, int]) -> Tensor:
    """A target mask one level coarser: set where any pixel is that takes its match from here.

    Args:
        mask: bool [B, *upscaled], the finer level's.
        size: (height, width) of the coarser level.
    """
    y = (torch.arange(upscaled[0], device=mask.device) // 2).clamp(max=size[0] - 1)
    x = (torch.arange(upscaled[1], device=mask.device) // 2).clamp(max=size[1] - 1)
    coarse = torch.zeros(mask.shape[0], *size, dtype=torch.int32, device=mask.device)
    flat = (y[:, None] * size[1] + x[None]).expand(mask.shape).flatten(1)
    return coarse.flatten(1).scatter_add_(1, flat, mask.flatten(1).int()).view(coarse.shape) > 0


def upscale_nnf(nnf: Tensor, target_size: tuple[int, int], source_size: tuple[int, int], patch: int) -> Tensor:
    """Matches of the next finer level.

    Args:
        nnf: integer [B, h, w, 2], (x, y); negative = no match, stays so.
        target_size, source_size: (height, width) of the finer level.

    Returns:
        The same type, [B, *target_size, 2]: twice the coarse match plus the pixel's parity, kept ``patch`` pixels (not
        half a patch, as in the reference) away from the source's border.
    """
    y = torch.arange(target_size[0], device=nnf.device)
    x = torch.arange(target_size[1], device=nnf.device)
    coarse = nnf[:, (y // 2).clamp(max=nnf.shape[1] - 1)][:, :, (x // 2).clamp(max=nnf.shape[2] - 1)]
    parity = torch.stack(torch.broadcast_tensors(x[None] % 2, y[:, None] % 2), dim=-1).to(nnf.dtype)
    return torch.where(coarse < 0, coarse, clamped(2 * coarse + parity, source_size, patch))


def clamped(nnf: Tensor, size: tuple[int, int], margin: int) -> Tensor:
    """Matches (x, y) [..., 2] kept ``margin`` pixels inside a picture of ``size`` (height, width)."""
    x, y = nnf.unbind(-1)
    return torch.stack([x.clamp(margin, size[1] - 1 - margin), y.clamp(margin, size[0] - 1 - margin)], dim=-1)
