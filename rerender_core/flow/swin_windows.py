"""2x2 windows of GMFlow's feature map: splitting with Swin shift, its attention mask, the position embedding."""

import math

import torch
from einops import rearrange
from torch import Tensor

FEATURES_PER_AXIS = 64


def split_windows(tokens: Tensor, size: tuple[int, int], shifted: bool) -> Tensor:
    """[B, h*w, C] -> [B, 4, h/2*w/2, C]; ``shifted`` rolls the map by half a window first."""
    height, width = size
    grid = tokens.unflatten(1, size)
    if shifted:
        grid = grid.roll((-(height // 2 // 2), -(width // 2 // 2)), dims=(1, 2))
    return rearrange(grid, "b (i h) (j w) c -> b (i j) (h w) c", i=2, j=2)


def join_windows(windows: Tensor, size: tuple[int, int], shifted: bool) -> Tensor:
    """The inverse of :func:`split_windows`."""
    height, width = size
    grid = rearrange(windows, "b (i j) (h w) c -> b (i h) (j w) c", i=2, j=2, h=height // 2)
    if shifted:
        grid = grid.roll((height // 2 // 2, width // 2 // 2), dims=(1, 2))
    return grid.flatten(1, 2)


def shift_mask(size: tuple[int, int], device=None, dtype=torch.float32) -> Tensor:
    """What is added to the attention logits of shifted windows, [4, n, n]: -100 between tokens that are neighbours
    only because of the roll, else 0."""

    def thirds(length: int) -> Tensor:
        position = torch.arange(length, device=device)
        return (position >= length - length // 2).int() + (position >= length - length // 2 // 2).int()

    height, width = size
    labels = (thirds(height)[:, None] * 3 + thirds(width)[None, :]).view(1, -1, 1)
    labels = split_windows(labels, size, shifted=False)[0, ..., 0]
    different = labels[:, None, :] != labels[:, :, None]
    return torch.zeros(different.shape, device=device, dtype=dtype).masked_fill_(different, -100.0)


def sine_position(height: int, width: int, device=None, dtype=torch.float32) -> Tensor:
    """Sine position embedding of one window, [1, 128, height, width]: 64 features of y, then 64 of x."""
    channel = torch.arange(FEATURES_PER_AXIS, device=device)
    frequency = 10000.0 ** (-2 * (channel // 2).float() / FEATURES_PER_AXIS)

    def axis(length: int) -> Tensor:
        value = torch.arange(1, length + 1, device=device).float() / (length + 1e-6) * 2 * math.pi
        angle = value[:, None] * frequency
        return torch.where(channel % 2 == 0, angle.sin(), angle.cos())  # [length, 64]

    y = axis(height)[:, None, :].expand(height, width, -1)
    x = axis(width)[None, :, :].expand(height, width, -1)
    return torch.cat([y, x], dim=-1).permute(2, 0, 1)[None].to(dtype)
