"""GMFlow (CVPR 2022), one scale: optical flow by global matching, both directions from one call
(docs/methods/flow.md, GMFlow).

Parameter names are those of the published ``gmflow_sintel-0c07dcb3.pth``.
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from .swin_windows import join_windows, shift_mask, sine_position, split_windows

CHANNELS = 128
BLOCKS = 6
UPSAMPLING = 8
PADDING = 16  # the feature map at 1/8 must split into 2x2 windows
IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)


def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    """Attention [B, windows, n, 128] -> [B, windows, n, D], D <= 128; ``mask`` [1, windows, n, n] is added to the
    scores. Values are padded to the keys' width because only then every backend avoids the n x n matrix."""
    width = value.shape[-1]
    value = F.pad(value, (0, query.shape[-1] - width))
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)[..., :width]


class ResidualBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int, operations, **factory):
        super().__init__()
        self.conv1 = operations.Conv2d(inputs, outputs, 3, stride, 1, bias=False, **factory)
        self.conv2 = operations.Conv2d(outputs, outputs, 3, 1, 1, bias=False, **factory)
        self.downsample = (
            nn.ModuleList([operations.Conv2d(inputs, outputs, 1, stride, **factory)]) if stride > 1 else None
        )

    def forward(self, x: Tensor) -> Tensor:
        branch = F.relu(F.instance_norm(self.conv1(x)), inplace=True)
        branch = F.relu(F.instance_norm(self.conv2(branch)), inplace=True)  # before the sum as well
        shortcut = x if self.downsample is None else F.instance_norm(self.downsample[0](x))
        return F.relu(branch.add_(shortcut), inplace=True)


class Backbone(nn.Module):
    """RGB [B, 3, H, W] (normalised) -> features [B, 128, H/8, W/8]."""

    layer1: nn.Module
    layer2: nn.Module
    layer3: nn.Module

    def __init__(self, operations, **factory):
        super().__init__()
        self.conv1 = operations.Conv2d(3, 64, 7, 2, 3, bias=False, **factory)
        widths = ((64, 64, 1), (64, 96, 2), (96, CHANNELS, 2))
        for number, (inputs, outputs, stride) in enumerate(widths, start=1):
            blocks = [
                ResidualBlock(inputs, outputs, stride, operations, **factory),
                ResidualBlock(outputs, outputs, 1, operations, **factory),
            ]
            self.add_module(f"layer{number}", nn.Sequential(*blocks))
        self.conv2 = operations.Conv2d(CHANNELS, CHANNELS, 1, **factory)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(F.instance_norm(self.conv1(x)), inplace=True)
        return self.conv2(self.layer3(self.layer2(self.layer1(x))))


class WindowAttention(nn.Module):
    """Attention in 2x2 windows of the feature map, optionally followed by a feed-forward network on
    concat(source, message)."""

    q_proj: nn.Module
    k_proj: nn.Module
    v_proj: nn.Module
    merge: nn.Module

    def __init__(self, feed_forward: bool, operations, **factory):
        super().__init__()
        for name in ("q_proj", "k_proj", "v_proj", "merge"):
            self.add_module(name, operations.Linear(CHANNELS, CHANNELS, bias=False, **factory))
        self.norm1 = operations.LayerNorm(CHANNELS, **factory)
        self.mlp = None
        if feed_forward:
            wide = 2 * CHANNELS
            layers = [
                operations.Linear(wide, 4 * wide, bias=False, **factory),
                nn.GELU(),
                operations.Linear(4 * wide, CHANNELS, bias=False, **factory),
            ]
            self.mlp = nn.Sequential(*layers)
            self.norm2 = operations.LayerNorm(CHANNELS, **factory)

    def forward(self, source: Tensor, target: Tensor, mask: Tensor | None) -> Tensor:
        """``source`` and ``target`` [B, 4, n, C], windows of tokens -> source plus message, same shape."""
        message = attend(self.q_proj(source), self.k_proj(target), self.v_proj(target), mask)
        message = self.norm1(self.merge(message))
        if self.mlp is not None:
            message = self.norm2(self.mlp(torch.cat([source, message], dim=-1)))
        return source + message


class TransformerBlock(nn.Module):
    def __init__(self, operations, **factory):
        super().__init__()
        self.self_attn = WindowAttention(False, operations, **factory)
        self.cross_attn_ffn = WindowAttention(True, operations, **factory)

    def forward(self, tokens: Tensor, size: tuple[int, int], mask: Tensor | None) -> Tensor:
        """``tokens`` [2B, h*w, C], first frames then second frames; each frame attends to the other one as it was
        before this block. With ``mask``, which is that of :func:`.swin_windows.shift_mask`, the windows are shifted."""
        shifted = mask is not None
        windows = split_windows(tokens, size, shifted)
        other = torch.cat(windows.chunk(2)[::-1])
        windows = self.self_attn(windows, windows, mask)
        return join_windows(self.cross_attn_ffn(windows, other, mask), size, shifted)


