"""Parity of whole sampling runs through the host's sampling path, and of the demo's pipeline end to end."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from unittest import mock

import torch
from betwixt.nodes.host.conditioning_keys import CLIP_FRAMES, FS, IMAGE_TOKENS, KEY_LATENTS
from betwixt.tooncrafter_core.clip_decoder import decode_clip
from betwixt.tooncrafter_core.dual_reference import SCALE, decode_in_two_passes
from betwixt.tooncrafter_core.keyframes import key_latents
from betwixt.tooncrafter_core.schedule import Schedule

from support.golden import Case, Check, max_error
from support.models.tooncrafter_checkpoints import checkpoint
from tests.parity.tooncrafter_networks import TEXT, TOLERANCE, folded, manifest_of, on_device, unfolded


@dataclass
class Run:
    """A sampling run in the host's units.

    Attributes:
        batch: number of clips b.
        out: the scaled latents (b c t h w) after the last step.
        states, denoised: what each step started from and predicted, each (b*t c h w).
        predictions: of the first step, the network's own output (v, or noise) by "cond", "uncond" and "guided".
    """

    batch: int
    out: torch.Tensor
    states: list[torch.Tensor]
    denoised: list[torch.Tensor]
    predictions: dict[str, torch.Tensor]


def settings(name: str) -> dict:
    """Spacing, steps, eta, guidance and rescale as the file's name gives them."""
    spacing, steps = re.search(r"(trailing|uniform)(\d+)", name).groups()
    numbers = {key: re.search(rf"(?<![a-z]){key}([\d.]+\d|\d)", name) for key in ("eta", "cfg", "rescale")}
    found = {
        key: float(match[1]) if match else default
        for (key, match), default in zip(numbers.items(), (1, 1, 0), strict=True)
    }
    return {"spacing": spacing, "steps": int(steps), **found}


def schedule_of(name: str, loaded) -> Schedule:
    """The checkpoint's own, with a dynamic rescale that ends where the file's name says (``..._scale0.3_ddim_...``)."""
    scale = re.search(r"(?<![a-z])scale(\d(?:\.\d+)?)", name)
    return replace(loaded.variant.schedule, final_scale=float(scale[1])) if scale else loaded.variant.schedule


def sample(loaded, case: Case, conditioning: tuple, spacing, steps, eta, cfg, rescale) -> Run:
    """The reference DDIM on the golden's noise, in the host's sampling path."""
    import comfy.k_diffusion.sampling
    import comfy.sample
    from betwixt.nodes.host.tooncrafter.sampling import reference_ddim, rescaled_guidance, sampling_sigmas

    model, batch = loaded.model.clone(), case["x_T"].shape[0]
    schedule = schedule_of(case.name, loaded)
    if schedule != loaded.variant.schedule:
        model.add_object_patch("model_sampling", type(model.get_model_object("model_sampling"))(schedule))
    if rescale:
        model.set_model_sampler_post_cfg_function(rescaled_guidance(rescale))
    sampling = model.get_model_object("model_sampling")
    noise = folded(case["x_T"])
    draws = iter([folded(step) for step in case["noise"]])
    states, denoised_values, predictions = [], [], {}

    def callback(step, denoised, x, total):
        states.append(x.cpu().clone())
        denoised_values.append(denoised.cpu().clone())

    def note_predictions(args: dict) -> torch.Tensor:
        """After the rescale, which is a function of the same kind."""
        if not predictions:
            for name, key in (("cond", "cond_denoised"), ("uncond", "uncond_denoised"), ("guided", "denoised")):
                if args[key] is not None:
                    output = sampling.network_output(args["sigma"], args[key], args["input"])
                    predictions[name] = output.cpu()
        return args["denoised"]

    model.set_model_sampler_post_cfg_function(note_predictions)

    source = mock.patch.object(
        comfy.k_diffusion.sampling, "default_noise_sampler", lambda x, seed=None: lambda *_: next(draws).to(x)
    )
    with source:
        out = comfy.sample.sample_custom(
            model,
            noise,
            cfg,
            reference_ddim(eta, published_ends=True),
            sampling_sigmas(sampling, spacing, steps),
            *conditioning,
            torch.zeros_like(noise),
            callback=callback,
            disable_pbar=True,
            seed=0,
        )
    return Run(batch, unfolded(out.cpu() * SCALE, batch), states, denoised_values, predictions)


def conditioning_of(case: Case, key: str) -> list:
    """A golden context with its key latents, as 'ToonCrafter Conditioning' writes it."""
    context, frames = case[key], case["x_T"].shape[2]
    ends = zip(case["z_first"], case["z_last"], strict=True)
    latents = torch.cat([key_latents(first, last, frames, "between two pictures") for first, last in ends]) / SCALE
    entry = {
        KEY_LATENTS: latents,
        CLIP_FRAMES: frames,
        IMAGE_TOKENS: context[:, TEXT:],
        FS: case["fs"].tolist(),
    }
    return [[context[:, :TEXT], entry]]


def run_of(case: Case) -> Run:
    """A run with the settings in the case's name on what its file gives."""
    unconditional = "uncond_context" if "uncond_context" in case else "context"
    conditioning = conditioning_of(case, "context"), conditioning_of(case, unconditional)
    with torch.inference_mode():
        return sample(checkpoint(case, manifest_of(case)), case, conditioning, **settings(case.name))


