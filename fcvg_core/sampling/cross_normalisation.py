"""Cross normalisation: how ControlNeXt's map joins the UNet's trunk (Peng et al. 2024;
docs/methods/svd.md, Cross normalisation)."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

PUBLISHED_SCALE = 0.2  # factor inside the published UNet, on top of the user's strength
EPS = 1e-5


@dataclass(frozen=True)
class ControlMap:
    """A control map reduced to what cross normalisation needs: the map at the trunk's size and its own statistics.

    Pooling is linear and keeps constants, so normalising by statistics taken *before* pooling may follow it.

    Attributes:
        pooled: [F, C, h, w], average-pooled to the trunk's size.
        mean, std: float32 [F, 1, 1, 1] of the map before pooling, over channels and space; Bessel's correction.
    """

    pooled: torch.Tensor
    mean: torch.Tensor
    std: torch.Tensor

    @classmethod
    def of(cls, control: torch.Tensor, size: tuple[int, int]) -> "ControlMap":
        """From the encoder's output [F, C, h', w'] for a trunk of ``size`` = (h, w)."""
        std, mean = torch.std_mean(control.float(), dim=(1, 2, 3), keepdim=True)
        return cls(F.adaptive_avg_pool2d(control, size), mean, std)

    @classmethod
    def joined(cls, parts: "list[ControlMap]") -> "ControlMap":
        """One map of all frames from maps of consecutive frames."""
        return cls(*(torch.cat([getattr(part, name) for part in parts]) for name in ("pooled", "mean", "std")))

    def reversed(self) -> "ControlMap":
        """The map of the clip played backwards."""
        return ControlMap(self.pooled.flip(0), self.mean.flip(0), self.std.flip(0))


def normalised(control: ControlMap, hidden: torch.Tensor) -> torch.Tensor:
    """The control map with the mean and spread of the trunk, frame by frame.

    Args:
        hidden: [F, C, h, w], the trunk of the same frames.

    Returns:
        float32 [F, C, h, w].
    """
    std, mean = torch.std_mean(hidden.float(), dim=(1, 2, 3), keepdim=True)
    return (control.pooled.float() - control.mean) * (std / (control.std + EPS)) + mean


def inject(hidden: torch.Tensor, control: ControlMap, weight: float | torch.Tensor) -> torch.Tensor:
    """The trunk with the normalised control added.

    Args:
        hidden: [F, C, h, w], any float dtype; not modified.
        weight: the user's strength; a number or a tensor broadcast against [F, C, h, w] (a mask, 0 to switch a frame
            off). :data:`PUBLISHED_SCALE` is applied here.

    Returns:
        [F, C, h, w] in ``hidden``'s dtype.
    """
    return hidden + (normalised(control, hidden) * weight * PUBLISHED_SCALE).to(hidden.dtype)
