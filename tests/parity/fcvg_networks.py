"""Parity of ControlNeXt, its injection and the native UNet, run through the host as the nodes run it."""

import functools
import re

import torch
from betwixt.fcvg_core.sampling.backward_motion import delta_weights
from betwixt.fcvg_core.sampling.cross_normalisation import ControlMap, inject
from betwixt.fcvg_core.sampling.fusion import Fusion
from betwixt.fcvg_core.sampling.noise_levels import karras_sigmas, timestep

from support.bootstrap import use_host
from support.golden import Case, Check, max_error
from support.models import synthetic_weights

UNET_TOLERANCE = {"ldm": 5e-5, "ref": 2e-4}
LOOP_TOLERANCE = {"ldm": 1e-4, "ref": 5e-4}
LATENT_SCALE = 0.18215  # model scale of ComfyUI's LATENT


@functools.lru_cache(maxsize=1)
def _unet(manifest):
    use_host()
    from betwixt.nodes.host.svd.model import model_from

    weights = synthetic_weights.state_dict(synthetic_weights.load_manifest(manifest))
    return model_from(weights, manifest.name, "fp32")[0]


def unet(case: Case):
    """The reduced SVD UNet of the case's manifest, loaded as 'Load FCVG Model' loads it."""
    return _unet(case.beside("manifest.json.gz")).clone()


def encoder(case: Case):
    """The ControlNeXt encoder, loaded as 'Load ControlNeXt' loads it."""
    use_host()
    from betwixt.nodes.host.svd.controlnext_model import controlnext_from

    manifest = case.manifest("controlnext.manifest.json.gz")
    return controlnext_from(synthetic_weights.state_dict(manifest))


def with_control(case: Case, model, pictures: torch.Tensor, strength: float):
    """The MODEL after 'Apply ControlNeXt'. ``pictures``: uint8 (F, H, W, 3)."""
    from betwixt.nodes.host.svd.controlnext_patch import ConditionVideo, ControlNeXtPatch

    return ControlNeXtPatch(encoder(case), ConditionVideo(pictures.float() / 255, strength)).attach(model)


def additional(model) -> list:
    """The models that a MODEL's patches bring along."""
    return [one for some in model.additional_models.values() for one in some]


def controlnext_case(case: Case) -> list[Check]:
    network = encoder(case).model.to(case.device)
    pictures = case["condition_u8"].movedim(-1, 1).float() / 255
    stem = network.stem(pictures)
    checks, downsampled = [], []
    if "stem_first4_0" in case:
        checks.append(Check("stem", max_error(stem[:, :4], case["stem_first4_0"]), 2e-5))
    hooks = [
        layer.register_forward_hook(lambda _, __, output: downsampled.append(output)) for layer in network.down_sample
    ]
    indices = sorted(int(key.removeprefix("output_")) for key in case.tensors if key.startswith("output_"))
    for index in indices:
        downsampled.clear()
        output = network.encode(stem, case[f"timestep_{index}"])
        checks.append(Check(f"output_{index}", max_error(output, case[f"output_{index}"]), 2e-5))
        for level, tensor in enumerate(downsampled):
            key = f"down{level}_first4_{index}"
            if key in case:
                checks.append(Check(key, max_error(tensor[:, :4], case[key]), 2e-5))
    for hook in hooks:
        hook.remove()
    return checks


def inject_case(case: Case) -> list[Check]:
    hidden = case["hidden"]
    control = ControlMap.of(case["control"], hidden.shape[-2:])
    out = inject(hidden, control, case["scale"] * case.parameters["control_weight"])
    return [Check("out", max_error(out, case["out"]), 1e-5)]


def sigmas_case(case: Case) -> list[Check]:
    """The core's schedule and the host's "karras" on the native model's sampling settings."""
    use_host()
    import comfy.model_sampling
    import comfy.samplers
    import comfy.supported_models

    sampling = comfy.model_sampling.ModelSamplingContinuousEDM(comfy.supported_models.SVD_img2vid)
    checks = []
    for key, expected in case.tensors.items():
        kind, _, steps = key.rpartition("_")
        schedules = {
            "core": karras_sigmas(int(steps)),
            "host": comfy.samplers.calculate_sigmas(sampling, "karras", int(steps)),
        }
        for name, sigmas in schedules.items():
            tables = {
                "sigmas": sigmas,
                "timesteps": timestep(sigmas[:-1]),
                "init_noise_sigma": (sigmas[:1] ** 2 + 1).sqrt(),
            }
            actual, expected = tables[kind], expected.cpu()
            # t = 0.25 ln sigma passes through 0: its error is that of sigma, a quarter of the relative one
            scale = torch.ones(()) if kind == "timesteps" else expected.abs().clamp_min(1e-30)
            checks.append(Check(f"{name} {key}", max_error(actual / scale, expected / scale), 1e-5))
    return checks


