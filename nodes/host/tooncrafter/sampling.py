"""ToonCrafter's noise schedule as the host's model sampling, its DDIM as a sampler, its whole-clip guidance rescale.

In units of ``sigma / scale`` the dynamic rescale disappears and every sampler of the host is right
(docs/methods/tooncrafter.md, Rescale in host units).
"""

from collections.abc import Callable

import comfy.k_diffusion.sampling
import comfy.model_sampling
import comfy.samplers
import comfy.utils
import numpy as np
import torch

from ....common.errors import BetwixtError
from ....tooncrafter_core.schedule import Schedule, trailing_timesteps, uniform_timesteps


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
        if self.scales.device != sigma.device:  # of a model that is loaded in part, the host leaves buffers behind
            self.to(sigma.device)
        scale = self.scales[self.timestep(sigma)]
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

    def network_output(self, sigma, denoised, model_input):
        """Inverse of :meth:`calculate_denoised`."""
        scale = self.scale_of(sigma, denoised.ndim)
        sigma = comfy.model_sampling.reshape_sigma(sigma, denoised.ndim) * scale
        return (model_input / (sigma**2 + 1) - denoised) * scale * (sigma**2 + 1) ** 0.5 / sigma

    def calculate_denoised(self, sigma, model_output, model_input):
        scale = self.scale_of(sigma, model_output.ndim)
        sigma = comfy.model_sampling.reshape_sigma(sigma, model_output.ndim) * scale
        return model_input / (sigma**2 + 1) - model_output * sigma / (scale * (sigma**2 + 1) ** 0.5)


class RescaledEps(RescaledSampling):
    """The network predicts noise (the 256-pixel model, whose scale is 1)."""

    def network_output(self, sigma, denoised, model_input):
        """Inverse of :meth:`calculate_denoised`."""
        return (model_input - denoised) / comfy.model_sampling.reshape_sigma(sigma, denoised.ndim)

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


def with_deviation_of(
    sampling: RescaledSampling, sigma, guided, conditional, y, amount: float, frames: int | None = None
) -> torch.Tensor:
    """Give the guided prediction the deviation of the conditional one, over each whole clip (published as "rescale").

    Args:
        sigma: [n T], noise level of ``y``.
        guided, conditional: denoised latents [n T, 4, h, w].
        y: noisy latents.
        amount: 0 = off, 1 = fully; 0.7 as published.
        frames: T, of each clip; None = all.

    Raises:
        BetwixtError: the model's sampling was replaced by another one.
    """
    if not isinstance(sampling, RescaledSampling):
        raise BetwixtError(
            f"The model samples with {type(sampling).__name__}.",
            "The guidance rescale works with ToonCrafter's and DynamiCrafter's own sampling.",
            "Remove the node that replaced it ('ModelSampling...').",
        )
    out, reference = (sampling.network_output(sigma, value, y) for value in (guided, conditional))
    clips = zip(out.split(frames or len(out)), reference.split(frames or len(out)), strict=True)
    scaled = torch.cat([clip * (amount * wanted.std() / clip.std() + (1 - amount)) for clip, wanted in clips])
    return sampling.calculate_denoised(sigma, scaled, y)


def frames_of(conds: list[dict] | None) -> int | None:
    """Frames of each clip, of conditions as the host hands them to guidance; None = not told."""
    told = [condition.get("model_conds", {}).get("num_video_frames") for condition in conds or ()]
    return told[0].cond if told and told[0] is not None else None


def rescaled_guidance(amount: float):
    """:func:`with_deviation_of` as a ``sampler_post_cfg_function``."""

    def rescale(args: dict) -> torch.Tensor:
        sampling = args["model"].model_sampling
        return with_deviation_of(
            sampling,
            args["sigma"],
            args["denoised"],
            args["cond_denoised"],
            args["input"],
            amount,
            frames_of(args.get("cond")),
        )

    return rescale


def rescales_frame_by_frame(guidance: Callable[[dict], torch.Tensor] | None) -> bool:
    """Whether a ``sampler_cfg_function`` takes statistics of single frames, as the host's RescaleCFG does: a pixel's
    result then depends on the other pixels of its frame and not on those of other frames."""
    if guidance is None:
        return False

    def first_pixel(changed: int | None) -> torch.Tensor:
        """Of frame 0, with the last pixel of one of two frames changed."""
        cond, uncond, x = torch.randn(3, 2, 4, 4, 4, generator=torch.Generator().manual_seed(0))
        if changed is not None:
            cond[changed, :, -1, -1] += 1
        sigma = torch.ones(2)
        told = {"cond": x - cond, "uncond": x - uncond, "cond_denoised": cond, "uncond_denoised": uncond, "input": x}
        return guidance({**told, "sigma": sigma, "timestep": sigma, "cond_scale": 7.5})[0, :, 0, 0]

    try:
        plain, within, across = (first_pixel(changed) for changed in (None, 0, 1))
    except Exception:  # it needs more than these: nothing is known of it
        return False
    return not torch.equal(plain, within) and torch.equal(plain, across)


class ThreeWayGuider(comfy.samplers.CFGGuider):
    """Separate guidance to the pictures and to the text (docs/methods/tooncrafter.md, Three-way guidance)."""

    def set_conditionings(self, positive: list, pictures_only: list, negative: list) -> None:
        """text and pictures; empty text and pictures; neither."""
        self.inner_set_conds({"positive": positive, "middle": pictures_only, "negative": negative})

    def set_strengths(self, pictures: float, text: float, rescale: float) -> None:
        self.pictures, self.text, self.rescale = pictures, text, rescale

    def predict_noise(self, x, timestep, model_options=None, seed=None):
        conditionings = [self.conds[name] for name in ("positive", "middle", "negative")]
        positive, middle, negative = comfy.samplers.calc_cond_batch(
            self.inner_model, conditionings, x, timestep, model_options or {}
        )
        guided = negative + self.pictures * (middle - negative) + self.text * (positive - middle)
        if not self.rescale:
            return guided
        sampling = self.inner_model.model_sampling
        return with_deviation_of(sampling, timestep, guided, positive, x, self.rescale, frames_of(conditionings[0]))


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
            ends = last and not published_ends and float(following) == 0  # without noise; split sigmas end above it
            noise = fresh_noise(sigma, following) if eta > 0 and not ends else None
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
