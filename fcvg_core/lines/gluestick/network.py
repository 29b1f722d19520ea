"""GlueStick: a graph network over the wireframes of two pictures (Pautrat et al., ICCV 2023;
docs/methods/lines.md, GlueStick).

Tensors are channel-first, [c, points], and there is no batch axis apart from the layers' own. Everything that treats
points one by one runs on the points of both pictures side by side.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from .assignment import log_double_softmax, mutual_matches, orientation_free_scores
from .wireframe import Wireframe

HEADS = 4
Pair = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class Layout:
    """What the network's size is told by.

    Attributes:
        width: channels of the descriptors.
        encoder_widths: hidden channels of the two encoders.
        layers: self- and cross-attention layers in all, alternating.
        line_layers: layers along the segments, one after each of the first self-attention layers.
    """

    width: int = 256
    encoder_widths: tuple[int, ...] = (32, 64, 128, 256)
    layers: int = 18
    line_layers: int = 9

    @classmethod
    def of(cls, state_dict: dict) -> "Layout":
        """The layout of a checkpoint with the published parameter names."""
        convolutions = {
            index: len(state_dict[f"kenc.encoder.{index}.weight"])
            for index in _indices(state_dict, r"kenc\.encoder\.(\d+)\.weight")
            if state_dict[f"kenc.encoder.{index}.weight"].ndim == 3  # batch norms have numbers of their own
        }
        *hidden, width = (convolutions[index] for index in sorted(convolutions))
        return cls(
            width=width,
            encoder_widths=tuple(hidden),
            layers=1 + max(_indices(state_dict, r"gnn\.layers\.(\d+)\."), default=-1),
            line_layers=1 + max(_indices(state_dict, r"gnn\.line_layers\.(\d+)\."), default=-1),
        )


def _indices(names, pattern: str) -> set[int]:
    """The numbers that a pattern's group takes among the names."""
    return {int(match[1]) for name in names if (match := re.match(pattern, name))}


@dataclass(frozen=True)
class Assignment:
    """Matches between the nodes, or the lines, of two pictures (m and n of them).

    Attributes:
        log_scores: float32 (m+1, n+1), log probabilities, the last column and row for "no match"; (m, n) zeros where
            there was nothing to match.
        matches: int64 (m,) and (n,), the partner's index or -1.
        scores: float32 (m,) and (n,), 0..1, of the mutually best pairs (0 otherwise), below the threshold too.
    """

    log_scores: torch.Tensor
    matches: Pair
    scores: Pair

    @classmethod
    def empty(cls, sizes: Sequence[int], like: torch.Tensor) -> "Assignment":
        m, n = sizes
        nobody = [torch.full((count,), -1, dtype=torch.int64, device=like.device) for count in sizes]
        return cls(like.new_zeros(m, n), (nobody[0], nobody[1]), (like.new_zeros(m), like.new_zeros(n)))


def _mlp(widths, operations, **factory) -> nn.Sequential:
    """1x1 convolutions with batch norm and ReLU between them. The host has no BatchNorm1d of its own."""
    layers = []
    for index, (inputs, outputs) in enumerate(zip(widths[:-1], widths[1:], strict=True)):
        if index:
            layers += [nn.BatchNorm1d(inputs, **factory), nn.ReLU(inplace=True)]
        layers.append(operations.Conv1d(inputs, outputs, 1, **factory))
    return nn.Sequential(*layers)


class Encoder(nn.Module):
    """Lifts positions and scores of points, or of segment endpoints, to descriptors."""

    def __init__(self, inputs, layout, operations, **factory):
        super().__init__()
        self.encoder = _mlp((inputs, *layout.encoder_widths, layout.width), operations, **factory)

    def forward(self, features):
        return self.encoder(features[None])[0]


