"""Noise levels of Stable Video Diffusion: Karras et al. 2022 (EDM) with v-prediction
(docs/methods/svd.md, Noise schedule)."""

import torch

SIGMA_MAX, SIGMA_MIN, RHO = 700.0, 0.002, 7.0


def karras_sigmas(steps: int, highest: float = SIGMA_MAX, lowest: float = SIGMA_MIN, rho: float = RHO) -> torch.Tensor:
    """``steps`` noise levels from ``highest`` down to ``lowest``, then 0. float32 [steps + 1]."""
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
    high, low = highest ** (1 / rho), lowest ** (1 / rho)
    return torch.cat([(high + ramp * (low - high)) ** rho, ramp.new_zeros(1)]).float()


def timestep(sigma: torch.Tensor) -> torch.Tensor:
    """What the UNet is told about the noise level: a quarter of its logarithm."""
    return 0.25 * sigma.log()
