"""The value on INBETWEEN_CONDITIONING wires: everything that Stable Video Diffusion is told about two key frames."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class InbetweenConditioning:
    """Conditionings of both directions and the empty clip they are for.

    Attributes:
        positive, negative: the host's CONDITIONING of the first key frame.
        positive_backward, negative_backward: that of the last key frame.
        latent: [F, 4, H/8, W/8], zeros.
    """

    positive: list
    negative: list
    positive_backward: list
    negative_backward: list
    latent: torch.Tensor

    @property
    def conditionings(self) -> tuple[list, list, list, list]:
        return self.positive, self.negative, self.positive_backward, self.negative_backward
