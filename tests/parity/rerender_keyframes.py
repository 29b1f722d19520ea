"""Whole key-frame runs of the rerender goldens through the host's sampling path; needs ComfyUI."""

from dataclasses import replace

import torch
from betwixt.nodes.host.rerender.rendering import HostRendering
from betwixt.nodes.host.rerender.sampler import alphas, published_sigmas
from betwixt.nodes.host.rerender.unclamped_vae import UnclampedVAE
from betwixt.rerender_core.flow.warping import occlusion
from betwixt.rerender_core.keyframes.constraints import (
    Adaptive,
    CrossFrame,
    KeyframeConstraints,
    PixelAware,
    ShapeAware,
)
from betwixt.rerender_core.keyframes.rendering import Correspondence, KeyframeSettings, RenderedFrame
from betwixt.rerender_core.keyframes.sampling import Noises, Pass

from support.golden import Case, Check, max_error
from support.models import tiny_sd15

LATENT, PICTURE, TARGET, MASK = 5e-3, 1e-3, 1e-4, 1e-6
HALF = 2**-10  # rounding of pictures stored as float16, relative


class TracedRendering(HostRendering):
    """Also keeps what goes into and comes out of every step of the last pass, in variance-preserving scale, and the
    training timesteps the model is asked for.

    ``final_injection``: the noise the reference injected in the final pass, where it was another one.
    """

    def __init__(self, *arguments, final_injection=None, **options):
        super().__init__(*arguments, **options)
        self.final_injection = final_injection
        self.samples, self.clean, self.timesteps = {}, {}, {}
        self._model.set_model_unet_function_wrapper(self._evaluate)

    def _evaluate(self, apply_model, arguments):
        sigma = arguments["timestep"].view(-1, 1, 1, 1)
        self.samples[self._patch.step] = (arguments["input"] / (1 + sigma**2).sqrt())[:1].clone()
        timestep = self._model.get_model_object("model_sampling").timestep(arguments["timestep"][:1])
        self.timesteps[self._patch.step] = timestep
        return apply_model(arguments["input"], arguments["timestep"], **arguments["c"])

    def run(self, frame, plan: Pass, attention):
        if plan.target is not None and plan.injection is not None and self.final_injection is not None:
            plan = replace(plan, injection=replace(plan.injection, noise=self.final_injection))
        control = plan.control

        def traced(step, clean):
            self.clean[step] = control(step, clean)
            return self.clean[step]

        return super().run(frame, replace(plan, control=traced), attention)


def updates(passes: list[str], fused: bool) -> list[bool]:
    """Per key frame, whether its last pass replaced the previous frame's features."""
    last = passes[2::2] if fused else passes[1:]
    return ["update" in text for text in last]


def constraints_of(options: dict, frames: int) -> KeyframeConstraints:
    fused = options.get("pixelfusion", True)
    pattern = updates(options["passes"], fused)
    positions = [position for position, update in enumerate(pattern) if update]
    every = positions[1] if len(positions) > 1 else frames
    replacement = "always" if positions else "with pixel-aware fusion" if not fused else "never"
    if positions and pattern != [position % every == 0 for position in range(len(pattern))]:
        raise ValueError(f"the stores are updated in a pattern that is no interval: {options['passes']}")

    def period(name: str, default):
        return tuple(options.get(name, default))

    pixel = PixelAware(
        period("mask_period", (0.5, 0.8)),
        options.get("mask_strength", 0.5),
        options.get("inner_strength", 0.9),
        options.get("smooth_boundary", True),
    )
    return KeyframeConstraints(
        CrossFrame(period("cross_period", (0, 1)), options["loose"], every, replacement),
        ShapeAware(period("warp_period", (0, 0.1))),
        pixel if fused else None,
        Adaptive(period("ada_period", (1, 1))),
    )


def conditioning(case: Case, control, options: dict) -> list:
    hints = case["controls"][:, None].expand(-1, 3, -1, -1).float() / 255
    control = control.copy().set_cond_hint(hints, options.get("control_strength", 1.0))
    return [[[case[name], {"control": control, "control_apply_to_uncond": False}]] for name in ("cond", "uncond")]


def correspondence(case: Case):
    def between(earlier: int, later: int) -> Correspondence:
        name = "first" if earlier == 0 and later > 1 else "prev"
        backward, forward = (case[f"flow_{name}_{way}.{later}"].float() for way in ("bwd", "fwd"))
        return Correspondence(backward, occlusion(backward, forward))

    return between


