"""Noise schedule of ToonCrafter and DynamiCrafter: zero terminal SNR, dynamic rescale, spacings
(docs/methods/tooncrafter.md, Schedule)."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

TRAIN_STEPS = 1000
RESCALE_STEPS = 400  # over these the clean latent's magnitude falls from 1 to its final value
BETA_RANGE = (0.00085, 0.012)
CLAMPED_ALPHA = 4.8973451890853435e-08  # stands for the exact 0 of the last step, as in the host's zero-SNR schedules


@dataclass(frozen=True)
class Schedule:
    """All in float64; files repackaged in half precision hold wrong tables, so nothing is read from them.

    Attributes:
        zero_snr: rescale the noise levels so that the last one is pure noise (all but the 256-pixel model).
        final_scale: magnitude of the clean latent the network predicts at high noise: 0.7 (512), 0.3 (1024), 1 (256).
    """

    zero_snr: bool = True
    final_scale: float = 0.7

    @cached_property
    def alphas(self) -> np.ndarray:
        """Cumulative alpha of every training step, (1000,)."""
        betas = np.linspace(BETA_RANGE[0] ** 0.5, BETA_RANGE[1] ** 0.5, TRAIN_STEPS) ** 2
        alphas = np.cumprod(1 - betas)
        if not self.zero_snr:
            return alphas
        root = np.sqrt(alphas)
        return ((root - root[-1]) * root[0] / (root[0] - root[-1])) ** 2

    @cached_property
    def scales(self) -> np.ndarray:
        """Magnitude of the predicted clean latent at every training step, (1000,)."""
        ramp = np.linspace(1.0, self.final_scale, RESCALE_STEPS)
        return np.concatenate([ramp, np.full(TRAIN_STEPS - RESCALE_STEPS, self.final_scale)])

    @cached_property
    def sigmas(self) -> np.ndarray:
        """Variance-exploding noise level of every training step, without the rescale, (1000,)."""
        alphas = self.alphas.copy()
        if self.zero_snr:
            alphas[-1] = CLAMPED_ALPHA
        return np.sqrt((1 - alphas) / alphas)

    @cached_property
    def scaled_sigmas(self) -> np.ndarray:
        """``sigmas / scales``: in these units the dynamic rescale disappears and any sampler is right
        (docs/methods/tooncrafter.md, Rescale in host units)."""
        return self.sigmas / self.scales


def trailing_timesteps(steps: int) -> np.ndarray:
    """Training steps visited by ``steps`` sampling steps, from 999 down (published spacing), int64 (steps,)."""
    return (np.round(TRAIN_STEPS - np.arange(steps) * (TRAIN_STEPS / steps)) - 1).astype(np.int64)


def uniform_timesteps(steps: int) -> np.ndarray:
    """The 256-pixel model's spacing, from high noise down; more than ``steps`` entries where 1000 does not divide."""
    return (np.arange(0, TRAIN_STEPS, TRAIN_STEPS // steps) + 1)[::-1].astype(np.int64)
