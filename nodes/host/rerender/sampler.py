"""One pass of the key-frame sampler inside the host's sampling: guidance, ControlNet, previews and cancel are its."""

from collections.abc import Callable

import comfy.samplers
import torch

from ....rerender_core.keyframes.clean_latent import alphas_of
from ....rerender_core.keyframes.sampling import Pass, State, published_timesteps, sample
from .cross_frame_patch import CrossFramePatch


def published_sigmas(model_sampling, steps: int) -> torch.Tensor:
    """Noise levels of the published schedule, the lowest one (not 0) last: [T + 1], T >= ``steps``."""
    return torch.stack([model_sampling.sigmas[step].cpu() for step in (*published_timesteps(steps), 0)])


def alphas(sigmas: torch.Tensor) -> tuple[float, ...]:
    """Cumulative alphas of noise levels."""
    return tuple(alphas_of(sigmas).tolist())


class KeyframePass(comfy.samplers.Sampler):
    """A host Sampler that runs one :class:`Pass`; afterwards ``kept`` is the state the pass was asked to keep.

    Args:
        report: called with (step, clean latent) after every evaluation; may raise to cancel.
    """

    def __init__(self, plan: Pass, patch: CrossFramePatch | None, report: Callable[[int, torch.Tensor], None]):
        self._plan, self._patch, self._report = plan, patch, report
        self.kept: State | None = None

    def sample(
        self, model_wrap, sigmas, extra_args, callback, noise, latent_image=None, denoise_mask=None, disable_pbar=False
    ):
        total = len(sigmas) - 1
        scales = (1 + sigmas**2).sqrt()  # from variance-preserving to the host's scale
        if self._patch is not None:
            self._patch.number_conditionings(model_wrap.conds)

        def predict(x: torch.Tensor, step: int) -> tuple[torch.Tensor, torch.Tensor]:
            if self._patch is not None:
                self._patch.begin_step(step)
            sigma, noisy = sigmas[step], x * scales[step]
            clean = model_wrap(noisy, sigma.expand(noisy.shape[0]), **extra_args)
            if callback is not None:
                callback(step, clean, noisy, total)
            self._report(step, clean)
            return (noisy - clean) / sigma, clean

        latent, self.kept = sample(predict, alphas(sigmas), self._plan.on(noise.device))
        return latent
