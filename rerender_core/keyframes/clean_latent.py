"""Shape-aware fusion and adaptive latent adjustment of the predicted clean latent
(docs/methods/rerender.md, Control of the clean latent)."""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from ..flow.warping import warp
from .constraints import Adaptive, ShapeAware

EPSILON = 1e-5


@dataclass
class AnchorTrace:
    """The anchor's predicted clean latents per step, filled while it is sampled.

    Attributes:
        latents: step -> [1, C, h, w].
    """

    latents: dict[int, Tensor] = field(default_factory=dict)

    def record(self, step: int, clean: Tensor) -> None:
        self.latents[step] = clean

    def statistics(self, step: int) -> tuple[Tensor, Tensor]:
        """Mean and deviation per channel at one step, float32 [1, C, 1, 1]."""
        clean = self.latents[step].float()
        variance = clean.flatten(2).var(dim=2) + EPSILON
        return clean.mean(dim=(2, 3), keepdim=True), variance.sqrt()[..., None, None]


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
        warped = warp(anchor.latents[step].to(clean), fusion.flow.to(clean), "nearest")
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