def _unet_options(model, kinds, t: torch.Tensor) -> dict:
    options = dict(model.model_options["transformer_options"])
    return {**options, "cond_or_uncond": kinds, "sigmas": (4 * t).exp()}


def run_unet(model, sample, context, ids, t, **extra_options) -> torch.Tensor:
    """The native UNet on a golden batch (2, F, 8, h, w) ordered [uncond, cond]; (2, F, 4, h, w)."""
    batch, frames = sample.shape[:2]
    base = model.model
    y = torch.cat([base.encode_adm(fps=i[0] + 1, motion_bucket_id=i[1], augmentation_level=i[2]) for i in ids.tolist()])
    out = base.diffusion_model(
        sample.flatten(0, 1),
        t.expand(batch * frames),
        context=context.repeat_interleave(frames, 0),
        y=y.to(sample).repeat_interleave(frames, 0),
        num_video_frames=frames,
        transformer_options={**_unet_options(model, [1, 0], t), **extra_options},
    )
    return out.view(batch, frames, *out.shape[1:])


def unet_forward_case(case: Case) -> list[Check]:
    native = unet(case)
    import comfy.model_management as management
    from betwixt.nodes.host.svd.temporal_attention import DIRECTION, DirectionState, PublishedContextOrder

    inputs = [case[key] for key in ("sample", "encoder_hidden_states", "added_time_ids", "timestep")]
    uncond, cond = case["encoder_hidden_states"].split(1)
    checks = []
    for variant in ("ldm", "ref"):
        plain = native if variant == "ldm" else PublishedContextOrder().attach(native)
        controlled = with_control(case, plain, case["condition_u8"], case.parameters["control_weight"])
        seen = {}
        controlled.set_model_input_block_patch(_recorder(seen, "after_down0"))
        controlled.set_model_input_block_patch_after_skip(_recorder(seen, "into_down1"))
        for model, key in ((plain, f"out_{variant}_nocontrol"), (controlled, f"out_{variant}")):
            state = DirectionState(tokens=(cond, uncond) if variant == "ref" else None)
            if key in case:
                management.load_models_gpu([model, *additional(model)])
                out = run_unet(model, *inputs, **{DIRECTION: state})
                checks.append(Check(key, max_error(out, case[key]), UNET_TOLERANCE[variant]))
        for name, tensor in seen.items():
            key = f"{name}_first8_{variant}"
            if key in case:
                checks.append(Check(key, max_error(tensor[:, :8], case[key]), UNET_TOLERANCE[variant]))
    return checks


def _recorder(seen: dict, name: str):
    def patch(h, options):
        if options["block"] == ("input", 3):
            seen[name] = h
        return h

    return patch


def conditioning(case: Case, index: int):
    """Conditional and unconditional lists of key frame 1 or 2, as 'Inbetween Conditioning' makes them."""
    p = case.parameters
    embed, latent = case[f"image{index}_embed"].view(1, 1, -1), case[f"image{index}_latent"][None]
    settings = {"motion_bucket_id": p["mb"], "fps": p["fps"], "augmentation_level": p["aug"]}
    return [[[embed * on, {**settings, "concat_latent_image": latent * on}]] for on in (1, 0)]


def loop_case(case: Case) -> list[Check]:
    p = case.parameters
    count = sum(key.startswith("condition_") for key in case.tensors)
    pictures = torch.stack([torch.from_numpy(case.png(f"condition_{i:02d}.png")) for i in range(count)])
    model = with_control(case, unet(case), pictures, p["cw"])
    checks = []
    for variant in ("ldm", "ref"):
        if f"latents_{variant}" in case:
            checks += _loop_checks(case, variant, "guider", *_through_guider(case, model, variant == "ref"))
    if p["gmin"] == p["gmax"] and "latents_ldm" in case:
        checks += _loop_checks(case, "ldm", "KSampler", *_through_ksampler(case, model))
    return checks


def _settings(case: Case, published: bool):
    from betwixt.nodes.host.svd.bidirectional_guider import BidirectionalSettings

    return BidirectionalSettings(Fusion((case.parameters["gmin"], case.parameters["gmax"])), published)


