"""Pairs of guide pictures and how their channels are weighted (docs/methods/ebsynth.md, Guides and weights)."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class PackedGuides(NamedTuple):
    """All guides of a frame in one picture per side.

    Attributes:
        source: uint8 [B, Hs, Ws, NG].
        target: uint8 [B, Ht, Wt, NG].
        weights: float32 [NG].
        channels: of each guide; one if it is grey on both sides. They sum to NG.
    """

    source: Tensor
    target: Tensor
    weights: Tensor
    channels: tuple[int, ...]


class SourceGuides:
    """What tells which part of a key frame belongs where: its guides, to be packed with those of one frame after the
    other.

    Args:
        pictures: uint8 [B, Hs, Ws, 3], one per guide.
        weights: of the guides as a whole, >= 0; a guide's channels share its weight.
    """

    def __init__(self, pictures: Sequence[Tensor], weights: Sequence[float]):
        self._weights, self._grey = weights, _all_equal(pictures)
        self._channels = tuple(picture.shape[-1] for picture in pictures)
        self._whole = torch.cat(list(pictures), dim=-1)
        self._packed = (self._channels, self._whole)

    def packed_with(self, targets: Sequence[Tensor]) -> PackedGuides:
        """``targets``: uint8 [B, Ht, Wt, 3], the same guides on the frame that is made. The source side is shared by
        all frames at which the same guides are grey."""
        grey = _all_equal(targets)
        channels = tuple(
            1 if both else target.shape[-1]
            for both, target in zip(map(all, zip(self._grey, grey, strict=True)), targets, strict=True)
        )
        if channels != self._packed[0]:
            pictures = self._whole.split(self._channels, dim=-1)
            self._packed = (channels, _first_channels(pictures, channels))
        weights = [weight / count for weight, count in zip(self._weights, channels, strict=True) for _ in range(count)]
        return PackedGuides(
            self._packed[1], _first_channels(targets, channels), torch.tensor(weights, dtype=torch.float32), channels
        )


def is_grey(picture: Tensor) -> bool:
    """Whether all channels of [..., C] are equal everywhere."""
    return _all_equal([picture])[0]


def _all_equal(pictures: Sequence[Tensor]) -> list[bool]:
    """:func:`is_grey` of each, asked at once: the device answers when it has done all before."""
    return torch.stack([(picture == picture[..., :1]).all() for picture in pictures]).tolist()


def _first_channels(pictures: Sequence[Tensor], counts: Sequence[int]) -> Tensor:
    return torch.cat([picture[..., :count] for picture, count in zip(pictures, counts, strict=True)], dim=-1)
