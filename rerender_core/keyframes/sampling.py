"""The sampler of Rerender-A-Video: deterministic DDIM with injection of the input frame, pixel-aware fusion before a
step and control of the predicted clean latent after it (docs/methods/rerender.md, Sampler)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from .clean_latent import noised
from .pixel_fusion import fused, kept_noise

TRAIN_STEPS = 1000


def published_timesteps(steps: int) -> list[int]:
    """Training steps visited, noisiest first; more than ``steps`` where 1000 does not divide evenly."""
    return [step + 1 for step in range(0, TRAIN_STEPS, TRAIN_STEPS // steps) if step + 1 < TRAIN_STEPS][::-1]


@dataclass(frozen=True)
class Noises:
    """The noise of a run, the same for every frame and pass.

    Attributes:
        start: [1, C, h, w] where sampling begins; injection: laid over the input frame.
        fusion: step -> noise laid over the target of pixel-aware fusion.
    """

    start: Tensor
    injection: Tensor
    fusion: Mapping[int, Tensor]


def draw_noises(shape: Sequence[int], steps: int, seed: int) -> Noises:
    """All noise of a run from one seed, on the CPU, whatever constraints use it."""
    generator = torch.Generator("cpu").manual_seed(seed)
    start, injection, *fusion = (torch.randn(tuple(shape), generator=generator) for _ in range(steps + 2))
    return Noises(start, injection, dict(enumerate(fusion)))


@dataclass(frozen=True)
class Injection:
    """The noised input frame replaces the sample at ``step``.

    Attributes:
        latent: clean latent of the input frame; noise: the same tensor for all frames.
    """

    step: int
    latent: Tensor
    noise: Tensor


@dataclass(frozen=True)
class PixelTarget:
    """What pixel-aware fusion holds the sample to.

    Attributes:
        latent: clean target; weight: keep mask times strength; flat, inner: see :func:`.pixel_fusion.kept_noise`.
        noises: step -> noise, for the steps at which fusion acts.
    """

    latent: Tensor
    weight: Tensor
    flat: Tensor
    noises: Mapping[int, Tensor]
    inner: float

    @cached_property
    def kept_noise(self) -> Tensor:
        """The same at every step."""
        return kept_noise(self.weight, self.flat, self.inner)


@dataclass(frozen=True)
class State:
    """Where a pass stands before a step: the sample and its noise part, to go on from with another constraint."""

    step: int
    x: Tensor
    direction: Tensor


@dataclass(frozen=True)
class Pass:
    """One run of the sampler over one frame.

    Attributes:
        start: usually step 0 with pure noise and a direction of 0. Steps before the injection need not be run.
        control: (step, clean latent) -> clean latent.
        keep_before: the state before this step is returned as well.
    """

    start: State
    control: Callable[[int, Tensor], Tensor]
    injection: Injection | None = None
    target: PixelTarget | None = None
    keep_before: int | None = None

    def on(self, device: torch.device) -> "Pass":
        """The same with all tensors on a device."""
        start, injection, target = self.start, self.injection, self.target
        start = replace(start, x=start.x.to(device), direction=start.direction.to(device))
        if injection is not None:
            injection = replace(injection, latent=injection.latent.to(device), noise=injection.noise.to(device))
        if target is not None:
            moved = {name: getattr(target, name).to(device) for name in ("latent", "weight", "flat")}
            target = replace(target, noises={step: noise.to(device) for step, noise in target.noises.items()}, **moved)
        return replace(self, start=start, injection=injection, target=target)


def sample(
    predict: Callable[[Tensor, int], tuple[Tensor, Tensor]], alphas: Sequence[float], plan: Pass
) -> tuple[Tensor, State | None]:
    """Run a pass to the end.

    Args:
        predict: (x in variance-preserving scale, step) -> predicted noise and clean latent.
        alphas: cumulative alpha of every step and, last, of where the last step leads.

    Returns:
        the final sample, and the kept state or None.
    """
    x, direction, kept = plan.start.x, plan.start.direction, None
    for step in range(plan.start.step, len(alphas) - 1):
        alpha, following = (torch.tensor(value, dtype=torch.float64) for value in alphas[step : step + 2])
        if plan.injection is not None and step == plan.injection.step:
            x = noised(plan.injection.latent, plan.injection.noise, alpha)
        if step == plan.keep_before:
            kept = State(step, x, direction)
        if plan.target is not None and step in plan.target.noises:
            aim = noised(plan.target.latent, plan.target.noises[step], alpha)
            x = fused(x, direction, aim, plan.target.weight, plan.target.kept_noise)
        noise, clean = predict(x, step)
        clean = plan.control(step, clean)
        direction = float((1 - following).sqrt()) * noise  # of the prediction, not of the controlled latent
        x = float(following.sqrt()) * clean + direction
    return x, kept