def ddim_case(case: Case) -> list[Check]:
    manifest = manifest_of(case)
    loaded = checkpoint(case, manifest)
    chosen = settings(case.name)
    from betwixt.nodes.host.tooncrafter.sampling import sampling_timesteps

    timesteps = sampling_timesteps(chosen["spacing"], chosen["steps"])
    run = run_of(case)
    tolerance = {"manifest_dc256.json.gz": 5e-3}.get(manifest, _loop_tolerance(chosen))
    checks = [
        Check("timesteps", max_error(timesteps.copy(), case["timesteps"]), 0),
        Check("out", max_error(run.out, case["out"]), tolerance),
    ]
    for key, value in (*_predictions(run), *_steps(run, schedule_of(case.name, loaded), timesteps)):
        if key in case:
            checks.append(Check(key, max_error(value, case[key]), TOLERANCE if key.startswith("v_") else tolerance))
    return checks


def _loop_tolerance(chosen: dict) -> float:
    """Of the golden README, for the three kinds of run it has."""
    if chosen["cfg"] == 1:
        return 1e-4
    return 2e-3 if chosen["rescale"] else 1e-3


def _predictions(run: Run) -> Iterator[tuple[str, torch.Tensor]]:
    """The first step's predictions; of a run without guidance there is only one."""
    for name, value in run.predictions.items():
        yield f"v_{name}_step0", unfolded(value, run.batch)
    yield "v_step0", unfolded(run.predictions["guided"], run.batch)


def _steps(run: Run, schedule: Schedule, timesteps) -> Iterator[tuple[str, torch.Tensor]]:
    """Clean predictions of the first and last step and the states after the first, the middle and the last one, in the
    reference's units."""
    sigmas, scales = (torch.from_numpy(table[timesteps.copy()]) for table in (schedule.sigmas, schedule.scales))
    magnitudes = torch.cat([scales[1:], scales[-1:]])  # the reference notes x0 rescaled for the following step
    for name, index in (("first", 0), ("last", len(timesteps) - 1)):
        clean = run.denoised[index]
        if schedule.zero_snr and timesteps[index] == 999:
            # The host's table ends a little short of pure noise; the sampler takes this part of x out as well.
            clean = clean - run.states[index] / (1 + float(sigmas[index]) ** 2)
        yield f"pred_x0_{name}", unfolded(clean, run.batch) * float(magnitudes[index])
    states = [
        unfolded(state, run.batch) * float(scale / (1 + sigma**2) ** 0.5)
        for state, sigma, scale in zip(run.states[1:], sigmas[1:], scales[1:], strict=True)
    ]
    states.append(run.out)
    yield "x_steps_0_mid_last", torch.stack([states[0], states[len(states) // 2], states[-1]])


def e2e_case(case: Case) -> list[Check]:
    """Pictures and tokens to frames, as the graph does it: condition, sample, decode in two passes."""
    loaded = checkpoint(case)
    from betwixt.nodes.host.tooncrafter.conditioning import Keyframes, condition

    frames = case["x_T"].shape[2]
    pictures = torch.stack([case["image1"], case["image2"]]).float() / 255
    height, width = pictures.shape[1:3]
    tokens = [[(int(token), 1.0) for token in row] for row in case["tokens"]]
    empty = loaded.clip.tokenize("")
    texts = [loaded.clip.encode_from_tokens({"h": tokens}), loaded.clip.encode_from_tokens(empty)]
    key_frames = Keyframes(pictures, (width, height), "published", "between two pictures")
    conditioned = condition(
        loaded.first_stage,
        loaded.clip_vision,
        [[text, {}] for text in texts[:1]],
        [[text, {}] for text in texts[1:]],
        key_frames,
        frames,
        int(case["fs"][0]),
    )
    checks = []
    for name, conditioning in (("context", conditioned.positive), ("uncond_context", conditioned.negative)):
        text, entry = conditioning[0]
        context = torch.cat([text, entry["betwixt_image_tokens"]], dim=1)
        checks.append(Check(name, max_error(context, case[name]), TOLERANCE))
    latents = conditioned.positive[0][1]["betwixt_key_latents"] * SCALE
    checks += [Check(n, max_error(latents[[i]], case[n]), TOLERANCE) for n, i in (("z_first", 0), ("z_last", -1))]
    chosen = {"spacing": "trailing", "steps": len(case["noise"]), "eta": 1.0, "cfg": 7.5, "rescale": 0.7}
    sampled = sample(loaded, case, (conditioned.positive, conditioned.negative), **chosen).out
    checks.append(Check("latents", max_error(sampled, case["latents"]), 2e-3))
    return checks + _frame_checks(case, loaded.first_stage, folded(sampled) / SCALE, conditioned.references)


def _frame_checks(case: Case, first_stage, latents, references) -> list[Check]:
    """The frames before they are clamped, and the pictures that the node puts out."""
    on_device(first_stage.patcher)
    decoder, device = first_stage.patcher.model.decoder, first_stage.patcher.load_device
    moved = references.to(device, torch.float32)
    frames = decode_in_two_passes(
        lambda part: decode_clip(decoder, decoder.attn_refinement, part.to(device), moved).cpu(), latents
    ).transpose(0, 1)
    kept = case["frame_index"].long()
    pictures = first_stage.decode(latents, references, True, lambda share: None)[kept].permute(3, 0, 1, 2)
    compared = {
        "frames_kept": (frames[:, kept], case["frames_kept"]),
        "frames_kept as pictures": (pictures * 2 - 1, case["frames_kept"].clamp(-1, 1)),
        "frame_means": (frames.mean(dim=(0, 2, 3)), case["frame_means"]),
        "frame_stds": (frames.transpose(0, 1).flatten(1).std(dim=1), case["frame_stds"]),
    }
    return [Check(name, max_error(*pair), 2e-3) for name, pair in compared.items()]


KINDS = {
    "ddim_": ddim_case,
    "e2e": e2e_case,
}
