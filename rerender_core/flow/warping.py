"""Warping by optical flow and the forward-backward occlusion check (docs/methods/flow.md, Warping; Occlusion)."""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor


def warp(source: Tensor, flow: Tensor, mode: str = "bilinear") -> Tensor:
    """``out(p) = source(p + flow(p))``; positions outside the picture give 0.

    Args:
        source: float [B, C, H, W].
        flow: float [B, 2, H, W] in pixels, channel 0 = x.
        mode: "bilinear" or "nearest".

    Returns:
        [B, C, H, W] of the source's dtype.
    """
    return read_at(source, sampling_grid(flow), mode)


def sampling_grid(flow: Tensor) -> Tensor:
    """Where :func:`warp` reads, [B, H, W, 2], as :func:`read_at` takes it."""
    height, width = flow.shape[-2:]
    y, x = torch.meshgrid(
        torch.arange(height, dtype=flow.dtype, device=flow.device),
        torch.arange(width, dtype=flow.dtype, device=flow.device),
        indexing="ij",
    )
    grid_x = 2 * (x + flow[:, 0]) / max(width - 1, 1) - 1
    grid_y = 2 * (y + flow[:, 1]) / max(height - 1, 1) - 1
    return torch.stack([grid_x, grid_y], dim=-1)


def read_at(source: Tensor, grid: Tensor, mode: str = "bilinear") -> Tensor:
    """``source`` [B, C, H, W] at the places of :func:`sampling_grid`."""
    return F.grid_sample(source, grid.to(source.dtype), mode=mode, padding_mode="zeros", align_corners=True)


def warp_picture(picture: Tensor, flow: Tensor, mode: str = "bilinear") -> Tensor:
    """As :func:`warp`, of one float picture [H, W, C] by a flow [H, W, 2]."""
    moved = warp(rearrange(picture, "h w c -> 1 c h w"), rearrange(flow, "h w xy -> 1 xy h w"), mode)
    return rearrange(moved, "1 c h w -> h w c")


def occlusion(flow: Tensor, reverse_flow: Tensor) -> Tensor:
    """Pixels whose flow is not undone by the reverse flow.

    Args:
        flow: [B, 2, H, W], from the frame the mask is for to the other one, in pixels.
        reverse_flow: [B, 2, H, W], from the other frame back.

    Returns:
        bool [B, H, W], True = occluded: ``|flow + warp(reverse)| > 0.01 (|flow| + |reverse|) + 0.5``, both magnitudes
        read at the same pixel.
    """
    mismatch = torch.linalg.vector_norm(flow + warp(reverse_flow, flow), dim=1)
    magnitude = torch.linalg.vector_norm(flow, dim=1) + torch.linalg.vector_norm(reverse_flow, dim=1)
    return mismatch > 0.01 * magnitude + 0.5


def latent_flow(flow: Tensor, factor: int = 8) -> Tensor:
    """Flow of the latent grid: [B, 2, H, W] in pixels -> [B, 2, H/factor, W/factor] in latent cells."""
    return F.interpolate(flow, scale_factor=1 / factor, mode="bilinear") / factor
