"""FCVG with random weights of the published names and shapes, through the pack's loaders and the host's sampling."""

import dataclasses

import comfy.model_management as management
import torch
from betwixt.fcvg_core.sampling.backward_motion import delta_weights
from betwixt.fcvg_core.sampling.cross_normalisation import ControlMap, inject
from betwixt.fcvg_core.sampling.fusion import Fusion
from betwixt.fcvg_core.sampling.noise_levels import timestep
from betwixt.nodes.host.svd.controlnext_patch import INJECTED_AFTER
from betwixt.nodes.host.svd.model import model_from
from betwixt.nodes.host.svd.temporal_attention import BackwardMotion

from benchmarks.card.measuring import Card, Moments, counted, measured, shares
from support.runs.fcvg_clip import STEPS, Loaded, loaded


@dataclasses.dataclass
class PublishedInjection:
    """The control as the published pipeline computes it: 2F pictures at once in every call, half for nothing."""

    encoder: object
    pictures: torch.Tensor

    def __call__(self, h, options):
        if options["block"] != INJECTED_AFTER:
            return h
        both = torch.cat([self.pictures] * 2).to(h).movedim(-1, 1)
        control = self.encoder.model(both, timestep(options["sigmas"][:1]))
        weight = torch.tensor([float(kind == 0) for kind in options["cond_or_uncond"]], device=h.device)
        weight = weight.repeat_interleave(len(self.pictures)).view(-1, 1, 1, 1)
        return inject(h, ControlMap.of(control, h.shape[-2:]), weight)

    def attach(self, model):
        patched = model.clone()
        patched.set_additional_models("published", [self.encoder])
        patched.set_model_input_block_patch_after_skip(self)
        return patched


def step_row(card: Card, job: str, clip: Loaded, model, steps: int, fusion: Fusion | None = None) -> torch.Tensor:
    """Count one step, then measure ``steps``; the first is no part of the median."""
    flops = counted(lambda: clip.sampled(model, 1, fusion))
    moments = Moments()
    latents, taken = measured(lambda: clip.sampled(model, steps, fusion, moments))
    step = moments.median(skip=2)
    card.row(job, seconds_per_step=step, seconds=taken.seconds, **shares(flops, step), **taken.peaks())
    return latents


def decode_row(card: Card, job: str, clip: Loaded, latents: torch.Tensor) -> None:
    flops = counted(lambda: clip.decoded(latents))
    _, taken = measured(lambda: clip.decoded(latents))
    card.row(job, seconds=taken.seconds, **shares(flops, taken.seconds), **taken.peaks())


def fcvg(card: Card) -> None:
    clip = loaded(card.tiny)
    size = f"FCVG {clip.frames}x{clip.width}x{clip.height}"
    steps = card.steps(STEPS if card.memory == "plain" else 8)  # the second time it is the difference that counts
    latents = step_row(card, f"{size}, {steps} steps", clip, clip.controlled, steps)
    decode_row(card, f"{size}, decode", clip, latents)
    card.profile("fcvg", lambda: clip.sampled(clip.controlled, 1))


def fcvg_variants(card: Card) -> None:
    clip, steps = loaded(card.tiny), 2 if card.tiny else 3
    keys = {key: value for key, value in clip.weights.items() if "temporal_transformer_blocks.0.attn1.to_" in key}
    deltas = {key: 0.1 * value for key, value in keys.items() if "to_v" in key or "to_out" in key}
    gi = BackwardMotion(delta_weights(deltas, None, "delta")).attach(clip.model)
    step_row(card, "FCVG without conditions", clip, clip.model, steps)
    step_row(card, "FCVG unguided step", clip, clip.controlled, steps, Fusion(guidance=(1.0, 1.0)))
    step_row(card, "FCVG with GI attention", clip, gi, steps)
    management.unload_all_models()
    published = model_from({key: value.float() for key, value in clip.weights.items()}, "unet", "fp32")[0]
    controlled = PublishedInjection(clip.encoder, clip.pictures).attach(published)
    step_row(card, "FCVG as published, fp32", clip, controlled, 2)


RUN = {"fcvg": fcvg, "fcvg_variants": fcvg_variants}
