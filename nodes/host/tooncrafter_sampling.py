"""ToonCrafter's noise schedule as the host's model sampling, its DDIM as a sampler, its whole-clip guidance rescale.

In units of ``sigma / scale`` the dynamic rescale disappears and every sampler of the host is right (spec 5.4).
"""

import comfy.k_diffusion.sampling
import comfy.model_sampling
import comfy.samplers
import comfy.utils
import numpy as np
import torch

from ...tooncrafter_core.schedule import Schedule, trailing_timesteps, uniform_timesteps


class RescaledSampling(comfy.model_sampling.ModelSamplingDiscrete):
    """Discrete schedule whose sigmas are divided by the magnitude of the predicted clean latent."""

    def __init__(self, schedule: Schedule):
        torch.nn.Module.__init__(self)
        self.schedule = schedule
        self.sigma_data = 1.0
        self.num_timesteps = len(schedule.sigmas)
        self.zsnr = schedule.zero_snr
        self.set_sigmas(torch.from_numpy(schedule.scaled_sigmas))
        self.register_buffer("scales", torch.from_numpy(schedule.scales).float())

    def scale_of(self, sigma: torch.Tensor, dimensions: int) -> torch.Tensor:
        """Magnitude of the clean latent at noise level ``sigma``, shaped to multiply latents."""
        scale = self.scales.to(sigma.device)[self.timestep(sigma)]
        return comfy.model_sampling.reshape_sigma(scale, dimensions)

    def calculate_input(self, sigma, noise):
        scale = self.scale_of(sigma, noise.ndim)
        sigma = comfy.model_sampling.reshape_sigma(sigma, noise.ndim) * scale
        return noise * scale / (sigma**2 + 1) ** 0.5

    def noise_scaling(self, sigma, noise, latent_image, max_denoise=False):
        scale = self.scale_of(sigma, noise.ndim)
        sigma = comfy.model_sampling.reshape_sigma(sigma, noise.ndim)
        factor = torch.sqrt(1 + (sigma * scale) ** 2) / scale if max_denoise else sigma
        return noise * factor + latent_image

    def inverse_noise_scaling(self, sigma, latent):
        return latent


class RescaledV(RescaledSampling):
    """The network predicts v (all but the 256-pixel model)."""

    def calculate_denoised(self, sigma, model_output, model_input):
        scale = self.scale_of(sigma, model_output.ndim)
        sigma = comfy.model_sampling.reshape_sigma(sigma, model_output.ndim) * scale
        return model_input / (sigma**2 + 1) - model_output * sigma / (scale * (sigma**2 + 1) ** 0.5)


class RescaledEps(RescaledSampling):
    """The network predicts noise (the 256-pixel model, whose scale is 1)."""

    def calculate_denoised(self, sigma, model_output, model_input):
        return model_input - model_output * comfy.model_sampling.reshape_sigma(sigma, model_output.ndim)


SPACINGS = {"trailing": trailing_timesteps, "uniform": uniform_timesteps}


def sampling_timesteps(spacing: str, steps: int) -> np.ndarray:
    """Training steps a run visits, from high noise down.

    Args:
        spacing: "trailing" (published for all but the 256-pixel model) or "uniform".
    """
    return SPACINGS[spacing](steps)


def sampling_sigmas(sampling: RescaledSampling, spacing: str, steps: int, denoise: float = 1.0) -> torch.Tensor:
    """SIGMAS of a run, then 0; float32.

    Args:
        denoise: share of the noise to begin with; less than 1 takes the last ``steps`` of a longer run.
    """
    timesteps = sampling_timesteps(spacing, max(steps, int(steps / denoise)))[-steps if denoise < 1 else None :]
    return torch.cat([sampling.sigmas[torch.from_numpy(timesteps.copy())].cpu(), torch.zeros(1)])