class MultiHeadAttention(nn.Module):
    """Scaled dot-product attention whose heads are interleaved: channel c belongs to head c mod 4."""

    def __init__(self, width, operations, **factory):
        super().__init__()
        self.proj = nn.ModuleList([operations.Conv1d(width, width, 1, **factory) for _ in range(3)])
        self.merge = operations.Conv1d(width, width, 1, **factory)

    def forward(self, points, split, cross):
        """Messages [c, m+n] to the points [c, m+n] of both pictures, of which the first has ``split`` = m.

        ``cross``: each picture attends to the other, otherwise to itself.
        """
        counts = (split, points.shape[1] - split)
        query, key, value = (self._heads(proj(points[None])).split(counts, dim=2) for proj in self.proj)
        if cross:
            key, value = key[::-1], value[::-1]
        messages = [F.scaled_dot_product_attention(*side) for side in zip(query, key, value, strict=True)]
        messages = torch.cat(messages, dim=2).transpose(1, 3).transpose(2, 3)  # [1, channels of a head, heads, points]
        return self.merge(messages.reshape(1, -1, points.shape[1]))[0]

    @staticmethod
    def _heads(x):
        """[1, c, points] to [1, heads, points, c / heads]."""
        return x.view(1, -1, HEADS, x.shape[-1]).permute(0, 2, 3, 1).contiguous()


class AttentionLayer(nn.Module):
    """One message-passing step over all points; the published names put it under ``update``."""

    def __init__(self, width, operations, **factory):
        super().__init__()
        self.update = nn.Module()
        self.update.attn = MultiHeadAttention(width, operations, **factory)
        self.update.mlp = _mlp((2 * width, 2 * width, width), operations, **factory)

    def forward(self, points, split, cross):
        message = self.update.attn(points, split, cross)
        return points + self.update.mlp(torch.cat([points, message])[None])[0]


class LineLayer(nn.Module):
    """One message-passing step along the segments: every endpoint tells its junction about the other end."""

    def __init__(self, width, operations, **factory):
        super().__init__()
        self.mlp = _mlp((3 * width, 2 * width, width), operations, **factory)

    def forward(self, points, line_junctions, line_encoding):
        """Points [c, n]; junction indices (L, 2) into them; encoding [c, 2 L] of the endpoints. New points [c, n]."""
        own, other = line_junctions.flatten(), line_junctions.flip(1).flatten()
        messages = self.mlp(torch.cat([points[:, own], points[:, other], line_encoding])[None])[0]
        total = torch.zeros_like(points).index_add_(1, own, messages)
        members = points.new_zeros(points.shape[1]).index_add_(0, own, torch.ones_like(messages[0]))
        return points + total / members.clamp(min=1)


