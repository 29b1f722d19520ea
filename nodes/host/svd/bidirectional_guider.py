"""Sampling one clip from both ends with the host's own samplers: a guider, and the same as a patch of a MODEL.

Four named cond lists go through the host's conditioning machinery; each prediction runs the model forward on the clip
and on the reversed clip, guides each frame, and fuses both (docs/methods/svd.md, Bidirectional step; Host hooks).
"""

from dataclasses import dataclass

import comfy.model_patcher
import comfy.patcher_extension
import comfy.sampler_helpers
import comfy.samplers
import torch

from ....common.errors import BetwixtError
from ....fcvg_core.sampling.fusion import Fusion
from ..conditioning_keys import CONCAT_LATENT
from .temporal_attention import BACKWARD_MOTION, DIRECTION, DirectionState, PublishedContextOrder

SETTINGS = "betwixt_bidirectional"  # in model_options: the BidirectionalSettings of the run
FORWARD_CONDS = ("positive", "negative")
BACKWARD_CONDS = ("positive_backward", "negative_backward")


@dataclass(frozen=True)
class BidirectionalSettings:
    """How both directions become one prediction.

    Attributes:
        fusion: guidance and fusion weights.
        published_context_order: reproduce the fault in the temporal context
            (docs/methods/svd.md, Temporal context fault).
    """

    fusion: Fusion
    published_context_order: bool = False


class BidirectionalGuider(comfy.samplers.CFGGuider):
    """GUIDER for 'SamplerCustomAdvanced' that denoises a clip from both ends."""

    def __init__(self, model, settings: BidirectionalSettings):
        super().__init__(prepared(model, settings))
        self.set_cfg(settings.fusion.guidance[1])

    def set_conds(self, positive, negative, positive_backward, negative_backward):
        """The conditionings of the first key frame and, ``_backward``, of the last one."""
        named = (positive, negative, positive_backward, negative_backward)
        self.inner_set_conds(dict(zip((*FORWARD_CONDS, *BACKWARD_CONDS), named, strict=True)))

    def outer_sample(self, noise, latent_image, sampler, *args, **kwargs):
        check_run(self, noise, sampler)
        return super().outer_sample(noise, latent_image, sampler, *args, **kwargs)

    def predict_noise(self, x, timestep, model_options=None, seed=None):
        return predict_fused(self, x, timestep, model_options or {})


class BidirectionalModel:
    """The same on a MODEL, for the stock 'KSampler': it brings the forward conditionings and the guidance scale.

    Args:
        settings: the upper end of its guidance is replaced by the sampler's ``cfg``.
    """

    KEY = "betwixt_bidirectional_model"

    def __init__(self, settings: BidirectionalSettings, positive_backward, negative_backward):
        self.settings = settings
        self.conds = dict(zip(BACKWARD_CONDS, (positive_backward, negative_backward), strict=True))

    def attach(self, model):
        patched = prepared(model, self.settings)
        wrappers = comfy.patcher_extension.WrappersMP
        patched.add_wrapper_with_key(wrappers.OUTER_SAMPLE, self.KEY, self._outer_sample)
        patched.add_wrapper_with_key(wrappers.PREDICT_NOISE, self.KEY, self._predict_noise)
        return patched

    def _outer_sample(self, executor, noise, latent_image, sampler, *args, **kwargs):
        guider = executor.class_obj
        for name, cond in self.conds.items():
            guider.conds[name] = comfy.sampler_helpers.convert_cond(cond)
        check_run(guider, noise, sampler)
        return executor(noise, latent_image, sampler, *args, **kwargs)

    def _predict_noise(self, executor, x, timestep, model_options, seed):
        guider = executor.class_obj
        fusion = self.settings.fusion
        fusion = Fusion((min(fusion.guidance[0], guider.cfg), guider.cfg), fusion.weight, fusion.guided_sigmas)
        return predict_fused(guider, x, timestep, model_options, fusion)


def prepared(model, settings: BidirectionalSettings):
    """A clone of the MODEL that carries the settings."""
    patched = PublishedContextOrder().attach(model) if settings.published_context_order else model.clone()
    patched.model_options[SETTINGS] = settings
    return patched


