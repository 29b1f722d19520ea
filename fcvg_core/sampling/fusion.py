"""Fusing a forward and a backward prediction of one clip: guidance per frame, fusion weight per frame.

Latents of a clip are [F, C, h, w]. "Backward order" is the clip played in reverse: its frame 0 is the last key frame.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from ...common.errors import BetwixtError

WeightOfTime = Callable[[float], float]  # time 0..1 -> share of the forward prediction


def linear_weight(time: float) -> float:
    """The published weights: frame 0 is purely forward, the last frame purely backward."""
    return 1.0 - time


def constant_weight(weight: float) -> WeightOfTime:
    """The same share of the forward prediction in all frames, e.g. GI's 0.5."""
    return lambda time: weight


@dataclass(frozen=True)
class Fusion:
    """How the predictions of both directions become one.

    Attributes:
        guidance: (lowest, highest) guidance scale; it rises linearly over the frames *in each direction's own order*,
            so that with unequal ends frame f gets two different scales (as published).
        weight: share of the forward prediction at time i / (F - 1), or one share per frame. 1 = only forward.
        guided_sigmas: (low, high); outside this interval of noise levels the scale is 1 and the unconditional
            prediction is not needed.
    """

    guidance: tuple[float, float] = (3.0, 3.0)
    weight: WeightOfTime | Sequence[float] = linear_weight
    guided_sigmas: tuple[float, float] = (0.0, float("inf"))
    _moved: dict = field(default_factory=dict, init=False, repr=False, compare=False)

    def guides(self, sigma: float) -> bool:
        """Whether the unconditional prediction has any influence at this noise level."""
        low, high = self.guided_sigmas
        return low <= sigma <= high and self.guidance != (1.0, 1.0)

    def scale(self, frames: int) -> torch.Tensor:
        """Guidance per frame of a direction, float32 [F, 1, 1, 1]."""
        return torch.linspace(*self.guidance, frames).view(-1, 1, 1, 1)

    def scale_like(self, clip: torch.Tensor) -> torch.Tensor:
        """:meth:`scale` for the frames of ``clip``, on its device and of its type."""
        return self._like(clip, self.scale)

    def _like(self, clip: torch.Tensor, values: Callable[[int], torch.Tensor]) -> torch.Tensor:
        """Brought to the device once: in every step the processor would wait for the computation so far."""
        key = (values.__name__, len(clip), clip.device, clip.dtype)
        if key not in self._moved:
            self._moved[key] = values(len(clip)).to(clip)
        return self._moved[key]

    def weights(self, frames: int) -> torch.Tensor:
        """Share of the forward prediction per frame, in forward order, float32 [F, 1, 1, 1].

        Raises:
            BetwixtError: a list of another length than the clip.
        """
        if callable(self.weight):
            values = [self.weight(i / (frames - 1) if frames > 1 else 0.0) for i in range(frames)]
        else:
            values = list(self.weight)
            if len(values) != frames:
                raise BetwixtError(
                    f"The fusion list has {len(values)} weights and the clip {frames} frames.",
                    "One weight per frame is needed.",
                    f"Write {frames} numbers into 'fusion', or choose 'linear'.",
                )
        return torch.tensor(values, dtype=torch.float32).view(-1, 1, 1, 1)

    def fuse(self, forward: torch.Tensor, backward: torch.Tensor) -> torch.Tensor:
        """One clip from both predictions.

        Args:
            forward: [F, C, h, w] in forward order.
            backward: [F, C, h, w] in backward order.

        Returns:
            [F, C, h, w] in forward order.
        """
        weights = self._like(forward, self.weights)
        return weights * forward + (1 - weights) * backward.flip(0)


def guide(cond: torch.Tensor, uncond: torch.Tensor, scale: torch.Tensor | float) -> torch.Tensor:
    """Classifier-free guidance (Ho & Salimans 2022); ``scale`` may differ per frame."""
    return uncond + scale * (cond - uncond)