class GraphNetwork(nn.Module):
    """Alternating self- and cross-attention; after a self layer, the line layer that goes with it."""

    def __init__(self, layout, operations, **factory):
        super().__init__()
        self.layers = nn.ModuleList([AttentionLayer(layout.width, operations, **factory) for _ in range(layout.layers)])
        self.line_layers = nn.ModuleList(
            [LineLayer(layout.width, operations, **factory) for _ in range(layout.line_layers)]
        )

    def forward(self, points, split, line_junctions, line_encoding):
        """As :class:`LineLayer`, for the points of both pictures; without junctions the line layers are left out."""
        for index, layer in enumerate(self.layers):
            points = layer(points, split, cross=index % 2 == 1)
            if line_junctions is not None and index % 2 == 0 and index // 2 < len(self.line_layers):
                points = self.line_layers[index // 2](points, line_junctions, line_encoding)
        return points


class GlueStick(nn.Module):
    """The matcher, with the parameter names of ``checkpoint_GlueStick_MD.tar`` less their ``matcher.``."""

    def __init__(self, layout: Layout | None = None, operations=torch.nn, device=None, dtype=None):
        super().__init__()
        layout, factory = layout or Layout(), {"device": device, "dtype": dtype}
        self.kenc = Encoder(3, layout, operations, **factory)
        self.lenc = Encoder(5, layout, operations, **factory)
        self.gnn = GraphNetwork(layout, operations, **factory)
        self.final_proj = operations.Conv1d(layout.width, layout.width, 1, **factory)
        self.final_line_proj = operations.Conv1d(layout.width, layout.width, 1, **factory)
        self.bin_score = nn.Parameter(torch.empty((), **factory))
        self.line_bin_score = nn.Parameter(torch.empty((), **factory))

    def forward(
        self, first: Wireframe, last: Wireframe, sizes: tuple[tuple[int, int], tuple[int, int]], threshold: float = 0.2
    ) -> tuple[Assignment, Assignment]:
        """Match two wireframes.

        Args:
            sizes: (width, height) of both pictures in pixels.
            threshold: a match must score more than this, 0..1.

        Returns:
            The assignment of the nodes and that of the lines.
        """
        sides = (first, last)
        nodes, lines = ([len(getattr(side, name)) for side in sides] for name in ("keypoints", "lines"))
        like = first.descriptors
        if min(nodes) == 0:
            return Assignment.empty(nodes, like), Assignment.empty(lines, like)
        descriptors = self.describe(sides, sizes)
        pointwise = self._assign(scaled_products(self.final_proj, descriptors), self.bin_score, threshold)
        if min(lines) == 0:
            return pointwise, Assignment.empty(lines, like)
        return pointwise, self._assign(self.compare_lines(sides, descriptors), self.line_bin_score, threshold)

    def describe(self, sides: tuple[Wireframe, Wireframe], sizes) -> Pair:
        """The nodes' descriptors [c, m] and [c, n] after the graph network."""
        scaled = [_scale_to_picture(side, *size) for side, size in zip(sides, sizes, strict=True)]
        points = torch.cat([side.descriptors for side in sides], dim=1)
        points = points + self.kenc(torch.cat([features for features, _ in scaled], dim=1))
        split = len(sides[0].keypoints)
        line_junctions = line_encoding = None
        if all(len(side.lines) for side in sides):
            line_junctions = torch.cat([sides[0].line_junctions, sides[1].line_junctions + split])
            line_encoding = self.lenc(torch.cat([features for _, features in scaled], dim=1))
        points = self.gnn(points, split, line_junctions, line_encoding)
        return points[:, :split], points[:, split:]

    def compare_lines(self, sides: tuple[Wireframe, Wireframe], descriptors: Pair) -> torch.Tensor:
        """Similarity (M, N) of the lines, from :meth:`describe`'s result."""
        similarity = scaled_products(self.final_line_proj, descriptors)
        return orientation_free_scores(similarity, sides[0].line_junctions, sides[1].line_junctions)

    @staticmethod
    def _assign(similarity, bin_score, threshold) -> Assignment:
        log_scores = log_double_softmax(similarity, bin_score.to(similarity))
        return Assignment(log_scores, *mutual_matches(log_scores, threshold))


def scaled_products(projection, descriptors: Pair) -> torch.Tensor:
    """[m, n] scaled products of the projected descriptors of both pictures."""
    first, last = (projection(side[None])[0] for side in descriptors)
    return first.T @ last / first.shape[0] ** 0.5


def _scale_to_picture(side: Wireframe, width: int, height: int) -> Pair:
    """Input features of the two encoders: [3, n] (x, y, score) of the nodes and [5, 2 L] (x, y, dx, dy, score) of the
    segment endpoints, interleaved; the picture's centre is 0 and its longer side about 1.4 long."""
    centre, extent = side.keypoints.new_tensor([width / 2, height / 2]), 0.7 * max(width, height)
    nodes = (side.keypoints - centre) / extent
    ends = (side.lines - centre) / extent
    towards_other = ends.flip(1) - ends
    # The weights were trained with the scores of all lines laid twice end to end along the interleaved endpoints.
    features = torch.cat([ends, towards_other], dim=-1).flatten(0, 1)
    return (
        torch.cat([nodes, side.keypoint_scores[:, None]], dim=1).T,
        torch.cat([features, side.line_scores.repeat(2)[:, None]], dim=1).T,
    )