class FeatureTransformer(nn.Module):
    def __init__(self, operations, **factory):
        super().__init__()
        self.layers = nn.ModuleList([TransformerBlock(operations, **factory) for _ in range(BLOCKS)])

    def forward(self, features: Tensor) -> Tensor:
        size = (features.shape[-2], features.shape[-1])
        tokens = features.flatten(2).transpose(1, 2)
        mask = shift_mask(size, tokens.device, tokens.dtype)[None]  # without the fourth axis scores would be stored
        for number, block in enumerate(self.layers):
            tokens = block(tokens, size, mask if number % 2 else None)
        return tokens.transpose(1, 2).unflatten(2, size)


class FlowPropagation(nn.Module):
    """Self-attention over the whole map that carries flow into occluded places."""

    def __init__(self, operations, **factory):
        super().__init__()
        self.q_proj = operations.Linear(CHANNELS, CHANNELS, **factory)
        self.k_proj = operations.Linear(CHANNELS, CHANNELS, **factory)

    def forward(self, features: Tensor, flow: Tensor) -> Tensor:
        query = self.q_proj(features.flatten(2).transpose(1, 2))[:, None]
        key = self.k_proj(query)  # of the projected query: so the published weights were trained
        value = flow.flatten(2).transpose(1, 2)[:, None]
        return attend(query, key, value)[:, 0].transpose(1, 2).unflatten(2, flow.shape[-2:])


class GMFlow(nn.Module):
    """GMFlow with one scale at 1/8, six blocks, global matching and propagation, convex upsampling by 8.

    Args:
        operations: namespace of layer classes, ``torch.nn`` or the host's.
    """

    def __init__(self, operations=nn, device=None, dtype=None):
        super().__init__()
        factory = {"device": device, "dtype": dtype}
        self.backbone = Backbone(operations, **factory)
        self.transformer = FeatureTransformer(operations, **factory)
        self.feature_flow_attn = FlowPropagation(operations, **factory)
        layers = [
            operations.Conv2d(2 + CHANNELS, 256, 3, 1, 1, **factory),
            nn.ReLU(),
            operations.Conv2d(256, UPSAMPLING**2 * 9, 1, **factory),
        ]
        self.upsampler = nn.Sequential(*layers)

    def features(self, first: Tensor, second: Tensor) -> Tensor:
        """Backbone features of both frames stacked, [2B, 128, h, w]; frames RGB 0..255, sizes multiples of 16."""
        frames = torch.cat([first, second]) / 255
        mean, std = (frames.new_tensor(value).view(1, 3, 1, 1) for value in (IMAGE_MEAN, IMAGE_STD))
        return self.backbone((frames - mean) / std)

    def match(self, features: Tensor) -> Tensor:
        """Flow in feature cells [2B, 2, h, w] (forward, then backward): expected position minus own position."""
        height, width = features.shape[-2:]
        y, x = torch.meshgrid(
            torch.arange(height, device=features.device, dtype=features.dtype),
            torch.arange(width, device=features.device, dtype=features.dtype),
            indexing="ij",
        )
        grid = torch.stack([x, y], dim=-1).view(1, 1, height * width, 2)
        # Contiguous: fused attention refuses tokens whose channels are not neighbours, and scores would be stored.
        query = features.flatten(2).transpose(1, 2).contiguous()[:, None]
        key = torch.cat(query.chunk(2)[::-1])
        expected = attend(query, key, grid.expand(len(query), -1, -1, -1))
        return (expected - grid)[:, 0].transpose(1, 2).unflatten(2, (height, width))

    def upsample(self, flow: Tensor, features: Tensor) -> Tensor:
        """Convex combination of the 3x3 neighbours, [B, 2, h, w] in cells -> [B, 2, 8h, 8w] in pixels."""
        batch, _, height, width = flow.shape
        weights = self.upsampler(torch.cat([flow, features], dim=1))
        weights = weights.view(batch, 1, 9, UPSAMPLING, UPSAMPLING, height, width).softmax(dim=2)
        neighbours = F.unfold(UPSAMPLING * flow, 3, padding=1).view(batch, 2, 9, 1, 1, height, width)
        fine = (weights * neighbours).sum(dim=2)  # [B, 2, 8, 8, h, w]
        return rearrange(fine, "b xy i j h w -> b xy (h i) (w j)")

    def forward(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """Flow between frame pairs.

        Args:
            first, second: float32 [B, 3, H, W], RGB 0..255.

        Returns:
            (forward, backward), float32 [B, 2, H, W] in pixels: forward lives on ``first`` and points into ``second``,
            backward lives on ``second`` and points into ``first``.
        """
        height, width = first.shape[-2:]
        top, left = (-height % PADDING) // 2, (-width % PADDING) // 2
        padding = (left, -width % PADDING - left, top, -height % PADDING - top)
        first, second = (F.pad(frame, padding, mode="replicate") for frame in (first, second))
        features = self.features(first, second)
        rows, columns = features.shape[-2:]
        position = sine_position(rows // 2, columns // 2, features.device, features.dtype)
        features = self.transformer(features + position.repeat(1, 1, 2, 2))
        flow = self.feature_flow_attn(features, self.match(features))
        flow = self.upsample(flow, features)[..., top : top + height, left : left + width]
        forward, backward = flow.chunk(2)
        return forward.contiguous(), backward.contiguous()
