"""Samplers for clips denoised from both ends: FCVG, TRF, GI and ViBiD (docs/methods/svd.md, Bidirectional step; Fusion
methods).

A clip's latents are [F, C, h, w] in model scale; ``sigmas`` are the noise levels [steps + 1], the last one 0. Where a
sampler needs noise it takes ``draw``, which returns unit normal tensors like the latents.
"""

from collections.abc import Callable
from typing import Protocol

import torch

Draw = Callable[[], torch.Tensor]
# (step index, latents before it, denoised); raises to cancel
Report = Callable[[int, torch.Tensor, torch.Tensor], None]


class BidirectionalDenoiser(Protocol):
    """The two conditioned denoisers of one model."""

    def fused(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        """Guided denoised latents of both directions, fused, in forward order."""
        ...

    def forward(self, x: torch.Tensor, sigma: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Conditional and unconditional denoised latents, conditioned on the first key frame."""
        ...

    def backward(self, x: torch.Tensor, sigma: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The same conditioned on the last key frame; ``x`` and both results are in backward order."""
        ...


def euler_step(x: torch.Tensor, denoised: torch.Tensor, sigma: torch.Tensor, next_sigma: torch.Tensor) -> torch.Tensor:
    """Euler's method on the probability-flow ODE (Karras et al. 2022, algorithm 2)."""
    return x + (x - denoised) / sigma * (next_sigma - sigma)


def renoise(x: torch.Tensor, noise: torch.Tensor, sigma: torch.Tensor, higher_sigma: torch.Tensor) -> torch.Tensor:
    """Latents at noise level ``sigma`` taken back up to ``higher_sigma``."""
    return x + noise * (higher_sigma**2 - sigma**2).sqrt()


def sample_fcvg(
    denoiser: BidirectionalDenoiser, x: torch.Tensor, sigmas: torch.Tensor, report: Report, draw: Draw | None = None
) -> torch.Tensor:
    """FCVG: the fused prediction in every step, nothing else. Any other ODE sampler may take its place.

    Args:
        draw: not needed; the methods are all called alike.
    """
    for step, (sigma, next_sigma) in enumerate(zip(sigmas[:-1], sigmas[1:], strict=True)):
        denoised = denoiser.fused(x, sigma)
        report(step, x, denoised)
        x = euler_step(x, denoised, sigma, next_sigma)
    return x


def trf_schedule(steps: int, jump_length: int, jump_samples: int, repeat_ratio: float) -> list[int]:
    """The order of TRF's work: ``k >= 0`` denoises step k, ``-1 - k`` re-noises from level k + 1 back to k.

    Args:
        jump_length: how many levels one rewind goes back.
        jump_samples: how often each stretch is denoised in all; 1 = no rewinds.
        repeat_ratio: 0..1; rewinds begin where this share of the steps is still to do.
    """
    rewinds = range(int(steps * repeat_ratio), steps - jump_length, jump_length)
    left = dict.fromkeys(rewinds, jump_samples - 1)
    order, remaining = [], steps
    while remaining > 0:
        remaining -= 1
        order.append(steps - 1 - remaining)
        if left.get(remaining, 0) > 0:
            left[remaining] -= 1
            for _ in range(jump_length):
                order.append(-1 - (steps - 1 - remaining))
                remaining += 1
    return order


def sample_trf(
    denoiser: BidirectionalDenoiser,
    x: torch.Tensor,
    sigmas: torch.Tensor,
    report: Report,
    draw: Draw,
    jump_length: int = 5,
    jump_samples: int = 2,
    repeat_ratio: float = 0.8,
    noise_scale: float = 1.0,
    stale_input_scale: bool = False,
) -> torch.Tensor:
    """TRF (Feng et al. 2024, "Explorative Inbetweening of Time and Space"): fused steps with rewinds.

    Args:
        jump_length, jump_samples, repeat_ratio: see :func:`trf_schedule`.
        noise_scale: factor on the re-noising.
        stale_input_scale: reproduce the published fault that the first denoising after a rewind scales the network's
            input for the noise level before the rewind.
    """
    last_denoised: int | None = None
    for entry in trf_schedule(len(sigmas) - 1, jump_length, jump_samples, repeat_ratio):
        if entry < 0:
            step = -1 - entry
            x = renoise(x, draw() * noise_scale, sigmas[step + 1], sigmas[step])
            continue
        scaled_for = sigmas[entry]
        if stale_input_scale and last_denoised is not None:
            scaled_for = sigmas[last_denoised + 1]  # another level than this entry's after a rewind only
        denoised = _denoised_with_input_scale(denoiser, x, sigmas[entry], scaled_for)
        report(entry, x, denoised)
        x = euler_step(x, denoised, sigmas[entry], sigmas[entry + 1])
        last_denoised = entry
    return x


def _denoised_with_input_scale(denoiser, x: torch.Tensor, sigma: torch.Tensor, scaled_for: torch.Tensor):
    """The fused prediction with the network input ``x / sqrt(scaled_for^2 + 1)``.

    ``denoised = x / (sigma^2 + 1) - v sigma / sqrt(sigma^2 + 1)``, and weights and guidance sum to 1, so handing in
    latents scaled up by the quotient changes only v's input and a known multiple of x.
    """
    if bool(scaled_for == sigma):
        return denoiser.fused(x, sigma)
    variance = sigma**2 + 1
    rescaled = x * (variance / (scaled_for**2 + 1)).sqrt()
    return denoiser.fused(rescaled, sigma) + (x - rescaled) / variance


def sample_gi(
    denoiser: BidirectionalDenoiser,
    x: torch.Tensor,
    sigmas: torch.Tensor,
    report: Report,
    draw: Draw,
    repeats: int = 5,
    ratio: float = 0.5,
) -> torch.Tensor:
    """Generative Inbetweening (Wang et al. 2024): fused steps, the early ones repeated after re-noising.

    Args:
        repeats: how often each early step is repeated.
        ratio: 0..1, the share of the steps that are repeated.
    """
    steps = len(sigmas) - 1
    for step in range(steps):
        sigma, next_sigma = sigmas[step], sigmas[step + 1]
        for repeat in range(1 + (repeats if step < int(steps * ratio) else 0)):
            if repeat:
                x = renoise(x, draw(), next_sigma, sigma)
            denoised = denoiser.fused(x, sigma)
            report(step, x, denoised)
            x = euler_step(x, denoised, sigma, next_sigma)
    return x


def sample_vibid(
    denoiser: BidirectionalDenoiser,
    x: torch.Tensor,
    sigmas: torch.Tensor,
    report: Report,
    draw: Draw,
    first: torch.Tensor,
    last: torch.Tensor,
    scale: float | tuple[float, float] = 1.0,
) -> torch.Tensor:
    """ViBiDSampler (Yang et al. 2024): one direction after the other, CFG++ (Chung et al. 2024), end frames replaced.

    Args:
        first, last: [C, h, w], the clean latents of the key frames in model scale.
        scale: CFG++ scale, one or (forward, backward); 1 = the conditional prediction, with the step's direction from
            the unconditional one.
    """
    scales = scale if isinstance(scale, tuple) else (scale, scale)
    for step, (sigma, next_sigma) in enumerate(zip(sigmas[:-1], sigmas[1:], strict=True)):
        toward_last = _cfg_plus_plus(denoiser.forward(x, sigma), scales[0], last)
        report(step, x, toward_last[0])
        x = _directed_step(x, *toward_last, sigma, next_sigma)
        x = renoise(x, draw(), next_sigma, sigma).flip(0)
        toward_first = _cfg_plus_plus(denoiser.backward(x, sigma), scales[1], first)
        x = _directed_step(x, *toward_first, sigma, next_sigma).flip(0)
    return x


def _cfg_plus_plus(prediction, scale: float, end_frame: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Denoised latents with the far key frame in place, and the unconditional ones."""
    cond, uncond = prediction
    denoised = uncond + scale * (cond - uncond)
    return torch.cat([denoised[:-1], end_frame.to(denoised)[None]]), uncond


def _directed_step(x, denoised, uncond, sigma, next_sigma) -> torch.Tensor:
    return denoised + (x - uncond) / sigma * next_sigma
