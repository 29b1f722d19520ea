"""Golden cases of the folder ``rerender``: schedule, attention, masks, encoding, sampler, and whole key-frame runs.

The key-frame runs go through the host: MODEL with an attention patch, ControlNet, VAE, CFGGuider and own Sampler.
"""

import cv2
import torch
import torch.nn.functional as F
from betwixt.common.clips.frame_fit import fit_frame
from betwixt.common.clips.recolour import match_lab, recoloured
from betwixt.rerender_core.flow.warping import latent_flow
from betwixt.rerender_core.keyframes.clean_latent import AnchorTrace, ShapeFusion, constrained
from betwixt.rerender_core.keyframes.constraints import Adaptive, CrossFrame, ShapeAware
from betwixt.rerender_core.keyframes.cross_frame_attention import CrossFrameAttention, Role
from betwixt.rerender_core.keyframes.fidelity_encoding import artifact_mask, fidelity_encode
from betwixt.rerender_core.keyframes.pixel_fusion import flat_region, keep_mask, latent_mask, pixel_reference, softened
from betwixt.rerender_core.keyframes.sampling import Injection, Pass, PixelTarget, State, published_timesteps, sample
from betwixt.rerender_core.keyframes.step_windows import injection_step

from support.bootstrap import use_host
from support.golden import Case, Check, max_error
from support.models import synthetic_weights

LATENT_SCALE = 0.18215


def config(case: Case) -> dict:
    return case.parameters["config"]


def alphas_cumprod() -> torch.Tensor:
    """The training schedule [1000], as the host computes it for Stable Diffusion 1.5."""
    use_host()
    from comfy.model_sampling import ModelSamplingDiscrete

    return 1 / (1 + ModelSamplingDiscrete().sigmas.double() ** 2)


def schedule_case(case: Case) -> list[Check]:
    table = alphas_cumprod()
    checks = [Check("alpha-bar", max_error(table, case["out.alphas_cumprod"]), 1e-6)]
    for key in case.tensors:
        if key.startswith("out.timesteps."):
            steps = key.rpartition(".")[2]
            timesteps = published_timesteps(int(steps))[::-1]
            checks += [
                Check(key, max_error(torch.tensor(timesteps), case[key]), 0),
                Check(f"alphas {steps}", max_error(table[timesteps], case[f"out.alphas.{steps}"]), 1e-6),
                Check(
                    f"following {steps}",
                    max_error(table[[0, *timesteps[:-1]]], case[f"out.alphas_prev.{steps}"]),
                    1e-6,
                ),
            ]
    return checks


def attention_case(case: Case) -> list[Check]:
    options, layer = config(case), ("output", 3)
    step, last = options["step"], int(options["total_steps"] * options["cross_period"][1])

    def attend(tokens, context):
        q, k, v = (
            F.linear(source, case[f"weights.{name}.weight"]).unflatten(-1, (options["heads"], -1)).transpose(1, 2)
            for source, name in ((tokens, "to_q"), (context, "to_k"), (context, "to_v"))
        )
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return F.linear(mixed, case["weights.to_out.0.weight"], case["weights.to_out.0.bias"])

    attention = CrossFrameAttention(CrossFrame(tuple(options["cross_period"])), options["total_steps"])

    def run(frame: str, role: Role, steps) -> list[torch.Tensor]:
        attention.begin_pass(role)
        tokens = case[frame]
        results = [attend(tokens, attention.context(tokens, (at, layer, 0))) for at in steps]
        attention.finish_pass()
        return results

    steps = sorted({step, last, last + 1})
    anchor = run("hidden_first", Role.RECORD, steps)[steps.index(step)]
    first = run("hidden_1", Role.UPDATE, steps)[steps.index(step)]
    second = dict(zip(steps, run("hidden_2", Role.READ, steps), strict=True))
    checks = [
        Check("first", max_error(anchor, case["out.first"]), 2e-6),
        Check("frame 1", max_error(first, case["out.frame1"]), 2e-6),
        Check("frame 2", max_error(second[step], case["out.frame2_after_update"]), 2e-6),
    ]
    for key in case.tensors:
        if key.startswith("out.frame2_step"):
            at = int(key.removeprefix("out.frame2_step").split("_")[0])
            checks.append(Check(key, max_error(second[at], case[key]), 2e-6))
    return checks


