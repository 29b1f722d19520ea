"""Widgets of the fusion modes and weights, and what their values mean."""

from collections.abc import Callable, Mapping

from comfy_api.latest import io

from ...common.errors import BetwixtError
from ...common.number_lists import parse_numbers
from ...fcvg_core.sampling.fusion import WeightOfTime, constant_weight, linear_weight
from ...fcvg_core.sampling.fusion_methods import METHODS, FusionMethod, Setting
from ..host.services.curves import curve_function, curve_option
from ..shared_inputs import fraction_input

PUBLISHED = "Published: {}."


def _setting_input(setting: Setting) -> io.Input:
    number = type(setting.default)
    bounds = {} if number is bool else {"min": number(setting.low), "max": number(setting.high)}
    if number is float:
        bounds["step"] = setting.step
    widget = {bool: io.Boolean, int: io.Int, float: io.Float}[number]
    return widget.Input(setting.name, default=setting.default, tooltip=setting.tooltip, **bounds)


def mode_input(further: Callable[[FusionMethod], list[io.Input]] = lambda method: []) -> io.DynamicCombo.Input:
    """The widget ``mode``.

    Args:
        further: inputs to append to a method's own.
    """
    return io.DynamicCombo.Input(
        "mode",
        options=[
            io.DynamicCombo.Option(name, [*map(_setting_input, method.settings), *further(method)])
            for name, method in METHODS.items()
        ],
        tooltip=" ".join(f"{name}: {method.summary}." for name, method in METHODS.items()),
    )


def published_guidances() -> str:
    """The methods' published guidance scales, for a tooltip."""
    guided = {name: method.guidance for name, method in METHODS.items() if method.guidance is not None}
    return PUBLISHED.format(", ".join(f"{name} {low:g} and {high:g}" for name, (low, high) in guided.items()))


def published_steps() -> str:
    """The methods' published numbers of steps, for a tooltip."""
    names = {}
    for name, method in METHODS.items():
        names.setdefault(method.steps, []).append(name)
    return PUBLISHED.format(", ".join(f"{' and '.join(those)} {steps}" for steps, those in names.items()))


def sampler_options(mode: Mapping) -> dict:
    """Keyword arguments of the method's sampler from the values of the widget ``mode``."""
    return {setting.name: mode[setting.name] for setting in METHODS[mode["mode"]].settings}


def weights_input() -> io.DynamicCombo.Input:
    """The widget ``fusion``."""
    option = io.DynamicCombo.Option
    constant = fraction_input(
        "weight", 0.5, "Share of the forward direction in every frame. 0.5 as in GI; 1 = forward alone."
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
            curve_option("curve", "Share of the forward direction over time; left = first frame, top = 1."),
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
