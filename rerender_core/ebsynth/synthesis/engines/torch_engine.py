"""The vectorised engine: PatchMatch in torch operations, on the CPU (docs/methods/ebsynth.md, Vectorised engine).

All pixels of all problems look at one candidate each at a time (a *pass*): the match of a neighbour, moved along, or a
random one. A candidate is dropped by a lower bound of its patch error before the error itself is summed up row by row.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from .....common.helpers import Buffers, Helpers
from ..search_level import Level, Search, Solution, occupancy_cost
from .flat_matching import FlatMatching, at
from .patch_features import DIRECTIONS, PatchFeatures

VALUES = 256 << 10  # handled at once by a helper, so that they stay in its cache
REFRESH_SHARE = 500  # the occupancy map is made anew once 1 / this of all pixels have changed their match


def solve(level: Level, nnf: Tensor, search: Search, step: Callable[[], None]) -> Solution:
    """See :class:`.search_level.Engine`."""
    with Helpers(level.source.device) as helpers:
        return _Matching(level, nnf, search, helpers).solve(step)


class _Matching(FlatMatching):
    """Looks on only at pixels whose candidate may still be better."""

    def __init__(self, level: Level, nnf: Tensor, search: Search, helpers: Helpers):
        super().__init__(level, nnf, search)
        self.helpers, pixels = helpers, self.match.numel()
        self.chunk = min(VALUES // DIRECTIONS, pixels)
        self.row_chunk = max(min(VALUES // self.row_length, pixels), 1)
        self.row_buffers = Buffers((3, self.row_chunk, self.row_length), torch.uint8)
        self.float_buffers = Buffers((self.row_chunk, self.row_length), torch.float32)
        middle = list(range(search.patch // 4, search.patch - search.patch // 4))
        outer = [row for row in range(search.patch) if row not in middle]
        # A row alone rejects hardly anything that has passed the lower bound, which modulated patches do not have.
        self.row_groups = [middle, outer]
        self.modulated_row_groups = [[self.radius], [row for row in middle if row != self.radius], outer]
        self.row_weights = level.weights.repeat(search.patch)
        self.features = PatchFeatures(level, search.patch, self.chunk)
        self.everywhere = self.matched if not self.matched.all() else None
        per_problem = self.matched.view(self.b, -1).sum(dim=1)
        costs = [occupancy_cost(level, int(count), search) for count in per_problem]
        self.unit_cost = torch.tensor(costs).view(-1, 1, 1)
        generator = torch.Generator().manual_seed(search.seed)
        self.random = torch.randint(1 << 62, self.match.shape, generator=generator)

    def begin_search(self, image: Tensor) -> None:
        self._set_target(image)
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
        super()._refresh_occupancy()
        self.unseen_moves = 0

    def propagate(self, down: int, right: int) -> None:
        candidate = self._neighbours(down, right)
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
        centres = self.helpers.each(lambda part: self._split(at(self.match, part)), parts)

        def offer(radius: int, number: int) -> Tensor:
            return self._random_places(parts[number], radius, *centres[number])

        for radius in self.radii:
            self._consider(parts, partial(offer, radius))

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
        match = at(self.match, part)
        limit = self.cost.index_select(0, match).sub_(self.cost.index_select(0, candidate)).add_(at(self.error, part))
        bound = self.features.lower_bound(part, candidate)
        if self.scaled is not None:
            bound = bound.masked_fill(at(self.scaled, part), 0.0)
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
        ours = candidates - self.reach
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
