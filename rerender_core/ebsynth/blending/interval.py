"""From frames propagated from two key frames to the finished ones (docs/methods/ebsynth.md, Blending)."""

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


@dataclass(frozen=True)
class BlendedInterval:
    """The finished frames of an interval and where they came from.

    Attributes:
        frames: uint8 [N, H, W, 3], finished.
        selected: uint8 [N, H, W, 3], per pixel from the better side.
        masks: bool [N, H, W], True = from the right key frame.
    """

    frames: np.ndarray
    selected: np.ndarray
    masks: np.ndarray


def blend_interval(part: PropagatedInterval, options: BlendOptions = BlendOptions()) -> BlendedInterval:
    """Blend the two sides of an interval; one side alone is taken as it is."""
    left, right = part.left, part.right
    if left is None or right is None:
        side = right if left is None else left
        assert side is not None, "an interval has a key frame on one side at least"
        return BlendedInterval(side.pictures, side.pictures, np.full(side.errors.shape, left is None))
    weights = weights_of(len(left.pictures), options.published_weights)
    masks = selection_masks(left.errors, right.errors, part.flows, weights, options.mirrored_errors)
    selected = np.where(masks[..., None], right.pictures, left.pictures)
    if options.mode == "selection":
        return BlendedInterval(selected, selected, masks)
    frames = np.empty_like(selected)
    for index, weight in enumerate(weights):
        a, b = left.pictures[index], right.pictures[index]
        mixed = histogram_blend(a, b, select(a, b, masks[index]), weight)
        if options.mode == "poisson":
            mixed = poisson_blend(mixed, a, b, masks[index], options.solver)
        frames[index] = mixed
    return BlendedInterval(frames, selected, masks)
