"""Widgets that nodes of several families have; their tooltips say what they mean there."""

from comfy_api.latest import io

from .host.svd.model import WEIGHT_DTYPES

KEEP_FINISHED = "keep finished frames"
LARGEST_SEED = 2**64 - 1


def fraction_input(name: str, default: float, tooltip: str, step: float = 0.01, **options) -> io.Float.Input:
    """A number from 0 to 1."""
    return io.Float.Input(name, default=default, min=0.0, max=1.0, step=step, tooltip=tooltip, **options)


def frame_count_input(tooltip: str, default: int = 25, longest: int = 1000) -> io.Int.Input:
    """The widget ``frame_count``: frames of a clip, both key frames included."""
    return io.Int.Input("frame_count", default=default, min=2, max=longest, tooltip=tooltip)


def seed_input(
    tooltip: str,
    largest: int = LARGEST_SEED,
    after_generate: bool | io.ControlAfterGenerate = io.ControlAfterGenerate.fixed,
) -> io.Int.Input:
    """The widget ``seed``.

    Args:
        after_generate: what the interface does with it after a run, until the user says otherwise; True: take another.
    """
    return io.Int.Input("seed", default=0, min=0, max=largest, control_after_generate=after_generate, tooltip=tooltip)


def strength_input(tooltip: str) -> io.Float.Input:
    """The widget ``strength`` of condition pictures: 1 = as trained."""
    return io.Float.Input("strength", default=1.0, min=0.0, max=5.0, step=0.01, tooltip=tooltip)


def on_cancel_input(tooltip: str) -> io.Combo.Input:
    """The widget ``on_cancel`` of work that is done frame by frame."""
    return io.Combo.Input("on_cancel", options=[KEEP_FINISHED, "stop"], default=KEEP_FINISHED, tooltip=tooltip)


def weight_dtype_input(tooltip: str) -> io.Combo.Input:
    """The widget ``weight_dtype``: the precision a video UNet is kept in."""
    return io.Combo.Input(
        "weight_dtype", options=list(WEIGHT_DTYPES), default="default", advanced=True, tooltip=tooltip
    )


def part_input(name: str, results: str) -> io.String.Input:
    """A widget for "3" or "2-4", counted from 1; empty for all.

    Args:
        name: what the parts are called, in the plural.
        results: what is said about the node's outputs then.
    """
    return io.String.Input(
        name,
        default="",
        optional=True,
        tooltip=f"Only these {name}, counted from 1: '3' or '2-4', for work in parts. {results} Empty: all.",
    )


def gaps_input() -> io.String.Input:
    """The widget ``gaps``."""
    return part_input("gaps", "They come out as in the whole run.")
