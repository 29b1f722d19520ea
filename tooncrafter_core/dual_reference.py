"""Decoding a clip with detail copied from its two key frames (docs/methods/tooncrafter.md, First stage).

Encoder and decoder themselves are the ones of Stable (Video) Diffusion and come in as objects; what is ToonCrafter's
own, the taps of the encoder and the injection of references, is here; the decoder that takes them is evaluated in
:mod:`.clip_decoder`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from .attention import Attention, scaled_dot_product

ATTENTION_LEVELS = (3, 2)  # references enter by attention here and as residuals of the end frames elsewhere
LAST = 4  # index of the injection after the decoder's last norm
HEADS = 8
SCALE = 0.18215


@dataclass(frozen=True)
class References:
    """Hidden states of the encoder for both key frames.

    Attributes:
        levels: index 0..3 = last residual block of the encoder's levels, 4 = its first convolution; each
            [2, C, h, w], slot 0 = first key frame.
        pictures: the key frames themselves as they were encoded, float32 [2, H, W, 3], 0..1.
        model: name of the model whose encoder made them.
    """

    levels: tuple[Tensor, ...]
    pictures: Tensor | None = None
    model: str = ""

    def to(self, device, dtype) -> "References":
        return replace(self, levels=tuple(level.to(device=device, dtype=dtype) for level in self.levels))


def encode_with_references(encoder: Any, quant_conv: nn.Module, pictures: Tensor) -> tuple[Tensor, References]:
    """Latents and references of the two key frames.

    Args:
        encoder: SD's KL encoder (``conv_in``, ``down``, ``mid``, ``norm_out``, ``conv_out``).
        pictures: [2, 3, H, W], -1..1, sides multiples of 8.

    Returns:
        moments [2, 8, H/8, W/8] (mean and log variance, unscaled) and the references.
    """
    h = encoder.conv_in(pictures)
    first, levels = h, []
    for level in encoder.down:
        for block in level.block:
            h = block(h)
        levels.append(h)
        if hasattr(level, "downsample"):
            h = level.downsample(h)
    h = encoder.mid.block_2(encoder.mid.attn_1(encoder.mid.block_1(h)))
    moments = quant_conv(encoder.conv_out(F.silu(encoder.norm_out(h))))
    return moments, References((*levels, first))


class ReferenceAttention(nn.Module):
    """Every frame's pixels attend to the pixels of both reference frames."""

    to_q: nn.Module
    to_k: nn.Module
    to_v: nn.Module

    def __init__(self, width: int, inner: int, attention: Attention, operations, **factory):
        super().__init__()
        self.norm = operations.GroupNorm(32, width, eps=1e-6, **factory)
        for name in ("to_q", "to_k", "to_v"):
            self.add_module(name, operations.Linear(width, inner, bias=False, **factory))
        self.to_out = nn.Sequential(operations.Linear(inner, width, **factory))
        self.attention = attention

    def forward(self, x: Tensor, reference: Tensor, frames_at_once: int) -> Tensor:
        """``x`` [T, C, h, w] is replaced frame by frame and returned; keys and values exist once for all frames."""
        tokens = reference.flatten(2).transpose(1, 2).flatten(0, 1)[None]  # [1, 2hw, C]
        keys, values = self.to_k(tokens), self.to_v(tokens)
        for begin in range(0, len(x), frames_at_once):
            part = x[begin : begin + frames_at_once]
            queries = self.to_q(self.norm(part).flatten(2).transpose(1, 2)).flatten(0, 1)[None]
            found = self.to_out(self.attention(queries, keys, values, HEADS))
            part += found[0].unflatten(0, (len(part), -1)).transpose(1, 2).unflatten(2, part.shape[-2:])
        return x


class ReferenceResidual(nn.Module):
    """The first frame gets the first reference added, the last frame the second one."""

    def __init__(self, width: int, operations, **factory):
        super().__init__()
        self.conv = operations.Conv2d(width, width, 1, **factory)

    def forward(self, x: Tensor, reference: Tensor, frames_at_once: int) -> Tensor:
        x[:1] += self.conv(reference[:1])
        x[-1:] += self.conv(reference[1:])
        return x


def build_refinements(state_dict, attention: Attention = scaled_dot_product, operations=nn, **factory) -> nn.ModuleList:
    """The five injections (unloaded) of a state dict with keys ``0.conv.weight``, ``2.to_q.weight``, ..."""
    modules: list[nn.Module] = []
    for index in range(LAST + 1):
        query = state_dict.get(f"{index}.to_q.weight")
        if query is None:
            width = state_dict[f"{index}.conv.weight"].shape[0]
            modules.append(ReferenceResidual(width, operations, **factory))
        else:
            inner, width = query.shape
            modules.append(ReferenceAttention(width, inner, attention, operations, **factory))
    return nn.ModuleList(modules)


def decode_in_two_passes(decode: Callable[[Tensor], Tensor], latents: Tensor) -> Tensor:
    """The published decode: the middle frames come from a second pass without the frames next to the ends.

    Args:
        decode: [T, 4, h, w] -> [T, 3, H, W].
    """
    frames = decode(latents)
    count = len(latents)
    if count < 5:  # nothing would be left between the removed frames
        return frames
    kept = [index for index in range(count) if index not in (1, count - 2)]
    again = decode(latents[kept])
    middle = slice((count - 1) // 2, count // 2 + 1)
    frames[middle] = again[middle.start - 1 : middle.stop - 1]
    return frames
