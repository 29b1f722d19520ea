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

from . import triton_kernels as kernels
from .patch_error import replicate
from .search_level import Level, Search, Solution, occupancy_cost, search_radii, usable_centres
from .voting import Voting, changed, vote

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
    state = _Matching(level, nnf, search)
    image = state.vote("plain")
    active = None
    for _ in range(search.vote_iterations):
        state.begin_search(image)
        for iteration in range(search.match_iterations):
            sign = 1 if iteration % 2 == 0 else -1
            state.propagate(0, sign)
            state.propagate(sign, 0)
            state.random_search(active)
        previous, image = image, state.vote(search.voting)
        if search.stop_threshold > 0:
            active = changed(previous, image, search.stop_threshold, search.patch)
        step()
    return Solution(image, state.coordinates(), state.error.view(nnf.shape[:3]))


class _Matching:
    """Matches of a batch of problems, and all that is needed to improve them."""

    def __init__(self, level: Level, nnf: Tensor, search: Search):
        self.level, self.search, device = level, search, level.source.device
        self.b, self.height, self.width = nnf.shape[:3]
        self.source_height, self.source_width = level.source_size
        self.radius = search.patch // 2
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
        self.weights = F.pad(level.weights.float(), (0, 4 * self.words - channels)).to(device)

        flat = nnf[..., 1].int() * self.source_width + nnf[..., 0].int()
        self.match = torch.where(nnf[..., 0] >= 0, flat, -1).int().flatten()
        self.spare = torch.empty_like(self.match)
        self.centre = self.match
        self.error = torch.zeros(self.match.shape, device=device)
        self.usable = usable_centres(level, search.patch).to(torch.uint8).flatten()
        matched = (nnf[..., 0] >= 0).flatten(1).sum(dim=1).clamp(min=1)
        self.unit_cost = occupancy_cost(level, 1, search) / matched.float()
        self.count = torch.zeros(self.usable.shape, dtype=torch.int32, device=device)
        self.cost = torch.empty(self.usable.shape, device=device)
        self.passes = 0
        self.radii = search_radii(level.source_size)

    def begin_search(self, image: Tensor) -> None:
        """Take the last vote into the target, measure all matches against it and count them."""
        self.target_style.copy_(replicate(image, self.radius))
        first = torch.arange(self.b, device=self.match.device)[:, None] * (self.source_height * self.source_width)
        match = self.match.view(self.b, -1)
        known = (match >= 0).int()
        self.count.zero_().index_add_(0, (match.clamp(min=0) + first).flatten(), known.flatten())
        self._search(MEASURE, self.match)
        self._refresh_occupancy()

    def propagate(self, down: int, right: int) -> None:
        """Try, at every pixel, the match of the pixel ``down`` rows above or ``right`` columns left of it, moved along.

        Negative numbers mean below and to the right.
        """
        self._search(PROPAGATE, self.spare, down=down, right=right)
        self.match, self.spare = self.spare, self.match
        self._refresh_occupancy()

    def random_search(self, active: Tensor | None) -> None:
        """Try random places in squares of growing radius around each pixel's match as it now is.

        Args:
            active: bool per pixel, where to search; None = everywhere.
        """
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

    def vote(self, voting: Voting) -> Tensor:
        """The picture that the matches make."""
        if voting != "plain":
            error = self.error.view(self.b, self.height, self.width)
            return vote(self.level.style, self.coordinates(), self.search.patch, voting, error)
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
        """The matches as int32 [B, Ht, Wt, 2], (x, y), -1 for none."""
        y = torch.div(self.match, self.source_width, rounding_mode="floor")
        nnf = torch.stack([self.match - y * self.source_width, y], dim=-1)
        return torch.where(self.match[:, None] < 0, -1, nnf).view(self.b, self.height, self.width, 2)


def _words(picture: Tensor, words: int) -> Tensor:
    """uint8 [B, H, W, C] as int32 [B, H, W, words], four channels in each, zeros behind the last."""
    return F.pad(picture, (0, 4 * words - picture.shape[-1])).contiguous().view(torch.int32)


def _programs(values: Tensor) -> tuple[int]:
    return (-(-values.numel() // BLOCK),)
