"""One record per fusion method: its sampler, its published settings, what it needs, what the user may set.

Another method is a function like those of :mod:`.fusion_samplers`, a record here, and golden cases for the function.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from .fusion import WeightOfTime, constant_weight, linear_weight
from .fusion_samplers import sample_fcvg, sample_gi, sample_trf, sample_vibid, trf_schedule


@dataclass(frozen=True)
class Setting:
    """A keyword argument of a sampler that the user may set.

    Attributes:
        default: its type, bool, int or float, is the setting's.
        low, high, step: bounds of a number and the step of its widget.
        tooltip: its explanation for the user.
    """

    name: str
    default: bool | int | float
    tooltip: str
    low: float = 0
    high: float = 1
    step: float = 0.01


@dataclass(frozen=True)
class FusionMethod:
    """A published way to sample a clip from both ends.

    Attributes:
        name: as users choose it.
        summary: what it does, half a sentence.
        sample: called with (denoiser, latents, sigmas, report, draw) and a keyword for each of ``settings``.
        steps: published number of sampling steps.
        guidance: published (lowest, highest) guidance scale; None where the method has a guidance of its own.
        weight: published share of the forward prediction over time.
        settings: what the user may set.
        evaluations: (steps, the settings as keywords) -> how many times ``sample`` makes its prediction.
        needs_backward_motion: the model must carry weights fine-tuned for backward motion.
        needs_keyframe_latents: ``sample`` also takes ``first`` and ``last``, the key frames' clean latents [C, h, w].
        keeps_masked: parts of the clip that a noise mask protects can be kept.
    """

    name: str
    summary: str
    sample: Callable[..., torch.Tensor]
    steps: int
    guidance: tuple[float, float] | None = None
    weight: WeightOfTime = linear_weight
    settings: tuple[Setting, ...] = ()
    evaluations: Callable[..., int] = lambda steps, **_: steps
    needs_backward_motion: bool = False
    needs_keyframe_latents: bool = False
    keeps_masked: bool = True


def _trf_evaluations(steps: int, jump_length=5, jump_samples=2, repeat_ratio=0.8, **_) -> int:
    return sum(entry >= 0 for entry in trf_schedule(steps, jump_length, jump_samples, repeat_ratio))


def _gi_evaluations(steps: int, repeats=5, ratio=0.5, **_) -> int:
    return steps + repeats * int(steps * ratio)


FCVG = FusionMethod("FCVG", "both directions fused in every step", sample_fcvg, steps=25, guidance=(3.0, 3.0))

TRF = FusionMethod(
    "TRF",
    "the same with rewinds",
    sample_trf,
    steps=50,
    guidance=(1.0, 3.0),
    settings=(
        Setting("jump_length", 5, "How many steps one rewind goes back. 5 as published.", 1, 100, 1),
        Setting(
            "jump_samples",
            2,
            "How often each rewound stretch is denoised in all. 1 = no rewinds; each more costs as much again.",
            1,
            10,
            1,
        ),
        Setting("repeat_ratio", 0.8, "Rewinds happen while this share of the steps or more is still to do."),
        Setting(
            "noise_scale", 1.0, "Factor on the noise added by a rewind. Published: 1, for some clips 0.95.", high=2.0
        ),
        Setting(
            "stale_input_scale",
            False,
            "Reproduce TRF's published fault: the first step after a rewind scales its input for the wrong noise "
            "level.",
        ),
    ),
    evaluations=_trf_evaluations,
)

GI = FusionMethod(
    "GI",
    "early steps repeated, and turned temporal attention",
    sample_gi,
    steps=50,
    guidance=(2.0, 2.0),
    weight=constant_weight(0.5),
    settings=(
        Setting(
            "repeats",
            5,
            "How often each early step is repeated after adding noise again. 5 as published; each costs as much as a "
            "step.",
            0,
            20,
            1,
        ),
        Setting("ratio", 0.5, "Share of the steps, from the start, that are repeated."),
    ),
    evaluations=_gi_evaluations,
    needs_backward_motion=True,
)

VIBID = FusionMethod(
    "ViBiD",
    "one direction after the other",
    sample_vibid,
    steps=25,
    settings=(
        Setting(
            "scale",
            1.0,
            "CFG++ scale: 1 as published; 0 = unconditional. The guider's guidance and fusion have no effect.",
            high=5.0,
            step=0.05,
        ),
    ),
    needs_keyframe_latents=True,
    keeps_masked=False,
)

METHODS = {method.name: method for method in (FCVG, TRF, GI, VIBID)}
