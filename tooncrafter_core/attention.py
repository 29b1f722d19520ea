"""Attention of the ToonCrafter UNet: text, image and temporal attention over frames that share a text context."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# attention(q, k, v, heads) on [B, N, heads * D], as the host's optimized attention.
Attention = Callable[[Tensor, Tensor, Tensor, int], Tensor]


def scaled_dot_product(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """Multi-head attention on [B, N, heads * D] tensors with PyTorch's own kernels."""
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


class SelfAttention(nn.Module):
    """Self-attention ``attn1`` of a spatial block, ``attn1`` and ``attn2`` of a temporal one."""

    to_q: nn.Module
    to_k: nn.Module
    to_v: nn.Module

    def __init__(self, width: int, heads: int, head_width: int, attention: Attention, operations, **factory):
        super().__init__()
        inner = heads * head_width
        for name in ("to_q", "to_k", "to_v"):
            self.add_module(name, operations.Linear(width, inner, bias=False, **factory))
        self.to_out = nn.Sequential(operations.Linear(inner, width, **factory))
        self.heads, self.attention = heads, attention

    def forward(self, x: Tensor) -> Tensor:
        return self.to_out(self.attention(self.to_q(x), self.to_k(x), self.to_v(x), self.heads))


class TextImageAttention(nn.Module):
    """Cross-attention to text and, with keys and values of its own, to image tokens; one query serves both.

    Args:
        learned_scale: whether the image part has a learned weight ``tanh(alpha) + 1`` (DynamiCrafter 256) or 1.
    """

    to_k: nn.Module
    to_v: nn.Module
    to_k_ip: nn.Module
    to_v_ip: nn.Module

    def __init__(self, width, context_width, heads, head_width, learned_scale, attention, operations, **factory):
        super().__init__()
        inner = heads * head_width
        self.to_q = operations.Linear(width, inner, bias=False, **factory)
        for name in ("to_k", "to_v", "to_k_ip", "to_v_ip"):
            self.add_module(name, operations.Linear(context_width, inner, bias=False, **factory))
        self.to_out = nn.Sequential(operations.Linear(inner, width, **factory))
        if learned_scale:
            self.alpha = nn.Parameter(torch.empty((), **factory))
        self.heads, self.attention, self.learned_scale = heads, attention, learned_scale

    def keys_and_values(self, text: Tensor, image: Tensor) -> tuple[Tensor, ...]:
        """What does not change over the steps of a run: keys and values of text and image tokens."""
        return self.to_k(text), self.to_v(text), self.to_k_ip(image), self.to_v_ip(image)

    def forward(self, x: Tensor, context: tuple[Tensor, ...]) -> Tensor:
        """``x`` [b*T, n, C]; text keys [b, 77, .] are shared by the T frames of a clip, so the frames are folded into
        the query axis; image keys [b*T, k, .] belong to one frame each."""
        text_k, text_v, image_k, image_v = context
        q = self.to_q(x)
        clips = text_k.shape[0]
        text = self.attention(q.reshape(clips, -1, q.shape[-1]), text_k, text_v, self.heads).view_as(q)
        image = self.attention(q, image_k, image_v, self.heads)
        if self.learned_scale:
            image = image * (torch.tanh(self.alpha.to(image)) + 1)
        return self.to_out(text + image)


class GEGLU(nn.Module):
    """One half of a projection gated by the other."""

    def __init__(self, width: int, inner: int, operations, **factory):
        super().__init__()
        self.proj = operations.Linear(width, 2 * inner, **factory)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.proj(x).chunk(2, dim=-1)
        return value * F.gelu(gate)


class FeedForward(nn.Module):
    """GEGLU feed-forward network, four times the width."""

    def __init__(self, width: int, operations, **factory):
        super().__init__()
        gate = GEGLU(width, 4 * width, operations, **factory)
        self.net = nn.ModuleList([gate, nn.Identity(), operations.Linear(4 * width, width, **factory)])

    def forward(self, x: Tensor) -> Tensor:
        return self.net[2](self.net[0](x))


class SpatialBlock(nn.Module):
    """Self-attention, text and image cross-attention, feed-forward; one frame's pixels are the tokens."""

    norm1: nn.Module
    norm2: nn.Module
    norm3: nn.Module

    def __init__(self, width, context_width, heads, head_width, learned_scale, attention, operations, **factory):
        super().__init__()
        self.attn1 = SelfAttention(width, heads, head_width, attention, operations, **factory)
        self.attn2 = TextImageAttention(
            width, context_width, heads, head_width, learned_scale, attention, operations, **factory
        )
        self.ff = FeedForward(width, operations, **factory)
        for name in ("norm1", "norm2", "norm3"):
            self.add_module(name, operations.LayerNorm(width, **factory))

    def forward(self, x: Tensor, context: tuple[Tensor, ...]) -> Tensor:
        x = x + self.attn1(self.norm1(x))
        x = x + self.attn2(self.norm2(x), context)
        return x + self.ff(self.norm3(x))


class TemporalBlock(nn.Module):
    """Two self-attentions over time and a feed-forward; one pixel's frames are the tokens."""

    norm1: nn.Module
    norm2: nn.Module
    norm3: nn.Module

    def __init__(self, width: int, heads: int, head_width: int, attention: Attention, operations, **factory):
        super().__init__()
        self.attn1 = SelfAttention(width, heads, head_width, attention, operations, **factory)
        self.attn2 = SelfAttention(width, heads, head_width, attention, operations, **factory)
        self.ff = FeedForward(width, operations, **factory)
        for name in ("norm1", "norm2", "norm3"):
            self.add_module(name, operations.LayerNorm(width, **factory))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn1(self.norm1(x))
        x = x + self.attn2(self.norm2(x))
        return x + self.ff(self.norm3(x))
