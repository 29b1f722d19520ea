"""Pairs of guide pictures and how their channels are weighted (docs/methods/ebsynth.md, Guides and weights)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Guide:
    """What tells which part of the key frame belongs where in a frame.

    Attributes:
        source: uint8 [B, Hs, Ws, 3], the guide on the key frame.
        target: uint8 [B, Ht, Wt, 3], the same on the frame that is made.
        weight: of the guide as a whole, >= 0; its channels share it.
    """

    source: Tensor
    target: Tensor
    weight: float


def is_grey(picture: Tensor) -> bool:
    """Whether all channels of [..., C] are equal everywhere."""
    return bool((picture == picture[..., :1]).all())


def channel_count(guide: Guide) -> int:
    """How many channels a guide takes: one if it is grey on both sides."""
    return 1 if is_grey(guide.source) and is_grey(guide.target) else guide.source.shape[-1]


def pack_guides(guides: Sequence[Guide]) -> tuple[Tensor, Tensor, Tensor]:
    """All guides in one picture per side.

    Returns:
        source uint8 [B, Hs, Ws, NG], target uint8 [B, Ht, Wt, NG], weights float32 [NG].
    """
    sources, targets, weights = [], [], []
    for guide in guides:
        channels = channel_count(guide)
        sources.append(guide.source[..., :channels])
        targets.append(guide.target[..., :channels])
        weights += [guide.weight / channels] * channels
    return torch.cat(sources, dim=-1), torch.cat(targets, dim=-1), torch.tensor(weights, dtype=torch.float32)
