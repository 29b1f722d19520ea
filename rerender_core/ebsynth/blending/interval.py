"""From frames propagated from two key frames to the finished ones (docs/methods/ebsynth.md, Blending)."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..propagation import PropagatedInterval
from .histogram_blend import histogram_blend
from .screened_poisson import poisson_blend
from .selection import select, selection_masks, weights_of

MODES = ("poisson", "mix", "selection")


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


def blended_frames(
    part: PropagatedInterval, options: BlendOptions = BlendOptions()
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Blend the two sides of an interval, a frame after the other; one side alone is taken as it is.

    Yields:
        (uint8 [H, W, 3], bool [H, W]): a finished frame, and True where it is from the right key frame.
    """
    left, right = part.left, part.right
    if left is None or right is None:
        side = right if left is None else left
        assert side is not None, "an interval has a key frame on one side at least"
        from_right = np.full(side.errors.shape[1:], left is None)
        for picture in side.pictures:
            yield picture, from_right
        return
    weights = weights_of(len(left.pictures), options.published_weights)
    masks = selection_masks(left.errors, right.errors, part.flows, weights, options.mirrored_errors)
    for a, b, mask, weight in zip(left.pictures, right.pictures, masks, weights, strict=True):
        selected = select(a, b, mask)
        if options.mode == "selection":
            yield selected, mask
            continue
        mixed = histogram_blend(a, b, selected, weight)
        yield (poisson_blend(mixed, a, b, mask, options.solver) if options.mode == "poisson" else mixed), mask
