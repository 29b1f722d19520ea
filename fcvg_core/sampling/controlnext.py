"""ControlNeXt: the light condition encoder of FCVG and ControlNeXt-SVD v2 (Peng et al. 2024;
docs/methods/svd.md, ControlNeXt)."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

STEM_GROUPS = 2
CHANNELS_PER_GROUP = 32  # of every GroupNorm after the stem
RES_EPS = 1e-6  # the res blocks' norms; all others have PyTorch's 1e-5
MAX_PERIOD = 10000.0  # of the sinusoidal timestep embedding


@dataclass(frozen=True)
class ControlNeXtConfig:
    """Widths of the network.

    Attributes:
        stem: channels of the two full-rate convolutions.
        widths: channels of the stem's output and of each res block, e.g. (128, 128, 256).
        output: channels of the control map; the UNet's first level has as many.
        frequencies, embedding: width of the timestep's sinusoid and of its embedding.
    """

    stem: int = 64
    widths: tuple[int, ...] = (128, 128, 256)
    output: int = 320
    frequencies: int = 128
    embedding: int = 256

    @classmethod
    def of(cls, state_dict: dict) -> "ControlNeXtConfig":
        """The configuration of a checkpoint with the published key names."""
        blocks = sum(key.endswith(".conv1.weight") for key in state_dict)
        res_widths = (state_dict[f"down_res.{i}.conv1.weight"].shape[0] for i in range(blocks))
        return cls(
            stem=state_dict["embedding.0.weight"].shape[0],
            widths=(state_dict["embedding.6.weight"].shape[0], *res_widths),
            output=state_dict["mid_convs.1.weight"].shape[0],
            frequencies=state_dict["time_embedding.linear_1.weight"].shape[1],
            embedding=state_dict["time_embedding.linear_1.weight"].shape[0],
        )


class _TimestepEmbedding(nn.Module):
    def __init__(self, frequencies: int, width: int, operations, **factory):
        super().__init__()
        self.frequencies = frequencies
        self.linear_1 = operations.Linear(frequencies, width, **factory)
        self.linear_2 = operations.Linear(width, width, **factory)

    def forward(self, timestep: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        half = self.frequencies // 2
        exponents = torch.arange(half, dtype=torch.float32, device=timestep.device) / half
        angles = timestep.float()[:, None] * torch.exp(-math.log(MAX_PERIOD) * exponents)
        sinusoid = torch.cat([angles.cos(), angles.sin()], dim=-1).to(dtype)
        return self.linear_2(F.silu(self.linear_1(sinusoid)))


class _ResBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, embedding: int, operations, **factory):
        super().__init__()
        # The published blocks count groups by their output width for both norms.
        groups = max(1, outputs // CHANNELS_PER_GROUP)
        self.norm1 = operations.GroupNorm(groups, inputs, eps=RES_EPS, **factory)
        self.conv1 = operations.Conv2d(inputs, outputs, 3, padding=1, **factory)
        self.time_emb_proj = operations.Linear(embedding, outputs, **factory)
        self.norm2 = operations.GroupNorm(groups, outputs, eps=RES_EPS, **factory)
        self.conv2 = operations.Conv2d(outputs, outputs, 3, padding=1, **factory)
        self.conv_shortcut = None if inputs == outputs else operations.Conv2d(inputs, outputs, 1, **factory)

    def forward(self, x: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        h = h + self.time_emb_proj(F.silu(embedding))[:, :, None, None]
        h = self.conv2(F.silu(self.norm2(h)))
        return h + (x if self.conv_shortcut is None else self.conv_shortcut(x))


class _Downsample(nn.Module):
    def __init__(self, channels: int, operations, **factory):
        super().__init__()
        self.conv = operations.Conv2d(channels, channels, 3, stride=2, padding=1, **factory)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x)


class ControlNeXt(nn.Module):
    """Pictures and a timestep to control maps. Frames do not see each other, so any batch of frames may be split.

    Only :meth:`encode` depends on the timestep: over a sampling run :meth:`stem` needs to be computed once.
    """

    def __init__(self, config: ControlNeXtConfig, operations=torch.nn, device=None, dtype=None):
        super().__init__()
        factory = {"device": device, "dtype": dtype}
        stem, (width, *res_widths), embedding = config.stem, config.widths, config.embedding
        self.config = config
        self.time_embedding = _TimestepEmbedding(config.frequencies, embedding, operations, **factory)
        self.embedding = nn.Sequential(
            operations.Conv2d(3, stem, 3, stride=2, padding=1, **factory),
            operations.GroupNorm(STEM_GROUPS, stem, **factory),
            nn.ReLU(inplace=True),
            operations.Conv2d(stem, stem, 3, **factory),
            operations.GroupNorm(STEM_GROUPS, stem, **factory),
            nn.ReLU(inplace=True),
            operations.Conv2d(stem, width, 3, **factory),
            operations.GroupNorm(STEM_GROUPS, width, **factory),
            nn.ReLU(inplace=True),
        )
        inputs = (width, *res_widths[:-1])
        self.down_res = nn.ModuleList(
            _ResBlock(a, b, embedding, operations, **factory) for a, b in zip(inputs, res_widths, strict=True)
        )
        self.down_sample = nn.ModuleList(_Downsample(b, operations, **factory) for b in res_widths)
        last = res_widths[-1]
        groups = max(1, last // CHANNELS_PER_GROUP)
        self.mid_convs = nn.ModuleList(
            [
                nn.Sequential(
                    operations.Conv2d(last, last, 3, padding=1, **factory),
                    nn.ReLU(inplace=True),
                    operations.GroupNorm(groups, last, **factory),
                    operations.Conv2d(last, last, 3, padding=1, **factory),
                    operations.GroupNorm(groups, last, **factory),
                ),
                operations.Conv2d(last, config.output, 1, **factory),
            ]
        )

    def stem(self, pictures: torch.Tensor) -> torch.Tensor:
        """The part that does not depend on the timestep.

        Args:
            pictures: [N, 3, H, W], RGB 0..1, in the dtype to compute in.

        Returns:
            [N, C, H/2-4, W/2-4], C = ``config.widths[0]``; the published stem does not pad its later convolutions.
        """
        return self.embedding(pictures)

    def encode(self, features: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        """Control maps from :meth:`stem`'s output.

        Args:
            features: [N, C, H/2-4, W/2-4].
            timestep: [1] or [N], the UNet's own ``0.25 ln sigma``.

        Returns:
            [N, ``config.output``, H/8-1, W/8-1] for H and W divisible by 8.
        """
        embedding = self.time_embedding(timestep, features.dtype)
        for block, downsample in zip(self.down_res, self.down_sample, strict=True):
            features = downsample(block(features, embedding))
        residual, project = self.mid_convs
        return project(features + residual(features))

    def forward(self, pictures: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        """:meth:`stem` followed by :meth:`encode`."""
        return self.encode(self.stem(pictures), timestep)

    def bytes_per_frame(self, height: int, width: int, element_size: int) -> int:
        """Largest sum of activations alive at once, per frame of ``height`` x ``width`` pixels."""
        half_resolution = self.config.widths[0] * (height // 2) * (width // 2)
        return 4 * half_resolution * element_size  # a res block's input, norm, convolution and its workspace
