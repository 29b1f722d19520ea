"""The fused engine: PatchMatch in Triton kernels, on CUDA cards (docs/methods/ebsynth.md, Fused engine).

It tries what the vectorised engine tries, in the same order, but a pass over all pixels of all problems is one kernel,
which keeps a candidate's patch in registers, and occupancy is counted anew after every pass. Nothing waits for the card
until a vote is done.
"""

import logging
from collections.abc import Callable
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from ..patch_error import replicate
from ..search_level import Level, Search, Solution, occupancy_cost, search_radii, usable_centres
from . import triton_kernels as kernels
from .matching import Matching

logger = logging.getLogger(__name__)

BLOCK = 128
MEASURE, PROPAGATE, RANDOM = 0, 1, 2


@cache
def available(device: torch.device) -> bool:
    """Whether Triton's kernels run on this device: it is a CUDA card, Triton is installed and finds a C compiler."""
    if device.type != "cuda" or kernels.triton is None:
        return False
    try:
        picture = torch.zeros(1, 8, 8, 4, dtype=torch.uint8, device=device)
        level = Level(picture, picture[..., 3:], torch.ones(4), 3)
        nnf = torch.full((1, 8, 8, 2), 4, dtype=torch.int32, device=device)
        solve(level, nnf, Search(3, 1.0, 1, 1, "plain", 0, 0), lambda: None)
    except Exception as error:  # whatever keeps Triton from compiling, the vectorised engine does the work
        logger.info("Betwixt: patch synthesis runs without Triton on %s: %s: %s", device, type(error).__name__, error)
        return False
    return True


def solve(level: Level, nnf: Tensor, search: Search, step: Callable[[], None]) -> Solution:
    """See :class:`.search_level.Engine`."""
    return _Matching(level, nnf, search).solve(step)


class _Matching(Matching):
    """Matches as flat positions in the source of their own problem, -1 for none."""

    def __init__(self, level: Level, nnf: Tensor, search: Search):
        super().__init__(level, nnf, search)
        device = level.source.device
        channels = level.source.shape[-1]
        self.words = 1 << (-(-channels // 4) - 1).bit_length()
        self.source = _words(level.source, self.words)
        guides = replicate(level.target, self.radius)
        blank = guides.new_zeros(*guides.shape[:3], level.style_channels)
        self.target = _words(torch.cat([blank, guides], dim=-1), self.words)
        self.target_style = self.target.view(torch.uint8)[..., : level.style_channels]
        self.factors = self.target
        if level.modulation is not None:
            factors = replicate(level.modulation, self.radius)
            self.factors = _words(F.pad(factors, (level.style_channels, 0), value=255), self.words)
        self.weights = F.pad(level.weights_there.float(), (0, 4 * self.words - channels))

        flat = nnf[..., 1].int() * self.source_width + nnf[..., 0].int()
        self.match = torch.where(nnf[..., 0] >= 0, flat, -1).int().flatten()
        self.spare = torch.empty_like(self.match)
        self.centre = self.match
        self.usable = usable_centres(level, search.patch).to(torch.uint8).flatten()
        matched = (nnf[..., 0] >= 0).flatten(1).sum(dim=1).clamp(min=1)
        self.unit_cost = occupancy_cost(level, 1, search) / matched.float()
        self.count = torch.zeros(self.usable.shape, dtype=torch.int32, device=device)
        self.cost = torch.empty(self.usable.shape, device=device)
        self.passes = 0
        self.radii = search_radii(level.source_size)

    def begin_search(self, image: Tensor) -> None:
        self.target_style.copy_(replicate(image, self.radius))
        first = torch.arange(self.b, device=self.match.device)[:, None] * (self.source_height * self.source_width)
        match = self.match.view(self.b, -1)
        known = (match >= 0).int()
        self.count.zero_().index_add_(0, (match.clamp(min=0) + first).flatten(), known.flatten())
        self._search(MEASURE, self.match)
        self._refresh_occupancy()

    def propagate(self, down: int, right: int) -> None:
        self._search(PROPAGATE, self.spare, down=down, right=right)
        self.match, self.spare = self.spare, self.match
        self._refresh_occupancy()

    def random_search(self, active: Tensor | None) -> None:
        self.centre = self.match.clone()
        for radius in self.radii:
            self._search(RANDOM, self.match, radius=radius, active=active)
            self._refresh_occupancy()

    def _search(
        self, mode: int, new_match: Tensor, down: int = 0, right: int = 0, radius: int = 0, active: Tensor | None = None
    ) -> None:
        self.passes += 1
        kernels.search[_programs(self.match)](
            self.source,
            self.target,
            self.factors,
            self.weights,
            self.match,
            self.centre,
            new_match,
            self.error,
            self.cost,
            self.count,
            self.usable if active is None else active.to(torch.uint8),
            self.height,
            self.width,
            self.source_height,
            self.source_width,
            self.match.numel(),
            (self.search.seed * 1_000_003 + self.passes) % (1 << 31),
            down,
            right,
            radius,
            MODE=mode,
            MODULATED=self.level.modulation is not None,
            SOME=active is not None,
            WORDS=self.words,
            PATCH=self.search.patch,
            BLOCK=BLOCK,
        )

    def _refresh_occupancy(self) -> None:
        kernels.occupancy_cost[_programs(self.count)](
            self.count,
            self.usable,
            self.unit_cost,
            self.cost,
            self.source_height,
            self.source_width,
            self.count.numel(),
            PATCH=self.search.patch,
            BLOCK=BLOCK,
        )

    def plain_vote(self) -> Tensor:
        channels = self.level.style_channels
        image = torch.empty(self.b, self.height, self.width, channels, dtype=torch.uint8, device=self.match.device)
        kernels.vote[_programs(self.match) + (channels,)](
            self.source,
            self.match,
            image,
            self.height,
            self.width,
            self.source_height,
            self.source_width,
            self.match.numel(),
            CHANNELS=channels,
            WORDS=self.words,
            PATCH=self.search.patch,
            BLOCK=BLOCK,
        )
        return image

    def coordinates(self) -> Tensor:
        y = torch.div(self.match, self.source_width, rounding_mode="floor")
        nnf = torch.stack([self.match - y * self.source_width, y], dim=-1)
        return torch.where(self.match[:, None] < 0, -1, nnf).view(self.b, self.height, self.width, 2)


def _words(picture: Tensor, words: int) -> Tensor:
    """uint8 [B, H, W, C] as int32 [B, H, W, words], four channels in each, zeros behind the last."""
    return F.pad(picture, (0, 4 * words - picture.shape[-1])).contiguous().view(torch.int32)


def _programs(values: Tensor) -> tuple[int]:
    return (-(-values.numel() // BLOCK),)
