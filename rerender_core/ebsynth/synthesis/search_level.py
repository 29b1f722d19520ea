"""What a PatchMatch engine is given at one level of the pyramid and what it makes of it
(docs/methods/ebsynth.md, Level loop)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from .voting import Voting


@dataclass(frozen=True)
class Level:
    """B problems of equal size.

    Attributes:
        source: uint8 [B, Hs, Ws, C], the style's channels and after them the guides'.
        target: uint8 [B, Ht, Wt, C - NS], the guides of the frame that is made.
        weights: float32 [C], on the CPU.
        style_channels: NS.
        modulation: uint8 [B, Ht, Wt, C - NS], scales the guides' weights by its value / 255; None = 255 everywhere.
        usable: bool [B, Hs, Ws], where source patches may be centred; None = wherever they lie inside the source.
        placed_weights: the weights on the device of the pictures, if they are there already.
    """

    source: Tensor
    target: Tensor
    weights: Tensor
    style_channels: int
    modulation: Tensor | None = None
    usable: Tensor | None = None
    placed_weights: Tensor | None = None

    @property
    def weights_there(self) -> Tensor:
        """The weights on the device of the pictures."""
        return self.weights.to(self.source.device) if self.placed_weights is None else self.placed_weights

    @property
    def source_size(self) -> tuple[int, int]:
        return self.source.shape[1], self.source.shape[2]

    @property
    def target_size(self) -> tuple[int, int]:
        return self.target.shape[1], self.target.shape[2]

    @property
    def style(self) -> Tensor:
        return self.source[..., : self.style_channels]


@dataclass(frozen=True)
class Search:
    """How a level is searched.

    Attributes:
        patch: side of the patch, odd, 3..15.
        uniformity: what occupancy costs, in units of the patch error.
        vote_iterations: searches, each followed by a vote.
        match_iterations: PatchMatch iterations in each search.
        voting: see :func:`.voting.vote`.
        stop_threshold: grey levels by which a patch must have changed in the last vote for random search to go on at
            its pixel; 0 = it always does. The reference's CUDA variant stops propagation as well, at a loss.
        seed: of the random numbers.
    """

    patch: int
    uniformity: float
    vote_iterations: int
    match_iterations: int
    voting: Voting
    stop_threshold: int
    seed: int


class Solution(NamedTuple):
    """The painted frames and how they came about.

    Attributes:
        image: uint8 [B, Ht, Wt, NS].
        nnf: int32 [B, Ht, Wt, 2], (x, y) of the matched source patch's centre, -1 outside the target mask.
        error: float32 [B, Ht, Wt], squared grey levels weighted and summed over the patch (docs/methods/ebsynth.md,
            Patch error), against the picture before the last vote as in the reference.
    """

    image: Tensor
    nnf: Tensor
    error: Tensor


class Engine(Protocol):
    """Improves matches by alternating search and vote."""

    def __call__(self, level: Level, nnf: Tensor, search: Search, step: Callable[[], None]) -> Solution:
        """``nnf`` int [B, Ht, Wt, 2] is the start, x < 0 at pixels to be left out; ``step`` is called after every vote
        and may raise to cancel."""
        ...


def search_radii(source_size: tuple[int, int]) -> list[int]:
    """Radii of the random search in the order in which they are tried: 1 .. the longer side, about doubling."""
    radii = []
    radius = max(source_size)
    while radius >= 1:
        radii.append(radius)
        radius //= 2
    return radii[::-1]


def occupancy_cost(level: Level, matches: int, search: Search) -> float:
    """What one unit of a patch's occupancy sum (docs/methods/ebsynth.md, Uniformity) costs in a problem with this many
    matched pixels."""
    area = level.source_size[0] * level.source_size[1]
    return search.uniformity * area / max(matches, 1) / search.patch**4


def usable_centres(level: Level, patch: int) -> Tensor:
    """bool [B, Hs, Ws]: where source patches may be centred, the half patch along the border excluded."""
    radius = patch // 2
    (height, width), b = level.source_size, level.source.shape[0]
    inside = torch.zeros(b, height, width, dtype=torch.bool, device=level.source.device)
    inside[:, radius : height - radius, radius : width - radius] = True
    return inside if level.usable is None else inside & level.usable
