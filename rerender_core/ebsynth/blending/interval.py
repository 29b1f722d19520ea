"""From frames propagated from two key frames to the finished ones (docs/methods/ebsynth.md, Blending)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from ..propagation import PropagatedInterval
from .histogram_blend import histogram_blend
from .screened_poisson import poisson_blend
from .selection import select, selection_masks, weights_of

MODES = ("poisson", "mix", "selection")
Blended = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class BlendOptions:
    """How the two sides of an interval become one.

    Attributes:
        mode: "selection" takes every pixel from the better side; "mix" mixes both sides without loss of contrast (the
            paper's two steps); "poisson" then gives the mix the gradients of the selection (the published program).
        solver: of the Poisson step, "cosine" (exact) or "lsqr" (as published).
        published_weights: weights as the reference has them, 0 for the first frame after a key frame and never near 1.
        mirrored_errors: the reference's fault of reading the right side's errors in reverse order.
    """

    mode: str = "poisson"
    solver: str = "cosine"
    published_weights: bool = False
    mirrored_errors: bool = False


def blends(part: PropagatedInterval, options: BlendOptions = BlendOptions()) -> Iterator[Callable[[], Blended]]:
    """What blends the two sides of an interval, for one frame after the other; one side alone is taken as it is.

    Yields:
        Calls that may be made beside each other: a finished frame, uint8 [H, W, 3], and where it is from the right key
        frame, bool [H, W].
    """
    left, right = part.left, part.right
    if left is None or right is None:
        side = right if left is None else left
        assert side is not None, "an interval has a key frame on one side at least"
        from_right = np.full(side.errors.shape[1:], left is None)
        for picture in side.pictures:
            yield partial(_taken, picture, from_right)
        return
    weights = weights_of(len(left.pictures), options.published_weights)
    masks = selection_masks(left.errors, right.errors, part.flows, weights, options.mirrored_errors)
    for a, b, mask, weight in zip(left.pictures, right.pictures, masks, weights, strict=True):
        yield partial(_blend, a, b, mask, weight, options)


def _taken(picture: np.ndarray, from_right: np.ndarray) -> Blended:
    return picture, from_right


def _blend(a: np.ndarray, b: np.ndarray, mask: np.ndarray, weight: float, options: BlendOptions) -> Blended:
    selected = select(a, b, mask)
    if options.mode == "selection":
        return selected, mask
    mixed = histogram_blend(a, b, selected, weight)
    return (poisson_blend(mixed, a, b, mask, options.solver) if options.mode == "poisson" else mixed), mask
