"""Pixel-aware fusion: what of a key frame is known from earlier results, and how the sample is held to it
(docs/methods/rerender.md, Pixel-aware fusion)."""

import torch
import torch.nn.functional as F
from kornia.filters import gaussian_blur2d
from torch import Tensor

LATENT = 8  # pixels per latent cell
BLUR = 9
BLUR_SIGMA = 18.0


def softened(occluded: Tensor) -> Tensor:
    """An occlusion mask grown and blurred, [B, H, W] of 0/1 to 0..1."""
    mask = occluded.float()[:, None]
    grown = F.max_pool2d(mask, BLUR, stride=1, padding=BLUR // 2)
    blurred = gaussian_blur2d(grown, BLUR, (BLUR_SIGMA, BLUR_SIGMA), "reflect", separable=False)
    return (blurred + mask).clamp(0, 1)[:, 0]


def latent_mask(keep: Tensor) -> Tensor:
    """Smallest value of each 8x8 block, [B, H, W] to [B, H/8, W/8]."""
    return 1 - F.max_pool2d(1 - keep[:, None], LATENT)[:, 0]


def flat_region(mask: Tensor) -> Tensor:
    """1 where a mask [B, h, w] does not change (Prewitt gradients exactly 0), else 0."""
    padded = F.pad(mask[:, None], [1] * 4, mode="replicate")
    smooth, difference = mask.new_tensor([1.0, 1.0, 1.0]), mask.new_tensor([-1.0, 0.0, 1.0])
    kernels = torch.stack([difference[:, None] * smooth[None, :], smooth[:, None] * difference[None, :]])[:, None]
    return (F.conv2d(padded, kernels) == 0).all(dim=1).to(mask.dtype)


def pixel_reference(
    warped_anchor: Tensor, warped_previous: Tensor, rough: Tensor, anchor_hidden: Tensor, previous_hidden: Tensor
) -> Tensor:
    """The picture a key frame should agree with: the anchor first, then the previous key frame, then the rough render.

    Args:
        warped_anchor, warped_previous, rough: [B, 3, H, W], -1..1, not clamped.
        anchor_hidden, previous_hidden: softened occlusion masks [B, H, W].
    """
    anchor_hidden, previous_hidden = anchor_hidden[:, None], previous_hidden[:, None]
    behind = (1 - previous_hidden) * warped_previous + previous_hidden * rough
    return (1 - anchor_hidden) * warped_anchor + anchor_hidden * behind


def keep_mask(anchor_occluded: Tensor, previous_occluded: Tensor) -> Tensor:
    """How far each latent cell is known from either earlier result, [B, H, W] of 0/1 to [B, H/8, W/8] of 0..1."""
    return latent_mask(1 - softened(anchor_occluded.bool() & previous_occluded.bool()))


def kept_noise(weight: Tensor, flat: Tensor, inner: float) -> Tensor:
    """How much of its noise the sample keeps where it is held to a target, like ``weight``.

    Args:
        weight: keep mask times mask strength.
        flat: 1 inside flat regions of the mask, where the noise energy lost by mixing is topped up.
        inner: how far it is topped up, 0..1.
    """
    topped = torch.maximum(1 - weight, torch.sqrt(1 - weight**2) * inner)
    return (1 - weight) * (1 - flat) + topped * flat


def fused(x: Tensor, direction: Tensor, noised_target: Tensor, weight: Tensor, noise: Tensor) -> Tensor:
    """The sample held to the target before a step, all in variance-preserving scale.

    Args:
        x: the sample; ``direction``: its noise part from the step before.
        weight: keep mask times mask strength, broadcastable to ``x``.
        noise: see :func:`kept_noise`.
    """
    return weight * noised_target + (1 - weight) * (x - direction) + noise * direction
