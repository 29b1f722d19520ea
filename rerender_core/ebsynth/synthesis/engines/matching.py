"""What the engines that take all pixels of all problems at once have in common: the order of search and vote
(docs/methods/ebsynth.md, PatchMatch)."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from ..search_level import Level, Search, Solution
from ..voting import Voting, changed, vote


class Matching(ABC):
    """The matches of a batch of problems, and all that is needed to improve them.

    Attributes:
        match: the match of every pixel, [B * Ht * Wt], in the layout of the engine.
        error: float32 of the same shape, the patch errors.
    """

    match: Tensor

    def __init__(self, level: Level, nnf: Tensor, search: Search):
        self.level, self.search, self.radius = level, search, search.patch // 2
        self.b, self.height, self.width = nnf.shape[:3]
        self.source_height, self.source_width = level.source_size
        self.error = torch.zeros(nnf[..., 0].numel(), device=level.source.device)

    def solve(self, step: Callable[[], None]) -> Solution:
        """Alternate search and vote; ``step`` as for :class:`.search_level.Engine`."""
        image = self.vote("plain")
        active = None
        for _ in range(self.search.vote_iterations):
            self.begin_search(image)
            for iteration in range(self.search.match_iterations):
                sign = 1 if iteration % 2 == 0 else -1
                self.propagate(0, sign)
                self.propagate(sign, 0)
                self.random_search(active)
            previous, image = image, self.vote(self.search.voting)
            if self.search.stop_threshold > 0:
                active = changed(previous, image, self.search.stop_threshold, self.search.patch)
            step()
        return Solution(image, self.coordinates(), self._errors())

    def vote(self, voting: Voting) -> Tensor:
        """The picture that the matches make, uint8 [B, Ht, Wt, NS]."""
        if voting == "plain":
            return self.plain_vote()
        return vote(self.level.style, self.coordinates(), self.search.patch, voting, self._errors())

    def _errors(self) -> Tensor:
        return self.error.view(self.b, self.height, self.width)

    @abstractmethod
    def begin_search(self, image: Tensor) -> None:
        """Take the last vote into the target, measure all matches against it and count them."""

    @abstractmethod
    def propagate(self, down: int, right: int) -> None:
        """Try, at every pixel, the match of the pixel ``down`` rows above or ``right`` columns left of it, moved along.

        Negative numbers mean below and to the right.
        """

    @abstractmethod
    def random_search(self, active: Tensor | None) -> None:
        """Try random places in squares of growing radius around each pixel's match as it now is.

        Args:
            active: bool [B, Ht, Wt], where to search; None = everywhere.
        """

    @abstractmethod
    def plain_vote(self) -> Tensor:
        """As :func:`.voting.vote` with "plain"."""

    @abstractmethod
    def coordinates(self) -> Tensor:
        """The matches as int32 [B, Ht, Wt, 2], (x, y), -1 for none."""
