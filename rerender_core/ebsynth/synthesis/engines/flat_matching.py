"""What the engines in torch operations share: matches as flat positions, random places, errors, votes
(docs/methods/ebsynth.md, Vectorised engine)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ..occupancy import covered
from ..patch_error import patch_rows, replicate
from ..search_level import Level, Search, search_radii, usable_centres
from ..voting import pack_channels, packed_votes, unpack_mean
from .matching import Matching

MULTIPLIER, INCREMENT = 6364136223846793005, 1442695040888963407  # Knuth's MMIX generator, one state per pixel
BITS, FIRST_SHIFT = 21, 43  # of a state: so many for x, and below them for y


class FlatMatching(Matching):
    """Matches as flat positions in all sources of the batch.

    Behind the last source there is room for the position ``self.none`` of pixels without a match and for anything
    within a patch of it; patches there cost infinitely much.

    Attributes:
        unit_cost: float32 [B, 1, 1], what a unit of occupancy costs in each problem; count: float32, the matches of
            every source pixel; cost: of a match there. All three are the engine's to set.
        random: int64, a state for every pixel.
    """

    unit_cost: Tensor
    count: Tensor
    random: Tensor

    def __init__(self, level: Level, nnf: Tensor, search: Search):
        super().__init__(level, nnf, search)
        device = level.source.device
        self.area = self.source_height * self.source_width
        self.row_length = search.patch * level.source.shape[-1]
        self.reach = self.radius * self.source_width + self.radius
        self.none, self.places = self.b * self.area + self.reach, self.b * self.area + 2 * self.reach + 1

        self.target_width = self.width + 2 * self.radius
        first = torch.arange(self.b, device=device).view(-1, 1, 1) * (self.height + 2 * self.radius) * self.target_width
        down = torch.arange(self.height, device=device)[:, None] * self.target_width
        self.target_corners = (first + down + torch.arange(self.width, device=device)).flatten()
        self.source_rows = patch_rows(level.source, search.patch)
        self.guides = replicate(level.target, self.radius)
        self.scale_rows, self.scaled = self._modulation(level.modulation)
        voters = torch.cat([level.style, torch.ones_like(level.style[..., :1])], dim=-1)
        self.packed_style = pack_channels(voters, 2 * self.reach + 1)

        self.matched = (nnf[..., 0] >= 0).flatten()
        batch = torch.arange(self.b, device=device).view(-1, 1, 1) * self.area
        match = batch + nnf[..., 1].long() * self.source_width + nnf[..., 0].long()
        self.match = torch.where(self.matched, match.flatten(), self.none)
        self.blocked = ~usable_centres(level, search.patch)
        self.cost = torch.full((self.places,), torch.inf, device=device)
        self.radii = search_radii(level.source_size)
        self.limits = torch.full((2, 1), self.source_height - self.radius, device=device)  # filled: no copies
        self.limits[0] = self.source_width - self.radius
        self.shifts = FIRST_SHIFT - BITS * torch.arange(2, device=device)[:, None]

    def _modulation(self, modulation: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        """Rows of weight factors 0..1 like the target's rows, and which pixels' patches have any below 1."""
        if modulation is None:
            return None, None
        channels = self.level.source.shape[-1]
        factors = modulation.new_full((*modulation.shape[:3], channels), 255)
        factors[..., self.level.style_channels :] = modulation
        reduced = (factors.amin(dim=-1) < 255).float()[:, None]
        scaled = F.max_pool2d(reduced, self.search.patch, 1, self.radius).flatten() > 0
        return patch_rows(replicate(factors, self.radius), self.search.patch), scaled

    def _set_target(self, image: Tensor) -> None:
        """The last vote becomes the target's style."""
        target = torch.cat([replicate(image, self.radius), self.guides], dim=-1).contiguous()
        self.target_rows = patch_rows(target, self.search.patch)

    def _refresh_occupancy(self) -> None:
        shape = self.b, self.source_height, self.source_width
        count = self.count[: self.b * self.area].view(shape)
        inside = self.cost[: self.b * self.area].view(shape)
        torch.mul(covered(covered(count, self.search.patch), self.search.patch), self.unit_cost, out=inside)
        inside.masked_fill_(self.blocked, torch.inf)

    def _neighbours(self, down: int, right: int) -> Tensor:
        """For every pixel the match of the one ``down`` rows above or ``right`` columns left of it, moved along."""
        match = self.match.view(self.b, self.height, self.width)
        candidate = torch.full_like(match, self.none)
        here = (slice(None), _after(down), _after(right))
        there = (slice(None), _after(-down), _after(-right))
        candidate[here] = match[there] + (down * self.source_width + right)
        return candidate.flatten()

    def _split(self, match: Tensor) -> tuple[Tensor, Tensor]:
        """(x, y) [2, n] of flat positions in their source, and the flat position of the source's first pixel."""
        inside = match % self.area
        y = torch.div(inside, self.source_width, rounding_mode="floor")
        return torch.stack([inside - y * self.source_width, y]), match - inside

    def _random_places(self, pixels: Tensor | slice, radius: int, centres: Tensor, first: Tensor) -> Tensor:
        """One flat position each, no farther than ``radius`` from (x, y) along each axis and half a patch inside."""
        state = at(self.random, pixels) * MULTIPLIER + INCREMENT
        self.random[pixels] = state
        low = (centres - radius).clamp_(min=self.radius)
        span = torch.minimum(centres + radius, self.limits).sub_(low)
        x, y = (state >> self.shifts).bitwise_and_((1 << BITS) - 1).mul_(span).bitwise_right_shift_(BITS).add_(low)
        return y.mul_(self.source_width).add_(x).add_(first)

    def plain_vote(self) -> Tensor:
        match = self.match.view(self.b, self.height, self.width)
        sums = packed_votes(self.packed_style, match, self.source_width, self.search.patch)
        return unpack_mean(sums, self.level.style_channels + 1)

    def coordinates(self) -> Tensor:
        nnf = self._split(self.match)[0].T.int()
        nnf = torch.where((self.match >= self.none)[:, None], -1, nnf)
        return nnf.view(self.b, self.height, self.width, 2)


def at(values: Tensor, pixels: Tensor | slice) -> Tensor:
    return values[pixels] if isinstance(pixels, slice) else values.index_select(0, pixels)


def _after(shift: int) -> slice:
    """Of an axis, all but the first ``shift`` places, or all but the last ``-shift``."""
    return slice(shift, None) if shift >= 0 else slice(None, shift)
