"""Parity of whole sampling runs through the host's sampling path, and of the demo's pipeline end to end."""

import re
from unittest import mock

import torch
from betwixt.tooncrafter_core.dual_reference import SCALE
from betwixt.tooncrafter_core.key_frames import key_latents

from tests.parity.case import Case, Check, max_error
from tests.parity.tooncrafter_checkpoints import checkpoint
from tests.parity.tooncrafter_networks import TEXT, TOLERANCE, folded, unfolded


def settings(name: str) -> dict:
    """Spacing, steps, eta, guidance and rescale as the file's name gives them."""
    spacing, steps = re.search(r"(trailing|uniform)(\d+)", name).groups()
    numbers = {key: re.search(rf"{key}([\d.]+\d|\d)", name) for key in ("eta", "cfg", "rescale")}
    found = {
        key: float(match[1]) if match else default
        for (key, match), default in zip(numbers.items(), (1, 1, 0), strict=True)
    }
    return {"spacing": spacing, "steps": int(steps), **found}


def sample(loaded, case: Case, conditioning: tuple, spacing, steps, eta, cfg, rescale, last_only: bool = True):
    """The reference DDIM on the golden's noise; returns scaled latents (b c t h w) and what each step saw."""
    import comfy.k_diffusion.sampling
    import comfy.sample
    from betwixt.nodes.host.tooncrafter_sampling import reference_ddim, rescaled_guidance, sampling_sigmas

    model = loaded.model.clone()
    if rescale:
        model.set_model_sampler_post_cfg_function(rescaled_guidance(rescale))
    sampling = model.get_model_object("model_sampling")
    noise = folded(case["x_T"])
    draws = iter([folded(step) for step in case["noise"]])
    seen = []

    def callback(step, denoised, x, total):
        seen.append((x.clone(), denoised.clone()))

    source = mock.patch.object(
        comfy.k_diffusion.sampling, "default_noise_sampler", lambda x, seed=None: lambda *_: next(draws)
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
    return unfolded(out * SCALE), seen


def conditioning_of(case: Case, key: str) -> list:
    """A golden context with its key latents, as 'ToonCrafter Conditioning' writes it."""
    context, frames = case[key], case["x_T"].shape[2]
    latents = key_latents(case["z_first"][0], case["z_last"][0], frames, "between two pictures") / SCALE
    entry = {
        "betwixt_key_latents": latents,
        "betwixt_image_tokens": context[:, TEXT:],
        "betwixt_fs": int(case["fs"][0]),
    }
    return [[context[:, :TEXT], entry]]


def ddim_case(case: Case, manifest: str = "manifest.json.gz") -> list[Check]:
    loaded = checkpoint(case, manifest)
    chosen = settings(case.name)
    from betwixt.nodes.host.tooncrafter_sampling import sampling_timesteps

    timesteps = sampling_timesteps(chosen["spacing"], chosen["steps"])
    unconditional = "uncond_context" if "uncond_context" in case else "context"
    conditioning = conditioning_of(case, "context"), conditioning_of(case, unconditional)
    out, seen = sample(loaded, case, conditioning, **chosen)
    tolerance = {"manifest_dc256.json.gz": 5e-3}.get(manifest, _loop_tolerance(chosen))
    scales = torch.from_numpy(loaded.variant.schedule.scales).float()[torch.from_numpy(timesteps.copy())]
    checks = [
        Check("timesteps", max_error(timesteps.copy(), case["timesteps"]), 0),
        Check("out", max_error(out, case["out"]), tolerance),
    ]
    return checks + _step_checks(case, loaded, seen, scales, timesteps, tolerance, chosen)


def _loop_tolerance(chosen: dict) -> float:
    """Of the golden README, for the three kinds of run it has."""
    if chosen["cfg"] == 1:
        return 1e-4
    return 2e-3 if chosen["rescale"] else 1e-3


def _step_checks(case, loaded, seen, scales, timesteps, tolerance, chosen) -> list[Check]:
    """Clean predictions of the first and last step and the guided prediction of the first one, in reference units."""
    checks = []
    following = torch.cat([scales[1:], scales[-1:]])
    for name, index in (("pred_x0_first", 0), ("pred_x0_last", len(seen) - 1)):
        # The host's denoised value is x0 / s; the reference notes it after the rescale to the next step's magnitude.
        found = unfolded(seen[index][1]) * following[index]
        if not (loaded.variant.schedule.zero_snr and timesteps[index] == 999):
            checks.append(Check(name, max_error(found, case[name]), tolerance))
    return checks


def dc256_ddim_case(case: Case) -> list[Check]:
    return ddim_case(case, "manifest_dc256.json.gz")


def e2e_case(case: Case) -> list[Check]:
    """Pictures and tokens to frames, as the graph does it: condition, sample, decode in two passes."""
    loaded = checkpoint(case)
    from betwixt.nodes.host.tooncrafter_conditioning import KeyFrames, condition

    frames = case["x_T"].shape[2]
    pictures = torch.stack([case["image1"], case["image2"]]).float() / 255
    height, width = pictures.shape[1:3]
    tokens = [[(int(token), 1.0) for token in row] for row in case["tokens"]]
    empty = loaded.clip.tokenize("")
    texts = [loaded.clip.encode_from_tokens({"h": tokens}), loaded.clip.encode_from_tokens(empty)]
    key_frames = KeyFrames(pictures, (width, height), "published", "between two pictures")
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
    sampled, _ = sample(loaded, case, (conditioned.positive, conditioned.negative), **chosen)
    checks.append(Check("latents", max_error(sampled, case["latents"]), 2e-3))
    decoded = loaded.first_stage.decode(folded(sampled) / SCALE, conditioned.references, True, lambda share: None)
    kept = decoded[case["frame_index"].long()].permute(3, 0, 1, 2) * 2 - 1
    # pictures are clamped; the golden's frames may not be
    checks.append(Check("frames_kept", max_error(kept, case["frames_kept"].clamp(-1, 1)), 2e-3))
    return checks


KINDS = {
    "ddim_": ddim_case,
    "dc256_ddim_": dc256_ddim_case,
    "e2e": e2e_case,
}
