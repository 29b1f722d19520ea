"""Fidelity-oriented encoding: an encoding whose decoding loses less than one round trip
(docs/methods/rerender.md, Fidelity-oriented encoding)."""

from collections.abc import Callable
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class FidelityEncoding:
    """A compensated encoding and what it was computed from.

    Attributes:
        latent: the compensated encoding [B, 4, h, w].
        first: plain encoding; recoded: encoding of its decoding.
        artifacts: [B, 1, h, w] of 0/1, cells where compensation would do harm and is left out.
    """

    latent: Tensor
    first: Tensor
    recoded: Tensor
    artifacts: Tensor


def artifact_mask(decoded: Tensor, image: Tensor, threshold: float) -> Tensor:
    """Cells where a decoding is off by more than ``threshold`` (units of -1..1), [B, 1, h, w] of 0/1.

    Only the middle pixels of each block are looked at, as in the reference, and neighbours are included.
    """
    error = ((decoded - image).abs().mean(dim=1, keepdim=True) > threshold).to(image.dtype)
    small = F.interpolate(error, scale_factor=1 / 8, mode="bilinear")
    return F.max_pool2d((small > 0).to(image.dtype), 3, stride=1, padding=1)


def fidelity_encode(
    image: Tensor,
    encode: Callable[[Tensor], Tensor],
    decode: Callable[[Tensor], Tensor],
    strength: float = 1.0,
    threshold: float = 0.25,
) -> FidelityEncoding:
    """Encode so that the loss of one encoding and decoding is made up for in advance.

    Args:
        image: [B, 3, H, W], -1..1, not clamped.
        encode: picture to latent (the mean of the posterior); decode: latent to picture, not clamped.
        strength: lambda of the paper, how much of the loss is added back.
        threshold: largest error of the compensated decoding that is accepted, in units of -1..1.
    """
    first = encode(image)
    recoded = encode(decode(first))
    artifacts = artifact_mask(decode(first + strength * (first - recoded)), image, threshold)
    return FidelityEncoding(first + (1 - artifacts) * strength * (first - recoded), first, recoded, artifacts)
