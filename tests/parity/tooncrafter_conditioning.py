"""Parity of what the UNet is conditioned on: schedules, text, image tokens, fitted key frames."""

import torch
from betwixt.tooncrafter_core.keyframes import fit
from betwixt.tooncrafter_core.schedule import Schedule, trailing_timesteps, uniform_timesteps

from support.golden import Case, Check, max_error, max_relative_error
from support.models.tooncrafter_checkpoints import checkpoint

TOLERANCE = 5e-5


def schedule_case(case: Case) -> list[Check]:
    """Tables of the published file and of its DDIM sampler, relative to each table's largest value."""
    scales = case.tensors.get("scale_arr")
    schedule = Schedule() if scales is None else Schedule(final_scale=round(float(scales[-1]), 2))
    if scales is None:
        schedule = Schedule(zero_snr=False, final_scale=1.0)
    alphas, raw = torch.from_numpy(schedule.alphas), torch.from_numpy(Schedule(zero_snr=False).alphas)
    tables = {
        "alphas_cumprod": alphas,
        "alphas_cumprod_prev": _one_step_before(alphas),
        "sqrt_alphas_cumprod": alphas.sqrt(),
        "sqrt_one_minus_alphas_cumprod": (1 - alphas).sqrt(),
        "betas": 1 - alphas / _one_step_before(alphas),
        "f64/alphas_cumprod_zsnr": alphas,
        "f64/betas_zsnr": 1 - alphas / _one_step_before(alphas),
        "f64/alphas_cumprod_raw": raw,
        "f64/betas_raw": 1 - raw / _one_step_before(raw),
        "ve/sigma": torch.from_numpy(schedule.sigmas),
        "ve/sigma_over_scale": torch.from_numpy(schedule.scaled_sigmas),
    }
    checks = [
        Check(name, max_relative_error(tables[name], case[name]), 1e-6) for name in tables if name in case.tensors
    ]
    if scales is not None:
        steps = len(schedule.scales)
        checks.append(Check("scale_arr", max_relative_error(schedule.scales, case["scale_arr"][:steps]), 1e-6))
    for spacing in sorted({key.split("/")[0] for key in case.tensors if key.endswith("/timesteps")}):
        checks += _spacing_checks(case, spacing, schedule)
    return checks


def _one_step_before(alphas: torch.Tensor) -> torch.Tensor:
    """Cumulative alpha of the training step before each one; 1 before the first."""
    return torch.cat([alphas.new_ones(1), alphas[:-1]])


def _spacing_checks(case: Case, spacing: str, schedule: Schedule) -> list[Check]:
    name, _, rest = spacing.partition("_")
    rule = trailing_timesteps if name.startswith("trailing") else uniform_timesteps
    eta = float(rest.removeprefix("eta")) if rest else 1.0
    timesteps = rule(int(name.lstrip("abcdefghijklmnopqrstuvwxyz")))
    stored = case[f"{spacing}/timesteps"]
    order = 1 if stored[0] > stored[-1] else -1  # the published tables run from low to high noise
    visited = torch.from_numpy(timesteps.copy())
    checks = [Check(f"{spacing}/timesteps", max_error(visited[::1] if order > 0 else visited.flip(0), stored), 0)]
    rising = visited.flip(0)
    alphas = torch.from_numpy(schedule.alphas)[rising]
    before = torch.cat([torch.from_numpy(schedule.alphas)[:1], alphas[:-1]])
    scales = torch.from_numpy(schedule.scales)[rising]
    tables = {
        "alphas": alphas,
        "alphas_prev": before,
        "sqrt_one_minus_alphas": (1 - alphas).sqrt(),
        "sigmas": eta * ((1 - before) / (1 - alphas) * (1 - alphas / before)).clamp_min(0).sqrt(),
        "scale": scales,
        "scale_prev": torch.cat([scales[:1], scales[:-1]]),
    }
    for name, table in tables.items():
        key = f"{spacing}/{name}"
        if key in case.tensors:
            checks.append(Check(key, max_relative_error(table, case[key]), 1e-6))
    return checks


def text_case(case: Case) -> list[Check]:
    clip = checkpoint(case).clip
    rows = [clip.encode_from_tokens({"h": [[(int(token), 1.0) for token in row]]}) for row in case["tokens"]]
    return [Check("out", max_error(torch.cat(rows), case["out"]), TOLERANCE)]


def picture(tensor: torch.Tensor) -> torch.Tensor:
    """uint8 CHW -> IMAGE [1, H, W, 3]."""
    return tensor.movedim(0, -1)[None].float() / 255


def clip_image_case(case: Case) -> list[Check]:
    loaded = checkpoint(case)
    from betwixt.nodes.host.tooncrafter.image_tokens import clip_pixels, vision_tokens

    pictures = {key.removeprefix("img"): picture(case[key]) for key in case.tensors if key.startswith("img")}
    pictures["_zero"] = torch.full((1, 224, 224, 3), 0.5)
    checks = []
    for name, image in pictures.items():
        pixels = clip_pixels(loaded.clip_vision, image)
        samples = {
            f"pixels{name}_stride7": pixels[..., ::7, ::7],
            f"pixels{name}_row101": pixels[..., 101, :],
            f"pixels{name}_corner": pixels[..., :6, :6],
            f"pixels{name}_mean": pixels.mean(dim=(2, 3)),
            f"pixels{name}": pixels[..., :1, :1],
        }
        checks += [
            Check(key, max_error(value, case[key]), TOLERANCE) for key, value in samples.items() if key in case.tensors
        ]
        if f"tokens{name}" in case.tensors:
            expected = case[f"tokens{name}"]
            tokens = vision_tokens(loaded.clip_vision, image)[:, : expected.shape[1]]
            checks.append(Check(f"tokens{name}", max_error(tokens, expected), TOLERANCE))
    return checks


EIGHT_BIT = 2 / 255 + 2e-5  # Pillow rounds to 8 bits after each direction, half a step of -1..1 each time


def image_prep_case(case: Case) -> list[Check]:
    """The demo's path with antialiasing, which the pack follows, filled with grey; the command line's, filled with
    black, to the rounding of the 8-bit pictures it resizes, which the pack does not imitate."""
    checks = []
    for name in sorted({key.split("/")[0] for key in case.tensors}):
        image = picture(case[f"{name}/image"])
        for path, fill, tolerance in (("tensor_antialias", 0.5, 2e-5), ("pil", 0.0, EIGHT_BIT)):
            expected = case[f"{name}/{path}"]
            fitted = fit(image, expected.shape[-1], expected.shape[-2], fill=fill)
            error = max_error(fitted[0].movedim(-1, 0) * 2 - 1, expected)
            checks.append(Check(f"{name}/{path}", error, tolerance))
    return checks


def resampler_case(case: Case) -> list[Check]:
    tokens = checkpoint(case).first_stage.image_tokens(case["x"])
    return [Check("out", max_error(tokens, case["out"]), TOLERANCE)]


KINDS = {
    "schedule": schedule_case,
    "dc256_schedule": schedule_case,
    "text": text_case,
    "clip_image": clip_image_case,
    "image_prep": image_prep_case,
    "resampler": resampler_case,
}