def check_run(guider, noise: torch.Tensor, sampler) -> None:
    """Refuses, before anything is loaded, what cannot be sampled, and prepares the rest.

    Raises:
        BetwixtError: see the sentences.
    """
    frames = noise.shape[0]
    if noise.ndim != 4 or noise.shape[1] != 4 or frames < 2:
        raise BetwixtError(
            f"The latent has the shape {list(noise.shape)}.",
            "A clip for Stable Video Diffusion is [frames, 4, height / 8, width / 8] with at least 2 frames.",
            "Connect the latent of 'Inbetween Conditioning'.",
        )
    guider.model_options[SETTINGS].fusion.weights(frames)
    for name in (*FORWARD_CONDS, *BACKWARD_CONDS):
        _check_conditioning(guider.conds[name], name, noise)
    if getattr(sampler, "needs_backward_motion", False):
        if guider.model_patcher.get_attachment(BACKWARD_MOTION) is None:
            raise BetwixtError(
                "The fusion mode is GI and the model has no backward-motion weights.",
                "GI needs the projections fine-tuned for backward motion.",
                "Put 'Apply Backward Motion (GI)' between the model and the guider, or choose another mode.",
            )
    if hasattr(sampler, "prepare"):
        sampler.prepare(guider.conds)


def _check_conditioning(conds: list, name: str, noise: torch.Tensor) -> None:
    for cond in conds:
        latent = cond.get(CONCAT_LATENT)
        if latent is None:
            raise BetwixtError(
                f"The conditioning '{name}' carries no key frame.",
                "Stable Video Diffusion is conditioned on a picture, not on text.",
                "Connect the outputs of 'Inbetween Conditioning'.",
            )
        if latent.shape[-2:] != noise.shape[-2:]:
            raise BetwixtError(
                f"The key frame of '{name}' is {8 * latent.shape[-1]}x{8 * latent.shape[-2]} and the latent "
                f"{8 * noise.shape[-1]}x{8 * noise.shape[-2]}.",
                "Both must have the same size.",
                "Take conditionings and latent from the same 'Inbetween Conditioning'.",
            )


def predict_direction(
    guider, x: torch.Tensor, timestep: torch.Tensor, model_options: dict, state: DirectionState, guided: bool = True
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Conditional and, if ``guided``, unconditional denoised latents of one direction.

    Args:
        guider: the running CFGGuider with all four conds.
        x: [F, 4, h, w] in the order of ``state.backward``.
    """
    positive, negative = (guider.conds[name] for name in (BACKWARD_CONDS if state.backward else FORWARD_CONDS))
    if guided and model_options[SETTINGS].published_context_order:
        state.tokens = (_token(positive[0], x.device), _token(negative[0], x.device))
    options = comfy.model_patcher.create_model_options_clone(model_options)
    options["transformer_options"][DIRECTION] = state
    conds = [positive, negative if guided else None]
    arguments = {"conds": conds, "input": x, "sigma": timestep, "model": guider.inner_model, "model_options": options}
    if "sampler_calc_cond_batch_function" in options:
        out = options["sampler_calc_cond_batch_function"](arguments)
    else:
        out = comfy.samplers.calc_cond_batch(guider.inner_model, conds, x, timestep, options)
    return out[0], out[1] if guided else None


def _token(cond: dict, device: torch.device) -> torch.Tensor:
    """The context token of a condition of the run; moved at first use, not in every block of every step."""
    cond["cross_attn"] = cond["cross_attn"].to(device)
    return cond["cross_attn"]


def predict_fused(
    guider, x: torch.Tensor, timestep: torch.Tensor, model_options: dict, fusion: Fusion | None = None
) -> torch.Tensor:
    """Guided denoised latents of both directions, fused: [F, 4, h, w] in forward order."""
    fusion = fusion or model_options[SETTINGS].fusion
    sigma = float(timestep.flatten()[0])  # waits for the computation so far: once for both directions
    guided = fusion.guides(sigma)
    forward = DirectionState(sigma=sigma)
    backward = DirectionState(backward=True, sigma=sigma, maps=forward.maps)
    predictions = []
    for state, latents in ((forward, x), (backward, x.flip(0))):
        cond, uncond = predict_direction(guider, latents, timestep, model_options, state, guided)
        predictions.append(_guided(guider, latents, timestep, model_options, state, fusion, cond, uncond))
    return fusion.fuse(*predictions)


def _guided(guider, x, timestep, model_options, state, fusion, cond, uncond) -> torch.Tensor:
    """Guidance through the host's own function, so that patches such as 'RescaleCFG' act."""
    if uncond is None:
        scale, uncond = 1.0, torch.zeros_like(cond)
    elif fusion.guidance[0] == fusion.guidance[1]:
        scale = fusion.guidance[0]
    else:
        scale = fusion.scale_like(x)
    positive, negative = (guider.conds[name] for name in (BACKWARD_CONDS if state.backward else FORWARD_CONDS))
    return comfy.samplers.cfg_function(
        guider.inner_model,
        cond,
        uncond,
        scale,
        x,
        timestep,
        model_options=model_options,
        cond=positive,
        uncond=negative,
    )
