"""How long work tells how far it is; whoever is told may raise to cancel it."""

from typing import Protocol

import numpy as np


class Progress(Protocol):
    """Called with the share of the work done, 0..1, what is being done, and a picture just made, uint8 [H, W, 3]."""

    def __call__(self, share: float, text: str = "", preview: np.ndarray | None = None, /) -> None: ...


def silent(share: float, text: str = "", preview: np.ndarray | None = None, /) -> None:
    """The :class:`Progress` of work that nobody watches."""


def part_of(progress: Progress, begin: float, size: float) -> Progress:
    """The progress of a part of the work that begins at the share ``begin`` and makes up ``size`` of it."""
    return lambda share, *told: progress(begin + size * share, *told)
