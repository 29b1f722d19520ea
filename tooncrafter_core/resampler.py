"""The Resampler: from CLIP's image tokens to the tokens the UNet attends to (docs/methods/tooncrafter.md, Encoders)."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from .attention import Attention, scaled_dot_product


class PerceiverAttention(nn.Module):
    """Latents attend to the image tokens and to themselves."""

    def __init__(self, width: int, inner: int, heads: int, attention: Attention, operations, **factory):
        super().__init__()
        self.norm1 = operations.LayerNorm(width, **factory)
        self.norm2 = operations.LayerNorm(width, **factory)
        self.to_q = operations.Linear(width, inner, bias=False, **factory)
        self.to_kv = operations.Linear(width, 2 * inner, bias=False, **factory)
        self.to_out = operations.Linear(inner, width, bias=False, **factory)
        self.heads, self.attention = heads, attention

    def forward(self, tokens: Tensor, latents: Tensor) -> Tensor:
        latents = self.norm2(latents)
        keys, values = self.to_kv(torch.cat([self.norm1(tokens), latents], dim=1)).chunk(2, dim=-1)
        return self.to_out(self.attention(self.to_q(latents), keys.contiguous(), values.contiguous(), self.heads))


class Resampler(nn.Module):
    """Image tokens [B, 257, embedding] -> [B, 256, width]: 16 tokens for each of 16 frames, frame by frame.

    Args:
        heads: of the attention; shapes do not show it (12 in the published files).
    """

    def __init__(
        self,
        embedding: int = 1280,
        width: int = 1024,
        output: int = 1024,
        queries: int = 256,
        depth: int = 4,
        inner: int = 768,
        heads: int = 12,
        attention: Attention = scaled_dot_product,
        operations=nn,
        device=None,
        dtype=None,
    ):
        super().__init__()
        factory = {"device": device, "dtype": dtype}
        self.latents = nn.Parameter(torch.empty(1, queries, width, **factory))
        self.proj_in = operations.Linear(embedding, width, **factory)
        self.layers = nn.ModuleList()
        for _ in range(depth):
            feed_forward = nn.Sequential(
                operations.LayerNorm(width, **factory),
                operations.Linear(width, 4 * width, bias=False, **factory),
                nn.GELU(),
                operations.Linear(4 * width, width, bias=False, **factory),
            )
            perceiver = PerceiverAttention(width, inner, heads, attention, operations, **factory)
            self.layers.append(nn.ModuleList([perceiver, feed_forward]))
        self.proj_out = operations.Linear(width, output, **factory)
        self.norm_out = operations.LayerNorm(output, **factory)

    @classmethod
    def of(cls, state_dict: Mapping[str, Tensor], heads: int, **arguments) -> "Resampler":
        """A Resampler (unloaded) of the shape of a state dict (keys without ``image_proj_model.``)."""
        width, embedding = state_dict["proj_in.weight"].shape
        depth = 1 + max(int(key.split(".")[1]) for key in state_dict if key.startswith("layers."))
        return cls(
            embedding=embedding,
            width=width,
            output=state_dict["proj_out.weight"].shape[0],
            queries=state_dict["latents"].shape[1],
            depth=depth,
            inner=state_dict["layers.0.0.to_q.weight"].shape[0],
            heads=heads,
            **arguments,
        )

    def forward(self, tokens: Tensor) -> Tensor:
        latents = self.latents.to(tokens).expand(tokens.shape[0], -1, -1)
        tokens = self.proj_in(tokens)
        for layer in self.layers:
            attention, feed_forward = layer.children()
            latents = latents + attention(tokens, latents)
            latents = latents + feed_forward(latents)
        return self.norm_out(self.proj_out(latents))