def control_case(case: Case) -> list[Check]:
    options = config(case)
    total = options["total_steps"]
    anchor = AnchorTrace({step: case["first_x0"][step : step + 1] for step in range(total)})
    fusion = ShapeFusion(ShapeAware(tuple(options["warp_period"])), case["latent_flow"], case["mask"])
    adaptive = Adaptive(tuple(options["ada_period"]))
    results = [constrained(case["x0"][step : step + 1], step, total, anchor, adaptive, fusion) for step in range(total)]
    statistics = [anchor.statistics(step) for step in range(total)]
    return [
        Check("latent flow", max_error(latent_flow(case["flow"]), case["latent_flow"]), 1e-5),
        Check("mean", max_error(torch.cat([mean for mean, _ in statistics]), case["out.first_mean"]), 1e-5),
        Check(
            "deviation", max_error(torch.cat([deviation for _, deviation in statistics]), case["out.first_std"]), 1e-5
        ),
        Check("x0", max_error(torch.cat(results), case["out.x0"]), 1e-5),
    ]


def masks_case(case: Case) -> list[Check]:
    first, previous = case["occlusion_first"], case["occlusion_prev"]
    soft_first, soft_previous = softened(first), softened(previous)
    pictures = [case[name].float() for name in ("warped_first", "warped_prev", "rough_image")]
    reference = pixel_reference(*pictures, soft_first, soft_previous)
    unknown, keep = first.bool() & previous.bool(), keep_mask(first, previous)
    artifacts = artifact_mask(case["image_from_extrapolated_latent"], case["out.blend_image"], 0.25)
    plain, recoded = case["latent_reference"], case["latent_reference_recoded"]
    target = (plain + (1 - artifacts) * (plain - recoded)) * keep[:, None]
    return [
        Check("anchor mask", max_error(soft_first, case["out.blend_mask_first"]), 1e-6),
        Check("previous mask", max_error(soft_previous, case["out.blend_mask_prev"]), 1e-6),
        Check("warp mask", max_error(latent_mask(1 - soft_first), case["out.warp_mask"]), 1e-6),
        Check("pixel reference", max_error(reference, case["out.blend_image"]), 1e-6),
        Check("keep mask, pixels", max_error(1 - softened(unknown), case["out.keep_mask_pixels"]), 1e-6),
        Check("keep mask", max_error(keep, case["out.keep_mask_latent"]), 1e-6),
        Check("flat region", max_error(flat_region(keep), case["out.flat_region"]), 0),
        Check("artifacts", max_error(artifacts, case["out.artifact_mask"]), 0),
        Check("latent target", max_error(target, case["out.latent_target"]), 1e-6),
    ]


def weights(case: Case) -> dict[str, torch.Tensor]:
    """The synthetic weights, scaled as the case says."""
    values = synthetic_weights.state_dict(case.manifest("manifest.json.gz"))
    options = config(case)
    scales = dict(options.get("weights_scale", {}))
    if "vae_out_scale" in options:
        scales["first_stage_model.decoder.conv_out"] = options["vae_out_scale"]
    for prefix, factor in scales.items():
        for key in values:
            if key.startswith(prefix):
                values[key] = values[key] * factor
    return values


def fidelity_case(case: Case) -> list[Check]:
    use_host()
    from betwixt.nodes.host.rerender.unclamped_vae import UnclampedVAE

    from support.models import tiny_sd15

    unclamped = UnclampedVAE(tiny_sd15.vae(weights(case)))
    noises = [case[name] for name in ("noise_first", "noise_recoded") if name in case]

    def encode(picture):
        if not noises:
            return unclamped.encode(picture) * LATENT_SCALE
        # the goldens' posterior sample: the host's VAE gives its mean only, the deviation comes from the same encoder
        network = unclamped._vae.first_stage_model
        mean, log_variance = network.quant_conv(network.encoder(picture)).chunk(2, dim=1)
        sample = unclamped.encode(picture) + (0.5 * log_variance.clamp(-30, 20)).exp() * noises.pop(0)
        return sample * LATENT_SCALE

    def decode(latent):
        return unclamped.decode(latent / LATENT_SCALE)

    result = fidelity_encode(case["image"], encode, decode)
    compensated = decode(2 * result.first - result.recoded)
    return [
        Check("first", max_error(result.first, case["out.latent_first"]), 1e-4),
        Check("recoded", max_error(result.recoded, case["out.latent_recoded"]), 1e-4),
        Check("recoded picture", max_error(decode(result.first), case["out.image_recoded"]), 1e-4),
        Check("compensated picture", max_error(compensated, case["out.image_from_extrapolated"]), 1e-4),
        Check("artifacts", max_error(result.artifacts, case["out.artifact_mask"]), 0),
        Check("latent", max_error(result.latent, case["out.latent_compensated"]), 1e-4),
    ]


