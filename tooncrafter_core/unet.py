"""The ToonCrafter / DynamiCrafter video UNet (docs/methods/tooncrafter.md, UNet), frames folded into the batch as the
host's other video models have them. Parameter names are the published ones."""

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import Attention, scaled_dot_product
from .blocks import Downsample, ResBlock, SpatialTransformer, TemporalTransformer, Upsample
from .unet_config import ATTENTION_LEVELS, INIT_ATTENTION_HEADS, RES_BLOCKS, UNetConfig


def sinusoid(values: Tensor, width: int) -> Tensor:
    """Embedding [N, width] of numbers [N]: cosines, then sines, periods up to 10000."""
    half = width // 2
    frequency = torch.exp(-math.log(10000) * torch.arange(half, device=values.device, dtype=torch.float32) / half)
    angle = values.float()[:, None] * frequency
    return torch.cat([angle.cos(), angle.sin()], dim=-1)


@dataclass(frozen=True)
class Constants:
    """What a run evaluates once.

    Attributes:
        contexts: number of a :class:`SpatialTransformer` -> its keys and values.
        fps: embedding of the frame-rate number, [b*T, 4 * model_channels].
    """

    contexts: dict[int, tuple[Tensor, ...]]
    fps: Tensor


class VideoUNet(nn.Module):
    """Predicts v (or noise, for the 256-pixel model) of a clip.

    Args:
        config: see :class:`.unet_config.UNetConfig`.
        attention: ``attention(q, k, v, heads)`` on [B, N, heads * D].
        operations: namespace of layer classes, ``torch.nn`` or the host's.
    """

    def __init__(
        self,
        config: UNetConfig,
        attention: Attention = scaled_dot_product,
        operations=nn,
        device=None,
        dtype=None,
    ):
        super().__init__()
        self.config, self.dtype = config, dtype
        factory = {"device": device, "dtype": dtype}
        channels, heads = config.model_channels, config.head_channels
        embedding = 4 * channels

        def mlp() -> nn.Sequential:
            first = operations.Linear(channels, embedding, **factory)
            return nn.Sequential(first, nn.SiLU(), operations.Linear(embedding, embedding, **factory))

        def res(inputs: int, outputs: int) -> ResBlock:
            return ResBlock(inputs, outputs, embedding, operations, **factory)

        def transformers(width: int) -> list[nn.Module]:
            spatial = SpatialTransformer(
                width,
                config.context_width,
                width // heads,
                heads,
                config.learned_image_scale,
                attention,
                operations,
                **factory,
            )
            return [spatial, TemporalTransformer(width, width // heads, heads, False, attention, operations, **factory)]

        self.time_embed, self.fps_embedding = mlp(), mlp()
        first = operations.Conv2d(config.in_channels, channels, 3, padding=1, **factory)
        self.input_blocks = nn.ModuleList([nn.ModuleList([first])])
        self.init_attn = nn.ModuleList(
            [TemporalTransformer(channels, INIT_ATTENTION_HEADS, heads, True, attention, operations, **factory)]
        )
        width, skips = channels, [channels]
        levels = len(config.channel_mult)
        for level, mult in enumerate(config.channel_mult):
            for _ in range(RES_BLOCKS):
                block: list[nn.Module] = [res(width, mult * channels)]
                width = mult * channels
                self.input_blocks.append(
                    nn.ModuleList(block + (transformers(width) if level < ATTENTION_LEVELS else []))
                )
                skips.append(width)
            if level < levels - 1:
                self.input_blocks.append(nn.ModuleList([Downsample(width, operations, **factory)]))
                skips.append(width)
        self.middle_block = nn.ModuleList([res(width, width), *transformers(width), res(width, width)])
        self.output_blocks = nn.ModuleList()
        for level, mult in reversed(list(enumerate(config.channel_mult))):
            for number in range(RES_BLOCKS + 1):
                block = [res(width + skips.pop(), mult * channels)]
                width = mult * channels
                block += transformers(width) if level < ATTENTION_LEVELS else []
                if level and number == RES_BLOCKS:
                    block.append(Upsample(width, operations, **factory))
                self.output_blocks.append(nn.ModuleList(block))
        self.out = nn.Sequential(
            operations.GroupNorm(32, channels, **factory),
            nn.SiLU(),
            operations.Conv2d(channels, config.out_channels, 3, padding=1, **factory),
        )

        for number, layer in enumerate(self.cross_attentions()):
            layer.number = number

    def constants(self, text: Tensor, image: Tensor, fps: Tensor) -> "Constants":
        """What does not change over the steps of a run, see :class:`Constants`.

        Args:
            text: tokens [b, 77, C].
            image: tokens [b*T, k, C], each frame's own: 16 per frame at 16 frames, all 256 for every frame otherwise.
            fps: [b*T], the number the frame-rate embedding takes.
        """
        rate = self.fps_embedding(sinusoid(fps, self.config.model_channels).to(text.dtype))
        contexts = {layer.number: layer.keys_and_values(text, image) for layer in self.cross_attentions()}
        return Constants(contexts, rate)

    def cross_attentions(self) -> list[SpatialTransformer]:
        """All of them, in the order of use."""
        blocks = [*self.input_blocks, self.middle_block, *self.output_blocks]
        return [layer for block in blocks for layer in block if isinstance(layer, SpatialTransformer)]

    def forward(
        self,
        x: Tensor,
        timesteps: Tensor,
        constants: "Constants",
        frames: int,
        control: dict[str, list] | None = None,
    ) -> Tensor:
        """One evaluation.

        Args:
            x: [b*T, in_channels, h, w], h and w multiples of 8; noisy latent first, then the concatenated one.
            timesteps: [b*T].
            constants: of :meth:`constants`.
            frames: T.
            control: residuals of a ControlNet, lists "middle" and "output" in reverse order of use.

        Returns:
            [b*T, out_channels, h, w].
        """
        residuals = {name: list(values) for name, values in (control or {}).items()}
        embedding = self.time_embed(sinusoid(timesteps, self.config.model_channels).to(x.dtype)) + constants.fps
        activated = F.silu(embedding)

        def run(block: Any, h: Tensor) -> Tensor:
            for layer in block:
                if isinstance(layer, ResBlock):
                    h = layer(h, activated, frames)
                elif isinstance(layer, SpatialTransformer):
                    h = layer(h, constants.contexts[layer.number])
                elif isinstance(layer, TemporalTransformer):
                    h = layer(h, frames)
                else:
                    h = layer(h)
            return h

        def add_control(h: Tensor, name: str) -> Tensor:
            values = residuals.get(name)
            residual = values.pop() if values else None
            return h if residual is None else h + residual.to(h)

        skips = []
        for number, block in enumerate(self.input_blocks):
            x = run(block, x)
            if number == 0:
                x = self.init_attn[0](x, frames)
            x = add_control(x, "input")
            skips.append(x)
        x = add_control(run(self.middle_block, x), "middle")
        for block in self.output_blocks:
            x = run(block, torch.cat([x, add_control(skips.pop(), "output")], dim=1))
        return self.out(x)
