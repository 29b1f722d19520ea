"""Parity of the fusion samplers on the golden folder's analytic denoiser."""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from betwixt.fcvg_core.sampling import fusion_samplers
from betwixt.fcvg_core.sampling.fusion import Fusion, constant_weight, guide, linear_weight
from betwixt.fcvg_core.sampling.noise_levels import karras_sigmas, timestep

from support.golden import Case, Check, max_error

TOLERANCE = 1e-5


@dataclass(frozen=True)
class Direction:
    """The toy network under one key frame's conditioning; frames in that direction's own order."""

    latent: torch.Tensor  # (4, h, w)
    embedding: torch.Tensor  # (16,)
    ids: tuple[float, float, float]
    bias: float = 0.0
    control: torch.Tensor | None = None  # (F, 4, h, w), already weighted

    def velocity(self, x: torch.Tensor, t: torch.Tensor, conditional: bool) -> torch.Tensor:
        previous = torch.cat([x[:1], x[:-1]])
        position = torch.linspace(0, 1, x.shape[0], device=x.device).view(-1, 1, 1, 1)
        drive = 0.9 * x + 0.4 * previous + 0.2 * t + self.bias
        drive = drive + 0.01 * self.ids[0] + 0.001 * self.ids[1] + self.ids[2]
        if conditional:
            drive = drive - 0.7 * self.latent * (1 - position) + 3 * self.embedding.mean()
            if self.control is not None:
                drive = drive + 0.5 * (self.control[0] + 0.1 * t) * self.control[1]
        return torch.tanh(drive)

    def __call__(self, x: torch.Tensor, sigma: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        scaled, t = x / (sigma**2 + 1).sqrt(), timestep(sigma)
        return tuple(denoised_from_velocity(x, self.velocity(scaled, t, which), sigma) for which in (True, False))


@dataclass(frozen=True)
class ToyDenoiser:
    """Both directions, fused as :class:`Fusion` says; a ``BidirectionalDenoiser``."""

    forward: Direction
    backward: Direction
    fusion: Fusion = field(default_factory=Fusion)

    def fused(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        scale = self.fusion.scale_like(x)
        return self.fusion.fuse(
            guide(*self.forward(x, sigma), scale),
            guide(*self.backward(x.flip(0), sigma), scale),
        )


def denoised_from_velocity(x: torch.Tensor, velocity: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """The clean latents that the network's v-prediction for the input ``x / sqrt(sigma^2 + 1)`` stands for."""
    variance = sigma**2 + 1
    return x / variance - velocity * sigma / variance.sqrt()


class Recorder:
    """Collects the latents before each denoising; with the result these are the golden ``steps``."""

    def __init__(self):
        self.before = []

    def __call__(self, step: int, x: torch.Tensor, denoised: torch.Tensor) -> None:
        self.before.append(x)

    def after(self, result: torch.Tensor) -> list[torch.Tensor]:
        return [*self.before[1:], result]


def denoiser(case: Case, fusion: Fusion, latents: str = "image_latents") -> ToyDenoiser:
    p = case.parameters
    motion, noise = p["motion_bucket_id"], p.get("noise_aug_strength", p.get("cond_aug"))
    ids = (p["fps_id"] if "fps_id" in p else p["fps"] - 1, motion, noise)
    control = [None, None]
    if "condition_u8" in case:
        pictures = case["condition_u8"].movedim(-1, 1).float() / 255
        pooled = F.avg_pool2d(torch.cat([pictures, pictures.mean(1, keepdim=True)], 1), 8)
        control = [(pooled, p["control_weight"]), (pooled.flip(0), p["control_weight"])]
    biases = (p.get("forward_bias", 0.0), p.get("backward_bias", 0.0))
    return ToyDenoiser(
        *(
            Direction(case[latents][i].squeeze(0), case["image_embeds"][i].flatten(), ids, biases[i], control[i])
            for i in range(2)
        ),
        fusion,
    )


def start(case: Case) -> tuple[torch.Tensor, torch.Tensor]:
    """The scaled initial latents (F, 4, h, w) and the noise levels."""
    sigmas = karras_sigmas(case.parameters["steps"])
    noise = case["noise"]
    return (noise[0] if noise.ndim == 5 else noise) * (sigmas[0] ** 2 + 1).sqrt(), sigmas


def draws(noise: torch.Tensor):
    remaining = iter(noise)
    return lambda: next(remaining)


def compared(case: Case, result: torch.Tensor, steps: list[torch.Tensor], expected_steps) -> list[Check]:
    expected = case["latents"][0] if case["latents"].ndim == 5 else case["latents"]
    checks = [Check("latents", max_error(result, expected), TOLERANCE)]
    for i, (actual, golden) in enumerate(zip(steps, expected_steps, strict=True)):
        scale = max(1.0, float(golden.abs().max()))
        checks.append(Check(f"steps[{i}]", max_error(actual, golden) / scale, TOLERANCE))
    return checks


def fcvg_case(case: Case) -> list[Check]:
    p = case.parameters
    x, sigmas = start(case)
    recorder = Recorder()
    toy = denoiser(case, Fusion((p["gmin"], p["gmax"]), linear_weight))
    result = fusion_samplers.sample_fcvg(toy, x, sigmas, recorder)
    return compared(case, result, recorder.after(result), case["steps"])


def trf_case(case: Case) -> list[Check]:
    """``steps`` also holds the latents after every re-noising: kept here through ``draw`` and ``report``."""
    p = case.parameters
    x, sigmas = start(case)
    schedule = fusion_samplers.trf_schedule(p["steps"], p["jump_length"], p["jump_n_sample"], p["repeat_step_ratio"])
    recorder = Recorder()
    toy = denoiser(case, Fusion((p["gmin"], p["gmax"]), linear_weight))
    result = fusion_samplers.sample_trf(
        toy,
        x,
        sigmas,
        recorder,
        draws(case["undo_noise"]),
        p["jump_length"],
        p["jump_n_sample"],
        p["repeat_step_ratio"],
        p["noise_scale_ratio"],
        stale_input_scale="stale" in p.get("quirk", ""),
    )
    # the latents before a denoising are those after whatever came just before it
    before = [i - 1 for i, entry in enumerate(schedule) if entry >= 0][1:] + [len(schedule) - 1]
    schedule_check = Check("schedule", max_error(torch.tensor(schedule), case["schedule"]), 0)
    return [schedule_check, *compared(case, result, recorder.after(result), case["steps"][before])]


def gi_case(case: Case) -> list[Check]:
    p = case.parameters
    x, sigmas = start(case)
    low, high = p["gmin"], p["gmax"]
    ramp = p["weighted_average"]
    fusion = Fusion((low, high), linear_weight) if ramp else Fusion(((low + high) / 2,) * 2, constant_weight(0.5))
    recorder = Recorder()
    repeats, ratio = p["noise_injection_steps"], p["noise_injection_ratio"]
    result = fusion_samplers.sample_gi(
        denoiser(case, fusion), x, sigmas, recorder, draws(case["injection_noise"]), repeats, ratio
    )
    evaluations = [1 + (repeats if step < int(p["steps"] * ratio) else 0) for step in range(p["steps"])]
    firsts = [sum(evaluations[:step]) for step in range(1, p["steps"])]
    return compared(case, result, [*(recorder.before[i] for i in firsts), result], case["steps"])


def vibid_case(case: Case) -> list[Check]:
    p = case.parameters
    x, sigmas = start(case)
    toy = denoiser(case, Fusion(), "concat_latents")
    first, last = case["keyframe_latents"]
    scales = (p["cfg_scale"], p["cfg_scale_flip"])
    result = fusion_samplers.sample_vibid(toy, x, sigmas, Recorder(), draws(case["renoise"]), first, last, scales)
    return compared(case, result, [], [])


KINDS = {
    "toy_fcvg_": fcvg_case,
    "toy_trf_": trf_case,
    "toy_gi_": gi_case,
    "toy_vibid_": vibid_case,
}
