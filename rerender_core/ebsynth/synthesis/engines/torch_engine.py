"""The vectorised engine: PatchMatch in torch operations, on any device (docs/methods/ebsynth.md, Vectorised engine).

All pixels of all problems look at one candidate each at a time (a *pass*): the match of a neighbour, moved along, or a
random one. A candidate is dropped by a lower bound of its patch error before the error itself is summed up row by row.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from .....common.helpers import Buffers, Helpers
from ..occupancy import covered
from ..patch_error import patch_rows, replicate
from ..search_level import Level, Search, Solution, occupancy_cost, search_radii, usable_centres
from ..voting import pack_channels, packed_votes, unpack_mean
from .matching import Matching
from .patch_features import DIRECTIONS, PatchFeatures

CPU_VALUES = 256 << 10  # handled at once by a helper, so that they stay in its cache
DEVICE_VALUES = 16 << 20
REFRESH_SHARE = 500  # the occupancy map is made anew once 1 / this of all pixels have changed their match
MULTIPLIER, INCREMENT = 6364136223846793005, 1442695040888963407  # Knuth's MMIX generator, one state per pixel


def solve(level: Level, nnf: Tensor, search: Search, step: Callable[[], None]) -> Solution:
    """See :class:`.search_level.Engine`."""
    with Helpers(level.source.device) as helpers:
        return _Matching(level, nnf, search, helpers).solve(step)


class _Matching(Matching):
    """Matches as flat positions in all sources of the batch.

    Behind the last source there is room for the position ``self.none`` of pixels without a match and for anything
    within a patch of it; patches there cost infinitely much.
    """

    def __init__(self, level: Level, nnf: Tensor, search: Search, helpers: Helpers):
        super().__init__(level, nnf, search)
        self.helpers, device = helpers, level.source.device
        self.area = self.source_height * self.source_width
        values = CPU_VALUES if device.type == "cpu" else DEVICE_VALUES
        row_length = search.patch * level.source.shape[-1]
        self.chunk = min(values // DIRECTIONS, nnf[..., 0].numel())
        self.row_chunk = max(min(values // row_length, nnf[..., 0].numel()), 1)
        self.row_buffers = Buffers((3, self.row_chunk, row_length), torch.uint8, device)
        self.float_buffers = Buffers((self.row_chunk, row_length), torch.float32, device)
        reach = self.radius * self.source_width + self.radius
        self.none, self.places = self.b * self.area + reach, self.b * self.area + 2 * reach + 1

        self.target_width = self.width + 2 * self.radius
        first = torch.arange(self.b, device=device).view(-1, 1, 1) * (self.height + 2 * self.radius) * self.target_width
        down = torch.arange(self.height, device=device)[:, None] * self.target_width
        self.target_corners = (first + down + torch.arange(self.width, device=device)).flatten()
        middle = list(range(search.patch // 4, search.patch - search.patch // 4))
        outer = [row for row in range(search.patch) if row not in middle]
        # A row alone rejects hardly anything that has passed the lower bound, which modulated patches do not have.
        self.row_groups = [middle, outer]
        self.modulated_row_groups = [[self.radius], [row for row in middle if row != self.radius], outer]

        weights = level.weights.to(device)
        self.row_weights = weights.repeat(search.patch)
        self.source_rows = patch_rows(level.source, search.patch)
        self.guides = replicate(level.target, self.radius)
        self.features = PatchFeatures(level, search.patch, self.chunk)
        self.scale_rows, self.scaled = self._modulation(level.modulation)
        voters = torch.cat([level.style, torch.ones_like(level.style[..., :1])], dim=-1)
        self.packed_style = pack_channels(voters, 2 * reach + 1)

        matched = (nnf[..., 0] >= 0).flatten()
        batch = torch.arange(self.b, device=device).view(-1, 1, 1) * self.area
        match = batch + nnf[..., 1].long() * self.source_width + nnf[..., 0].long()
        self.match = torch.where(matched, match.flatten(), self.none)
        self.everywhere = matched if not matched.all() else None
        per_problem = matched.view(self.b, -1).sum(dim=1)
        costs = [occupancy_cost(level, int(count), search) for count in per_problem]
        self.unit_cost = torch.tensor(costs, device=device).view(-1, 1, 1)
        self.blocked = ~usable_centres(level, search.patch)
        generator = torch.Generator().manual_seed(search.seed)
        self.random = torch.randint(1 << 62, self.match.shape, generator=generator).to(device)
        self.radii = search_radii(level.source_size)

    def _modulation(self, modulation: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        """Rows of weight factors 0..1 like the target's rows, and which pixels' patches have any below 1."""
        if modulation is None:
            return None, None
        factors = torch.full((*modulation.shape[:3], self.level.source.shape[-1]), 255, dtype=torch.uint8)
        factors = factors.to(modulation.device)
        factors[..., self.level.style_channels :] = modulation
        reduced = (factors.amin(dim=-1) < 255).float()[:, None]
        scaled = F.max_pool2d(reduced, self.search.patch, 1, self.radius).flatten() > 0
        return patch_rows(replicate(factors, self.radius), self.search.patch), scaled

    def begin_search(self, image: Tensor) -> None:
        target = torch.cat([replicate(image, self.radius), self.guides], dim=-1).contiguous()
        self.target_rows = patch_rows(target, self.search.patch)
        self.features.set_target_style(image)
        count = torch.bincount(self.match, minlength=self.places)[: self.b * self.area]
        self.count = F.pad(count.float(), (0, self.places - len(count)))
        self._refresh_occupancy()
        self.helpers.each(self._measure, torch.nonzero(self.match < self.none)[:, 0].split(self.chunk))

    def _measure(self, part: Tensor) -> None:
        """Errors of the matches of these pixels."""
        for modulated, few in self._by_modulation(part):
            pixels = part if few is None else part.index_select(0, few)
            unlimited = torch.full(pixels.shape, torch.inf, device=pixels.device)
            _, self.error[pixels] = self._errors_below(pixels, self.match.index_select(0, pixels), unlimited, modulated)

    def _refresh_occupancy(self) -> None:
        count = self.count[: self.b * self.area].view(self.b, self.source_height, self.source_width)
        cost = covered(covered(count, self.search.patch), self.search.patch) * self.unit_cost
        cost = cost.masked_fill_(self.blocked, torch.inf).flatten()
        self.cost = F.pad(cost, (0, self.places - len(cost)), value=torch.inf)
        self.unseen_moves = 0

    def propagate(self, down: int, right: int) -> None:
        match = self.match.view(self.b, self.height, self.width)
        candidate = torch.full_like(match, self.none)
        here = (slice(None), _after(down), _after(right))
        there = (slice(None), _after(-down), _after(-right))
        candidate[here] = match[there] + down * self.source_width + right
        candidate = candidate.flatten()
        different = (candidate != self.match) & (self.match < self.none)
        parts = torch.nonzero(different)[:, 0].split(self.chunk)
        self._consider(parts, lambda number: candidate.index_select(0, parts[number]))

    def random_search(self, active: Tensor | None) -> None:
        where = self.everywhere
        if active is not None:
            where = active.flatten() if where is None else where & active.flatten()
        if where is None:
            parts = [slice(start, start + self.chunk) for start in range(0, len(self.match), self.chunk)]
        else:
            parts = torch.nonzero(where)[:, 0].split(self.chunk)
        centres = self.helpers.each(lambda part: self._split(_at(self.match, part)), parts)

        def offer(radius: int, number: int) -> Tensor:
            return self._random_places(parts[number], radius, *centres[number])

        for radius in self.radii:
            self._consider(parts, partial(offer, radius))

    def _split(self, match: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x and y of flat positions in their source, and the flat position of the source's first pixel."""
        inside = match % self.area
        y = torch.div(inside, self.source_width, rounding_mode="floor")
        return inside - y * self.source_width, y, match - inside

    def _random_places(self, pixels: Tensor | slice, radius: int, x: Tensor, y: Tensor, first: Tensor) -> Tensor:
        """One flat position each, no farther than ``radius`` from (x, y) along each axis and half a patch inside."""
        state = _at(self.random, pixels) * MULTIPLIER + INCREMENT
        self.random[pixels] = state

        def draw(centre: Tensor, size: int, shift: int) -> Tensor:
            low = (centre - radius).clamp_(min=self.radius)
            span = (centre + radius).clamp_(max=size - self.radius).sub_(low)
            return (state >> shift).bitwise_and_(0x1FFFFF).mul_(span).bitwise_right_shift_(21).add_(low)

        new_x = draw(x, self.source_width, 43)
        return draw(y, self.source_height, 22).mul_(self.source_width).add_(new_x).add_(first)

    def _consider(self, parts: Sequence[Tensor | slice], offer: Callable[[int], Tensor]) -> None:
        """One pass: take the candidates that lower error plus occupancy cost.

        Args:
            parts: pixels (indices or slices), no pixel twice.
            offer: a candidate for each pixel of the part with this number.
        """

        def judge(number: int) -> list[tuple[Tensor, Tensor, Tensor]]:
            return self._better(parts[number], offer(number))

        taken = [one for some in self.helpers.each(judge, range(len(parts))) for one in some]
        if not taken:
            return
        self._move(*(torch.cat(values) for values in zip(*taken, strict=True)))
        if self.unseen_moves * REFRESH_SHARE > len(self.match):
            self._refresh_occupancy()

    def _better(self, part: Tensor | slice, candidate: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Of the pixels of a part those whose candidates are better than their matches, the candidates and their
        errors; modulated patches apart."""
        match = _at(self.match, part)
        limit = self.cost.index_select(0, match).sub_(self.cost.index_select(0, candidate)).add_(_at(self.error, part))
        bound = self.features.lower_bound(part, candidate)
        if self.scaled is not None:
            bound = bound.masked_fill(_at(self.scaled, part), 0.0)
        keep = torch.nonzero((bound < limit).logical_and_(candidate != match))[:, 0]
        kept = keep + part.start if isinstance(part, slice) else part.index_select(0, keep)
        every = kept, candidate.index_select(0, keep), limit.index_select(0, keep)
        taken = []
        for modulated, few in self._by_modulation(kept):
            pixels, candidates, limits = every if few is None else (values.index_select(0, few) for values in every)
            better, error = self._errors_below(pixels, candidates, limits, modulated)
            taken.append((pixels.index_select(0, better), candidates.index_select(0, better), error))
        return taken

    def _by_modulation(self, pixels: Tensor) -> list[tuple[bool, Tensor | None]]:
        """Which of the pixels (indices, None = all) have patches without and with modulation."""
        if self.scaled is None:
            return [(False, None)]
        scaled = self.scaled.index_select(0, pixels)
        return [(False, torch.nonzero(~scaled)[:, 0]), (True, torch.nonzero(scaled)[:, 0])]

    def _errors_below(
        self, pixels: Tensor, candidates: Tensor, limits: Tensor, modulated: bool
    ) -> tuple[Tensor, Tensor]:
        """Which candidates' patch errors stay below their limits (indices), and those errors."""
        theirs = self.target_corners.index_select(0, pixels)
        ours = candidates - (self.radius * self.source_width + self.radius)
        kept, error = [torch.zeros_like(pixels[:0])], [torch.zeros_like(limits[:0])]
        for start in range(0, len(pixels), self.row_chunk):
            part = slice(start, start + self.row_chunk)
            our, their, limit = ours[part], theirs[part], limits[part]
            index, total = torch.arange(len(our), device=our.device), torch.zeros_like(limit)
            for rows in self.modulated_row_groups if modulated else self.row_groups:
                total = total + self._row_errors(our, their, rows, modulated)
                below = torch.nonzero(total < limit)[:, 0]
                index, total, limit, our, their = (
                    values.index_select(0, below) for values in (index, total, limit, our, their)
                )
            kept.append(index.add_(start))
            error.append(total)
        return torch.cat(kept), torch.cat(error)

    def _row_errors(self, ours: Tensor, theirs: Tensor, rows: list[int], modulated: bool) -> Tensor:
        """Errors of patches, given by their top left corners, in these of their rows."""
        count = len(ours)
        our_row, their_row, high = self.row_buffers.mine[:, :count]
        difference = self.float_buffers.mine[:count]
        total = torch.zeros(count, device=ours.device)
        for row in rows:
            torch.index_select(self.source_rows, 0, ours + row * self.source_width, out=our_row)
            there = theirs + row * self.target_width
            torch.index_select(self.target_rows, 0, there, out=their_row)
            # The absolute difference in bytes: four times as many at a time as in floats.
            torch.maximum(our_row, their_row, out=high)
            torch.minimum(our_row, their_row, out=our_row)
            difference.copy_(high.sub_(our_row))
            difference.mul_(difference)
            if modulated and self.scale_rows is not None:
                torch.index_select(self.scale_rows, 0, there, out=their_row)
                difference.mul_(their_row.float().div_(255.0))
            total.addmv_(difference, self.row_weights)
        return total

    def _move(self, pixels: Tensor, candidates: Tensor, error: Tensor) -> None:
        one = torch.ones_like(error)
        self.count.index_add_(0, candidates, one)
        self.count.index_add_(0, self.match[pixels], -one)
        self.match[pixels] = candidates
        self.error[pixels] = error
        self.unseen_moves += len(pixels)

    def plain_vote(self) -> Tensor:
        match = self.match.view(self.b, self.height, self.width)
        sums = packed_votes(self.packed_style, match, self.source_width, self.search.patch)
        return unpack_mean(sums, self.level.style_channels + 1)

    def coordinates(self) -> Tensor:
        x, y, _ = self._split(self.match)
        nnf = torch.stack([x, y], dim=-1).int()
        nnf[self.match >= self.none] = -1
        return nnf.view(self.b, self.height, self.width, 2)


def _at(values: Tensor, pixels: Tensor | slice) -> Tensor:
    return values[pixels] if isinstance(pixels, slice) else values.index_select(0, pixels)


def _after(shift: int) -> slice:
    """Of an axis, all but the first ``shift`` places, or all but the last ``-shift``."""
    return slice(shift, None) if shift >= 0 else slice(None, shift)