def noises(case: Case, options: dict) -> Noises:
    fusion = {step: case["noise_pa"][index : index + 1] for index, step in enumerate(options.get("pa_steps") or [])}
    injection = case["noise_inject"] if "noise_inject" in case else torch.zeros_like(case["noise_xT"])
    return Noises(case["noise_xT"], injection, fusion)


def rendered(case: Case, parts: tuple, every_step: bool) -> tuple[list[RenderedFrame], TracedRendering, torch.Tensor]:
    options, (model, control, vae) = case.parameters["config"], parts
    constraints = constraints_of(options, case["frames"].shape[0])
    sigmas = published_sigmas(model.model.model_sampling, options["steps"])
    host = TracedRendering(
        model,
        UnclampedVAE(vae),
        *conditioning(case, control, options),
        options["cfg_scale"],
        sigmas,
        seed=0,
        cross_frame=constraints.cross_frame,
        final_injection=case["noise_inject_final"] if "noise_inject_final" in case else None,
    )
    settings = KeyframeSettings(
        alphas(sigmas), options["steps"], options["x0_strength"], constraints, every_step=every_step
    )
    frames = case["frames"].float() / 255
    renderer = host.renderer(frames, correspondence(case), settings, noises=noises(case, options))
    return list(renderer.render()), host, renderer.latents


def picture_check(name: str, actual: torch.Tensor, expected: torch.Tensor) -> Check:
    rounding = HALF * float(expected.float().abs().max())
    return Check(name, max_error(actual, expected.float()), PICTURE + rounding)


def frame_checks(case: Case, position: int, frame: RenderedFrame, encoded: torch.Tensor) -> list[Check]:
    key = f"out.key{position}." if position else "out.first."
    values = {"x0": (encoded, TARGET), "latent": (frame.latent, LATENT)}
    pictures = {"image": frame.picture}
    if frame.shape is not None:
        values |= {"warp_flow": (frame.shape.flow, MASK), "warp_mask": (frame.shape.mask, MASK)}
    if frame.fusion is not None:
        fusion = frame.fusion
        values |= {
            "rough_latent": (fusion.rough_latent, LATENT),
            "xtrg_raw": (fusion.encoding.first, TARGET),
            "xtrg_rec": (fusion.encoding.recoded, TARGET),
            "xtrg": (fusion.target.latent, TARGET),
            "weight": (fusion.target.weight[:, 0], MASK),
            "noise_rescale": (fusion.target.flat[:, 0], MASK),
        }
        pictures |= {"rough_image": fusion.rough_picture, "blend_image": fusion.reference}
    checks = [
        Check(key + name, max_error(actual, case[key + name]), tolerance)
        for name, (actual, tolerance) in values.items()
        if key + name in case
    ]
    checks += [
        picture_check(key + name, actual, case[key + name]) for name, actual in pictures.items() if key + name in case
    ]
    if key + "image_u8" in case:
        bytes_ = (frame.picture * 127.5 + 127.5).clamp(0, 255).to(torch.uint8)[0].permute(1, 2, 0)
        checks.append(Check(key + "image_u8", max_error(bytes_, case[key + "image_u8"]), 1))
    return checks


def trace_checks(case: Case, host: TracedRendering, last: int) -> list[Check]:
    traces = {"trace_x_in": (host.samples, LATENT), "trace_x0": (host.clean, LATENT), "trace_t": (host.timesteps, 0)}
    return [
        Check(
            name,
            max_error(torch.cat([trace[step] for step in sorted(trace)]), case[f"out.key{last}.{name}"].float()),
            tolerance,
        )
        for name, (trace, tolerance) in traces.items()
        if f"out.key{last}.{name}" in case
    ]


def checks(case: Case, weights: dict) -> list[Check]:
    parts = tiny_sd15.model(weights), tiny_sd15.control_net(weights), tiny_sd15.vae(weights)
    published, host, latents = rendered(case, parts, every_step=True)
    found = [
        check
        for position, frame in enumerate(published)
        for check in frame_checks(case, position, frame, latents[position : position + 1])
    ]
    found += trace_checks(case, host, len(published) - 1)
    steps, injected = case.parameters["config"].get("pa_steps") or [], case.parameters["config"]["inject_step"]
    if not steps or injected <= steps[0]:  # else the published order continues from a discarded direction
        saved, _, _ = rendered(case, parts, every_step=False)
        found += [
            Check(f"frame {position} without the steps that may be left out", max_error(a.latent, b.latent), 0)
            for position, (a, b) in enumerate(zip(saved, published, strict=True))
        ]
    return found
