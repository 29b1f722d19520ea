"""Shape-aware fusion and adaptive latent adjustment of the predicted clean latent
(docs/methods/rerender.md, Control of the clean latent)."""

from dataclasses import dataclass, field
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from ..flow.warping import read_at, sampling_grid
from .constraints import Adaptive, ShapeAware

EPSILON = 1e-5


@dataclass
class AnchorTrace:
    """The anchor's predicted clean latents per step, filled while it is sampled.

    Attributes:
        latents: step -> [1, C, h, w].
    """

    latents: dict[int, Tensor] = field(default_factory=dict)
    _statistics: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def record(self, step: int, clean: Tensor) -> None:
        self.latents[step] = clean
        self._statistics.pop(step, None)

    def statistics(self, step: int) -> tuple[Tensor, Tensor]:
        """Mean and deviation per channel at one step, float32 [1, C, 1, 1]."""
        if step not in self._statistics:  # every later frame asks for the same
            clean = self.latents[step].float()
            variance = clean.flatten(2).var(dim=2) + EPSILON
            self._statistics[step] = clean.mean(dim=(2, 3), keepdim=True), variance.sqrt()[..., None, None]
        return self._statistics[step]


@dataclass(frozen=True)
class ShapeFusion:
    """Shape-aware fusion, with the anchor's flow and mask for the current frame.

    Attributes:
        flow: [1, 2, h, w] latent flow, lives on the current frame and points into the anchor.
        mask: [1, h, w], how far each cell is visible in the anchor, 0..1.
    """

    constraint: ShapeAware
    flow: Tensor
    mask: Tensor

    @cached_property
    def grid(self) -> Tensor:
        """Where the anchor is read, the same at every step."""
        return sampling_grid(self.flow)


def adjusted(clean: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """Adaptive latent adjustment: the latent with another mean and deviation per channel."""
    return (F.instance_norm(clean.float()) * deviation + mean).to(clean.dtype)


def constrained(
    clean: Tensor,
    step: int,
    total: int,
    anchor: AnchorTrace,
    adaptive: Adaptive | None,
    fusion: ShapeFusion | None,
) -> Tensor:
    """The predicted clean latent of a frame after both constraints, adjustment first."""
    if adaptive is not None and adaptive.acts(step, total, nominal=total):
        clean = adjusted(clean, *anchor.statistics(step))
    if fusion is not None and fusion.constraint.acts(step, total, nominal=total):
        warped = read_at(anchor.latents[step].to(clean), fusion.grid.to(clean.device), "nearest")
        mask = fusion.mask.to(clean)[:, None]
        clean = warped * mask + (1 - mask) * clean
    return clean


def alphas_of(sigmas: Tensor) -> Tensor:
    """Cumulative alphas of noise levels in the host's units."""
    return 1 / (1 + sigmas.double() ** 2)


def noised(clean: Tensor, noise: Tensor, alpha: float | Tensor) -> Tensor:
    """A clean latent at a noise level, variance-preserving."""
    level = torch.as_tensor(alpha, dtype=torch.float64)
    return float(level.sqrt()) * clean + float((1 - level).sqrt()) * noise
