"""Building blocks of the ToonCrafter UNet (docs/methods/tooncrafter.md, Blocks); frames are folded into the batch."""

import torch.nn.functional as F
from torch import Tensor, nn

from .attention import SpatialBlock, TemporalBlock

GROUPS = 32


class TemporalConvolution(nn.Module):
    """Four convolutions over time with a residual; normalised over the whole clip."""

    conv2: nn.Module
    conv3: nn.Module
    conv4: nn.Module

    def __init__(self, width: int, operations, **factory):
        super().__init__()

        def convolution() -> nn.Module:
            return operations.Conv3d(width, width, (3, 1, 1), padding=(1, 0, 0), **factory)

        def norm() -> nn.Module:
            return operations.GroupNorm(GROUPS, width, **factory)

        self.conv1 = nn.Sequential(norm(), nn.SiLU(), convolution())
        for number in (2, 3, 4):  # Identity stands where the published network has its dropout
            self.add_module(f"conv{number}", nn.Sequential(norm(), nn.SiLU(), nn.Identity(), convolution()))

    def forward(self, x: Tensor, frames: int) -> Tensor:
        clip = x.unflatten(0, (-1, frames)).transpose(1, 2)
        y = self.conv4(self.conv3(self.conv2(self.conv1(clip))))
        return _added(x, y.transpose(1, 2))


def _added(x: Tensor, clips: Tensor) -> Tensor:
    """``x`` [b*T, C, h, w] and ``clips`` [b, T, C, h, w] in whatever order in memory, which thus need no copy."""
    return (x.unflatten(0, clips.shape[:2]) + clips).flatten(0, 1)


class ResBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, embedding: int, operations, **factory):
        super().__init__()
        self.in_layers = nn.Sequential(
            operations.GroupNorm(GROUPS, inputs, **factory),
            nn.SiLU(),
            operations.Conv2d(inputs, outputs, 3, padding=1, **factory),
        )
        self.emb_layers = nn.Sequential(nn.SiLU(), operations.Linear(embedding, outputs, **factory))
        self.out_layers = nn.Sequential(
            operations.GroupNorm(GROUPS, outputs, **factory),
            nn.SiLU(),
            nn.Identity(),
            operations.Conv2d(outputs, outputs, 3, padding=1, **factory),
        )
        same = inputs == outputs
        self.skip_connection = nn.Identity() if same else operations.Conv2d(inputs, outputs, 1, **factory)
        self.temopral_conv = TemporalConvolution(outputs, operations, **factory)  # spelt so in the published file

    def forward(self, x: Tensor, activated: Tensor, frames: int) -> Tensor:
        """``activated``: the embedding after SiLU, which all blocks share."""
        h = self.in_layers(x) + self.emb_layers[1](activated)[:, :, None, None]
        return self.temopral_conv(self.skip_connection(x) + self.out_layers(h), frames)


class SpatialTransformer(nn.Module):
    """Attention within a frame and to text and picture tokens; ``number`` tells it from the others of a network."""

    number = 0

    def __init__(self, width, context_width, heads, head_width, learned_scale, attention, operations, **factory):
        super().__init__()
        inner = heads * head_width
        self.norm = operations.GroupNorm(GROUPS, width, eps=1e-6, **factory)
        self.proj_in = operations.Linear(width, inner, **factory)
        block = SpatialBlock(inner, context_width, heads, head_width, learned_scale, attention, operations, **factory)
        self.transformer_blocks = nn.ModuleList([block])
        self.proj_out = operations.Linear(inner, width, **factory)

    def keys_and_values(self, text: Tensor, image: Tensor) -> tuple[Tensor, ...]:
        return self.transformer_blocks[0].attn2.keys_and_values(text, image)

    def forward(self, x: Tensor, context: tuple[Tensor, ...]) -> Tensor:
        size = x.shape[-2:]
        tokens = self.proj_in(self.norm(x).flatten(2).transpose(1, 2))
        tokens = self.proj_out(self.transformer_blocks[0](tokens, context))
        return x + tokens.transpose(1, 2).unflatten(2, size)


class TemporalTransformer(nn.Module):
    """Attention over time at every pixel. ``convolutional`` projections (width 1) are those of ``init_attn``."""

    def __init__(self, width, heads, head_width, convolutional, attention, operations, **factory):
        super().__init__()
        inner = heads * head_width
        self.norm = operations.GroupNorm(GROUPS, width, eps=1e-6, **factory)
        if convolutional:
            self.proj_in = operations.Conv1d(width, inner, 1, **factory)
            self.proj_out = operations.Conv1d(inner, width, 1, **factory)
        else:
            self.proj_in = operations.Linear(width, inner, **factory)
            self.proj_out = operations.Linear(inner, width, **factory)
        self.transformer_blocks = nn.ModuleList(
            [TemporalBlock(inner, heads, head_width, attention, operations, **factory)]
        )
        self.convolutional = convolutional

    def forward(self, x: Tensor, frames: int) -> Tensor:
        clip = x.unflatten(0, (-1, frames)).transpose(1, 2)  # [b, C, T, h, w]
        batch, _, _, height, width = clip.shape
        tokens = self.norm(clip).permute(0, 3, 4, 2, 1).flatten(0, 2)  # [b*h*w, T, C]
        if self.convolutional:
            tokens = self.proj_in(tokens.transpose(1, 2)).transpose(1, 2)
        else:
            tokens = self.proj_in(tokens)
        tokens = self.transformer_blocks[0](tokens)
        if self.convolutional:
            tokens = self.proj_out(tokens.transpose(1, 2)).transpose(1, 2)
        else:
            tokens = self.proj_out(tokens)
        return _added(x, tokens.unflatten(0, (batch, height, width)).permute(0, 3, 4, 1, 2))


class Downsample(nn.Module):
    def __init__(self, width: int, operations, **factory):
        super().__init__()
        self.op = operations.Conv2d(width, width, 3, stride=2, padding=1, **factory)

    def forward(self, x: Tensor) -> Tensor:
        return self.op(x)


class Upsample(nn.Module):
    def __init__(self, width: int, operations, **factory):
        super().__init__()
        self.conv = operations.Conv2d(width, width, 3, padding=1, **factory)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2, mode="nearest"))
