"""Widgets of the fusion modes and weights, and what their values mean."""

from collections.abc import Mapping

from comfy_api.latest import io

from ...common.clips.keyframe_pairs import parse_numbers
from ...common.errors import BetwixtError
from ...fcvg_core.sampling.fusion import WeightOfTime, constant_weight, linear_weight
from ..host.services.curves import curve_function, curve_options

MODES = ("FCVG", "TRF", "GI", "ViBiD")


def _ratio(name: str, default: float, tooltip: str) -> io.Float.Input:
    return io.Float.Input(name, default=default, min=0.0, max=1.0, step=0.01, tooltip=tooltip)


def _trf_inputs() -> list[io.Input]:
    return [
        io.Int.Input(
            "jump_length", default=5, min=1, max=100, tooltip="How many steps one rewind goes back. 5 as published."
        ),
        io.Int.Input(
            "jump_samples",
            default=2,
            min=1,
            max=10,
            tooltip="How often each rewound stretch is denoised in all. 1 = no rewinds; each more costs as much again.",
        ),
        _ratio("repeat_ratio", 0.8, "Rewinds happen while this share of the steps or more is still to do."),
        io.Float.Input(
            "noise_scale",
            default=1.0,
            min=0.0,
            max=2.0,
            step=0.01,
            tooltip="Factor on the noise added by a rewind. Published: 1, for some clips 0.95.",
        ),
        io.Boolean.Input(
            "stale_input_scale",
            default=False,
            tooltip="Reproduce TRF's published fault: the first step after a rewind scales its input for the wrong "
            "noise level.",
        ),
    ]


def _gi_inputs() -> list[io.Input]:
    return [
        io.Int.Input(
            "repeats",
            default=5,
            min=0,
            max=20,
            tooltip="How often each early step is repeated after adding noise again. 5 as published; each costs as "
            "much as a step.",
        ),
        _ratio("ratio", 0.5, "Share of the steps, from the start, that are repeated."),
    ]


def _vibid_inputs() -> list[io.Input]:
    return [
        io.Float.Input(
            "scale",
            default=1.0,
            min=0.0,
            max=5.0,
            step=0.05,
            tooltip="CFG++ scale: 1 as published; 0 = unconditional. The guider's guidance and fusion have no effect.",
        )
    ]


def mode_input(further: Mapping[str, list[io.Input]] | None = None) -> io.DynamicCombo.Input:
    """The widget ``mode``.

    Args:
        further: inputs to append to a mode's own.
    """
    own = dict(zip(MODES, ([], _trf_inputs(), _gi_inputs(), _vibid_inputs()), strict=True))
    further = further or {}
    return io.DynamicCombo.Input(
        "mode",
        options=[io.DynamicCombo.Option(mode, [*own[mode], *further.get(mode, [])]) for mode in MODES],
        tooltip="FCVG: both directions fused in every step. TRF: the same with rewinds. GI: early steps repeated, and "
        "turned temporal attention. ViBiD: one direction after the other.",
    )


def sampler_options(mode: Mapping) -> dict:
    """Keyword arguments of the mode's sampler from the values of the widget ``mode``."""
    match mode["mode"]:
        case "TRF":
            names = ("jump_length", "jump_samples", "repeat_ratio", "noise_scale", "stale_input_scale")
            return {name: mode[name] for name in names}
        case "GI":
            return {name: mode[name] for name in ("repeats", "ratio")}
        case "ViBiD":
            return {"scales": (mode["scale"], mode["scale"])}
    return {}


def weights_input() -> io.DynamicCombo.Input:
    """The widget ``fusion``."""
    option = io.DynamicCombo.Option
    constant = io.Float.Input(
        "weight",
        default=0.5,
        min=0.0,
        max=1.0,
        step=0.01,
        tooltip="Share of the forward direction in every frame. 0.5 as in GI; 1 = forward alone.",
    )
    weights = io.String.Input(
        "weights",
        default="1, 0",
        multiline=True,
        tooltip="Share of the forward direction for each frame, 0..1, as many numbers as the clip has frames.",
    )
    return io.DynamicCombo.Input(
        "fusion",
        options=[
            option("linear", []),
            option("constant", [constant]),
            *curve_options("curve", "Share of the forward direction over time; left = first frame, top = 1."),
            option("list", [weights]),
        ],
        tooltip="How much of each frame comes from the forward direction. linear: from 1 down to 0, as published by "
        "FCVG and TRF.",
    )


def weight_of(fusion: Mapping) -> WeightOfTime | list[float]:
    """The fusion weight from the values of the widget ``fusion``.

    Raises:
        BetwixtError: a list with a value outside 0..1, or without values.
    """
    match fusion["fusion"]:
        case "linear":
            return linear_weight
        case "constant":
            return constant_weight(fusion["weight"])
        case "curve":
            curve = curve_function(fusion.get("curve"))
            return lambda time: min(max(float(curve([time])[0]), 0.0), 1.0)
    weights = parse_numbers(fusion["weights"], "weights")
    wrong = [weight for weight in weights if not 0 <= weight <= 1]
    if wrong or not weights:
        raise BetwixtError(
            f"The fusion list holds {wrong[0]:g}." if wrong else "The fusion list is empty.",
            "Each weight is the forward direction's share, 0..1.",
            "Correct 'weights'.",
        )
    return weights
