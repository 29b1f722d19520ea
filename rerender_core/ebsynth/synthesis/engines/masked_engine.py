"""The vectorised engine of accelerators: what :mod:`.torch_engine` tries, at every pixel in every pass
(docs/methods/ebsynth.md, Vectorised engine).

Nothing depends on a value that the processor would have to wait for: no pixel is left out, and what is not better is
not taken.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from ..search_level import Level, Search, Solution, occupancy_cost
from .flat_matching import FlatMatching

VALUES = 64 << 20  # of patches, read at once


def solve(level: Level, nnf: Tensor, search: Search, step: Callable[[], None]) -> Solution:
    """See :class:`.search_level.Engine`."""
    return _Matching(level, nnf, search).solve(step)


class _Matching(FlatMatching):
    def __init__(self, level: Level, nnf: Tensor, search: Search):
        super().__init__(level, nnf, search)
        device = level.source.device
        rows = torch.arange(search.patch, device=device)
        self.source_steps = rows * self.source_width
        self.at_once = max(VALUES // (self.row_length * search.patch), 1)
        self.there = (self.target_corners[:, None] + rows * self.target_width).flatten()
        self.there = self.there.split(self.at_once * search.patch)
        self.weights = level.weights_there.repeat(search.patch * search.patch)
        matches = self.matched.view(self.b, -1).sum(dim=1).clamp(min=1)
        self.unit_cost = (occupancy_cost(level, 1, search) / matches).float().view(-1, 1, 1)
        generator = torch.Generator(device).manual_seed(search.seed)
        self.random = torch.randint(1 << 62, self.match.shape, generator=generator, device=device)
        self.ones = torch.ones(self.match.shape, device=device)
        self.count = torch.zeros(self.places, device=device)

    def begin_search(self, image: Tensor) -> None:
        self._set_target(image)
        self._count()
        self.error = self._patch_errors(self.match, self.matched).masked_fill(~self.matched, 0.0)

    def _count(self) -> None:
        self.count.zero_().index_add_(0, self.match, self.ones)
        self._refresh_occupancy()

    def propagate(self, down: int, right: int) -> None:
        self._consider(self._neighbours(down, right), self.matched)

    def random_search(self, active: Tensor | None) -> None:
        where = self.matched if active is None else self.matched & active.flatten()
        centres = self._split(self.match)
        for radius in self.radii:
            self._consider(self._random_places(slice(0, None), radius, *centres), where)

    def _consider(self, candidate: Tensor, where: Tensor) -> None:
        """One pass: take the candidates that lower error plus occupancy cost, of the pixels ``where``."""
        candidate = torch.where(where, candidate, self.none)
        limit = self.cost.index_select(0, self.match) - self.cost.index_select(0, candidate) + self.error
        possible = (candidate != self.match) & (limit > 0)  # nowhere else: there a candidate costs infinitely much
        error = self._patch_errors(candidate, possible)
        better = possible & (error < limit)
        self.match = torch.where(better, candidate, self.match)
        self.error = torch.where(better, error, self.error)
        self._count()

    def _patch_errors(self, candidate: Tensor, possible: Tensor) -> Tensor:
        """float32, of any value where a candidate is not ``possible``."""
        ours = torch.where(possible, candidate - self.reach, 0).split(self.at_once)
        if len(ours) == 1:
            return self._piece(ours[0], self.there[0])
        return torch.cat([self._piece(our, there) for our, there in zip(ours, self.there, strict=True)])

    def _piece(self, ours: Tensor, there: Tensor) -> Tensor:
        """Errors of patches, given by their top left corners in the source and the rows they are compared with."""
        here = (ours[:, None] + self.source_steps).flatten()
        difference = self.source_rows.index_select(0, here).float()
        difference.sub_(self.target_rows.index_select(0, there)).square_()
        if self.scale_rows is not None:
            difference.mul_(self.scale_rows.index_select(0, there).float().div_(255.0))
        return difference.view(len(ours), -1) @ self.weights
