"""The fusion samplers as SAMPLERs of the host: seeds, masks, progress, previews and cancel come from it."""

from collections.abc import Callable
from dataclasses import dataclass

import comfy.k_diffusion.sampling
import comfy.samplers
import torch

from ....common.errors import BetwixtError
from ....fcvg_core.sampling.fusion_methods import METHODS
from ..conditioning_keys import CONCAT_LATENT, KEYFRAME_LATENT
from .bidirectional_guider import BACKWARD_CONDS, FORWARD_CONDS, SETTINGS, predict_direction
from .temporal_attention import DirectionState


@dataclass(frozen=True)
class HostDenoiser:
    """:class:`.BidirectionalDenoiser` over the model that the host hands to a sampler."""

    model: Callable  # the host's wrapper around the running guider
    arguments: dict

    @property
    def guider(self):
        return self.model.inner_model

    def fused(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        return self.model(x, sigma * x.new_ones(x.shape[0]), **self.arguments)

    def forward(self, x: torch.Tensor, sigma: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self._direction(x, sigma, DirectionState())

    def backward(self, x: torch.Tensor, sigma: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self._direction(x, sigma, DirectionState(backward=True))

    def _direction(self, x, sigma, state):
        return predict_direction(self.guider, x, sigma * x.new_ones(x.shape[0]), self.arguments["model_options"], state)

    def keyframe_latent(self, name: str) -> torch.Tensor:
        """The clean latent [4, h, w] in model scale behind a conditioning."""
        return self.guider.inner_model.process_latent_in(unscaled_keyframe(self.guider.conds[name][0]))[0]


def unscaled_keyframe(cond: dict) -> torch.Tensor:
    """The key frame's latent [1, 4, h, w] that a conditioning carries, without added noise where that is known."""
    return cond[KEYFRAME_LATENT]() if KEYFRAME_LATENT in cond else cond[CONCAT_LATENT]


class FusionSampler(comfy.samplers.KSAMPLER):
    """SAMPLER for a clip denoised from both ends; needs the Bidirectional Guider.

    Args:
        mode: name of a fusion method.
        options: keyword arguments of its ``sample``.
    """

    def __init__(self, mode: str, **options):
        super().__init__(self._sample)
        self.method, self.options = METHODS[mode], options

    @property
    def needs_backward_motion(self) -> bool:
        return self.method.needs_backward_motion

    def _ends(self) -> dict[str, str]:
        """Keyword of the method -> the conditioning whose key frame it wants."""
        wanted = {"first": FORWARD_CONDS[0], "last": BACKWARD_CONDS[0]}
        return wanted if self.method.needs_keyframe_latents else {}

    def prepare(self, conds: dict) -> None:
        """What needs the VAE, while the model that samples is not loaded yet."""
        for name in self._ends().values():
            unscaled_keyframe(conds[name][0])

    def evaluations(self, steps: int) -> int:
        """How many times the method makes its prediction of both directions."""
        return self.method.evaluations(steps, **self.options)

    def _sample(self, model, x, sigmas, extra_args=None, callback=None, disable=None):
        denoiser = HostDenoiser(model, extra_args or {})
        self._check(denoiser)
        noise = comfy.k_diffusion.sampling.default_noise_sampler(x, seed=denoiser.arguments.get("seed"))
        report = _Report(callback, sigmas, self.evaluations(len(sigmas) - 1))
        ends = {end: denoiser.keyframe_latent(name) for end, name in self._ends().items()}
        return self.method.sample(denoiser, x, sigmas, report, lambda: noise(None, None), **ends, **self.options)

    def _check(self, denoiser: HostDenoiser) -> None:
        if SETTINGS not in denoiser.arguments.get("model_options", {}):
            raise BetwixtError(
                f"The fusion sampler ({self.method.name}) runs under a guider of another kind.",
                "It denoises a clip from both ends and needs two pairs of conditionings.",
                "Use 'Bidirectional Guider', or 'Bidirectional Model' before a stock sampler node.",
            )
        if not self.method.keeps_masked and denoiser.arguments.get("denoise_mask") is not None:
            raise BetwixtError(
                f"The latent carries a noise mask and the fusion mode is {self.method.name}.",
                f"{self.method.name} goes through both directions one after the other and cannot keep masked parts.",
                "Remove the mask, or choose another mode.",
            )


class _Report:
    """Translates the samplers' reports into the host's callback: ``i`` is the share of all evaluations done."""

    def __init__(self, callback, sigmas: torch.Tensor, evaluations: int):
        self._callback, self._sigmas, self._evaluations = callback, sigmas, evaluations
        self._done = 0

    def __call__(self, step: int, x: torch.Tensor, denoised: torch.Tensor) -> None:
        steps = len(self._sigmas) - 1
        position = self._done * steps // self._evaluations
        self._done += 1
        if self._callback is not None:
            sigma = self._sigmas[step]
            self._callback({"x": x, "i": position, "sigma": sigma, "sigma_hat": sigma, "denoised": denoised})