def _through_guider(case: Case, model, published: bool):
    import comfy.samplers
    from betwixt.nodes.host.svd.bidirectional_guider import BidirectionalGuider

    guider = BidirectionalGuider(model, _settings(case, published))
    guider.set_conds(*conditioning(case, 1), *conditioning(case, 2))
    noise, before = case["noise"][0], []
    sigmas = comfy.samplers.calculate_sigmas(
        model.get_model_object("model_sampling"), "karras", case.parameters["steps"]
    )
    result = guider.sample(
        noise,
        torch.zeros_like(noise),
        comfy.samplers.sampler_object("euler"),
        sigmas,
        callback=lambda step, denoised, x, steps: before.append(x.clone()),
        disable_pbar=True,
        seed=0,
    )
    return result, before


def _through_ksampler(case: Case, model):
    import comfy.sample
    from betwixt.nodes.host.svd.bidirectional_guider import BidirectionalModel

    model = BidirectionalModel(_settings(case, False), *conditioning(case, 2)).attach(model)
    noise, before = case["noise"][0], []
    result = comfy.sample.sample(
        model,
        noise,
        case.parameters["steps"],
        case.parameters["gmax"],
        "euler",
        "karras",
        *conditioning(case, 1),
        torch.zeros_like(noise),
        callback=lambda step, denoised, x, steps: before.append(x.clone()),
        disable_pbar=True,
        seed=0,
    )
    return result, before


def _loop_checks(case: Case, variant: str, route: str, result, before) -> list[Check]:
    tolerance = LOOP_TOLERANCE[variant]
    checks = [
        Check(
            f"{route} latents_{variant}",
            max_error(result * LATENT_SCALE, case[f"latents_{variant}"][0]),
            tolerance,
        )
    ]
    for i, expected in enumerate(case[f"steps_{variant}"][:-1]):
        scale = max(1.0, float(expected.abs().max()))  # early steps are large
        relative = tolerance if scale < 10 else tolerance / 10
        checks.append(Check(f"{route} steps_{variant}[{i}]", max_error(before[i + 1], expected) / scale, relative))
    return checks


def gi_case(case: Case) -> list[Check]:
    """GI's rotation on one forward and one backward call of the UNet, each on the batch [uncond, cond]."""
    tolerance = UNET_TOLERANCE[case.parameters["variant"]]
    out = gi_outputs(case, unet(case))
    return [Check(name, max_error(value, case[name]), tolerance) for name, value in out.items() if name in case]


def gi_outputs(case: Case, plain, given=lambda value: value) -> dict[str, torch.Tensor]:
    """What a MODEL puts out in either direction; ``given`` puts inputs where it wants them."""
    import comfy.model_management as management
    from betwixt.nodes.host.svd.temporal_attention import (
        DIRECTION,
        BackwardMotion,
        DirectionState,
        PublishedContextOrder,
    )

    published = case.parameters["variant"] == "ref"
    plain = PublishedContextOrder().attach(plain) if published else plain
    model = BackwardMotion(delta_weights(_gi_deltas(case), None, "delta")).attach(plain)
    management.load_models_gpu([model, *additional(model)])
    common = (case["added_time_ids"], given(case["timestep"]).float())

    def evaluated(direction: str, **state) -> torch.Tensor:
        context = given(case[f"ctx_{direction}"])
        uncond, cond = context.split(1)
        options = DirectionState(direction == "bwd", tokens=(cond, uncond) if published else None, **state)
        return run_unet(model, given(case[f"sample_{direction}"]), context, *common, **{DIRECTION: options})

    maps = {}
    return {
        "out_fwd": evaluated("fwd", maps=maps),
        "out_bwd": evaluated("bwd", maps=maps),
        "out_bwd_without_rotation": evaluated("bwd"),
    }


def _gi_deltas(case: Case) -> dict:
    """The additions to the backward UNet, as the case's text says: "base + FACTOR*fill('PREFIX'+key) on ..."."""
    factor, prefix = re.search(r"([\d.]+)\*fill\('([^']*)'", case.parameters["backward weights"]).groups()
    manifest = case.manifest("manifest.json.gz")
    parts = ("temporal_transformer_blocks.0.attn1.to_v", "temporal_transformer_blocks.0.attn1.to_out.0")
    return {
        key: float(factor) * synthetic_weights.fill(prefix + key, entry["shape"])
        for key, entry in manifest.items()
        if any(part in key for part in parts)
    }


KINDS = {
    "controlnext_": controlnext_case,
    "inject_": inject_case,
    "sigmas": sigmas_case,
    "unet_forward_": unet_forward_case,
    "loop_": loop_case,
    "gi_attnflip_": gi_case,
}