def sampler_case(case: Case) -> list[Check]:
    options = config(case)
    table, timesteps = alphas_cumprod(), published_timesteps(options["steps"])
    alphas = [float(table[step]) for step in (*timesteps, 0)]
    bias, total = case["bias"], len(timesteps)

    def predict(x, step):
        conditional, free = torch.tanh(0.7 * x + bias), torch.tanh(0.5 * x - bias)
        noise = free + options["cfg_scale"] * (conditional - free)
        return noise, (x - (1 - alphas[step]) ** 0.5 * noise) / alphas[step] ** 0.5

    injected, trace = injection_step(total, options["x0_strength"]), AnchorTrace()

    def injection(latent, noise):
        return None if injected is None else Injection(injected, latent, case[noise])

    def record(step, clean):
        trace.record(step, clean)
        return clean

    fusion = ShapeFusion(ShapeAware(tuple(options["warp_period"])), case["latent_flow"], case["warp_mask"])

    def control(step, clean):
        return constrained(clean, step, total, trace, Adaptive(tuple(options["ada_period"])), fusion)

    start = State(0, case["noise_xT"], torch.zeros_like(case["noise_xT"]))
    steps = options.get("pa_steps") or []
    share = steps[0] if steps and (injected is None or injected < steps[0]) else None
    first, _ = sample(predict, alphas, Pass(start, record, injection(case["x0_first"], "noise_inject")))
    plan = Pass(start, control, injection(case["x0_frame"], "noise_inject"), keep_before=share)
    rough, kept = sample(predict, alphas, plan)
    checks = [
        Check("first", max_error(first, case["out.first"]), 1e-4),
        Check("rough", max_error(rough, case["out.rough"]), 1e-4),
    ]
    if steps:
        noises = {step: case["noise_pa"][index : index + 1] for index, step in enumerate(steps)}
        weight = (case["mask"] * options["mask_strength"])[:, None]
        target = PixelTarget(case["target"], weight, case["flat_region"][:, None], noises, options["inner_strength"])
        again = "noise_inject_final" if "noise_inject_final" in case else "noise_inject"
        final, _ = sample(predict, alphas, Pass(start, control, injection(case["x0_frame"], again), target))
        checks.append(Check("final", max_error(final, case["out.final"]), 1e-4))
        if kept is not None:
            continued, _ = sample(predict, alphas, Pass(kept, control, target=target))
            checks.append(Check("final from the shared state", max_error(continued, final), 0))
    return checks


def colour_case(case: Case) -> list[Check]:
    picture, reference = case.array("image"), case.array("reference")
    result = recoloured(picture, reference)
    tensor = torch.from_numpy(result).permute(2, 0, 1)[None] / 127.5 - 1
    return [
        Check("Lab", max_error(cv2.cvtColor(picture, cv2.COLOR_RGB2LAB), case["out.image_lab"]), 1),
        Check("reference Lab", max_error(cv2.cvtColor(reference, cv2.COLOR_RGB2LAB), case["out.reference_lab"]), 1),
        Check("matched", max_error(match_lab(picture, reference), case["out.matched_lab"]), 1),
        Check("corrected", max_error(result, case["out.corrected"]), 1),
        Check("as input", max_error(tensor, case["out.tensor"]), 1 / 127.5 + 1e-6),
    ]


def resize_case(case: Case) -> list[Check]:
    return [
        Check(
            f"frame {number}",
            max_error(
                fit_frame(case.array(f"frame.{number}"), options["resolution"], "long", tuple(options["crop_l_r_t_b"])),
                case[f"out.frame.{number}"],
            ),
            0,
        )
        for number, options in config(case).items()
    ]


def keyframes_case(case: Case) -> list[Check]:
    use_host()
    from tests.parity import rerender_keyframes

    return rerender_keyframes.checks(case, weights(case))


HOSTED = ("ddim_schedule", "fidelity_encode_", "keyframes_")  # the host brings their tensors to its device
KINDS = {
    "ddim_schedule": schedule_case,
    "cross_frame_attention": attention_case,
    "x0_control_": control_case,
    "pa_masks_": masks_case,
    "fidelity_encode_": fidelity_case,
    "toy_sampler_": sampler_case,
    "color_correction": colour_case,
    "frame_resize": resize_case,
    "keyframes_": keyframes_case,
}