def rescaled_guidance(amount: float):
    """A ``sampler_post_cfg_function`` that gives the guided v the deviation of the conditional v, over the whole clip.

    Args:
        amount: 0 = off, 1 = fully; 0.7 as published.
    """

    def rescale(args: dict) -> torch.Tensor:
        guided, conditional, y = args["denoised"], args["cond_denoised"], args["input"]
        sampling = args["model"].model_sampling
        sigma = args["sigma"]
        scale = sampling.scale_of(sigma, y.ndim)
        true_sigma = comfy.model_sampling.reshape_sigma(sigma, y.ndim) * scale
        back = scale * (true_sigma**2 + 1) ** 0.5 / true_sigma

        def v_of(denoised: torch.Tensor) -> torch.Tensor:
            return (y / (true_sigma**2 + 1) - denoised) * back

        v, v_conditional = v_of(guided), v_of(conditional)
        factor = amount * v_conditional.std() / v.std() + (1 - amount)
        return y / (true_sigma**2 + 1) - v * factor / back

    return rescale


def reference_ddim(eta: float = 1.0, published_ends: bool = False) -> comfy.samplers.KSAMPLER:
    """The published DDIM as a sampler of the host.

    Args:
        eta: share of fresh noise per step, 1 as published.
        published_ends: start from noise of unit variance whatever the first step is (an empty latent is assumed), and
            stop at the noise level of training step 0 with the magnitude of the last visited step, slightly low in
            contrast, instead of at the clean latent.
    """

    def sample(model, x, sigmas, extra_args=None, callback=None, disable=None):
        extra_args = extra_args or {}
        sampling = model.inner_model.inner_model.model_sampling
        fresh_noise = comfy.k_diffusion.sampling.default_noise_sampler(x, seed=extra_args.get("seed"))
        steps = len(sigmas) - 1
        ones = x.new_ones([x.shape[0]])
        if published_ends and float(sigmas[0]) < float(sampling.sigma_max):
            true_sigma = sigmas[0] * sampling.scale_of(sigmas[0], 0)
            x = x * torch.sqrt(1 + true_sigma**2) / true_sigma
        for index in comfy.utils.model_trange(steps, disable=disable):
            sigma, following = sigmas[index], sigmas[index + 1]
            denoised = model(x, sigma * ones, **extra_args)
            if callback is not None:
                callback({"x": x, "i": index, "sigma": sigma, "sigma_hat": sigma, "denoised": denoised})
            last = index == steps - 1
            noise = fresh_noise(sigma, following) if eta > 0 and (published_ends or not last) else None
            x = _ddim_step(sampling, x, denoised, sigma, following, eta, noise, published_ends and last)
        return x

    return comfy.samplers.KSAMPLER(sample)


def _ddim_step(sampling, y, denoised, sigma, following, eta: float, noise, published_end: bool) -> torch.Tensor:
    """One step from ``sigma`` to ``following``; at ``published_end`` to training step 0 and back to the reference's
    units."""
    scale = sampling.scale_of(sigma, 0)
    true_sigma = sigma * scale
    if sampling.zsnr and int(sampling.timestep(sigma)) == sampling.num_timesteps - 1:
        # Pure noise: the limits of the formulas, which the table's finite last sigma only approaches.
        direction = y * scale / torch.sqrt(1 + true_sigma**2)
        denoised = denoised - y / (1 + true_sigma**2)
        remaining = 0.0
    else:
        direction = (y - denoised) / sigma
        lower = sampling.sigmas[0] if published_end else following * sampling.scale_of(following, 0)
        remaining = (lower / true_sigma) ** 2 if float(following) > 0 or published_end else 0.0
    if published_end:
        following = sampling.sigmas[0] / scale  # training step 0 has scale 1
    if float(following) == 0:
        return denoised
    fresh = eta**2 * (1 - torch.as_tensor(remaining).clamp(0, 1))  # clamped: rounding makes the reference return NaN
    x = denoised + following * (torch.sqrt(1 - fresh) * direction + (torch.sqrt(fresh) * noise if eta > 0 else 0))
    if published_end:
        x = x * scale / torch.sqrt(1 + sampling.sigmas[0] ** 2)
    return x
