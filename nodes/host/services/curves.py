"""The host's CURVE values as functions."""

from comfy_api.input import CurveInput
from comfy_api.latest import io

from ....common.errors import BetwixtError
from ....fcvg_core.tweening.easing import Easing


def curve_option(key: str, tooltip: str) -> io.DynamicCombo.Option:
    """The option ``key`` with the curve input ``curve``."""
    return io.DynamicCombo.Option(key, [io.Curve.Input("curve", tooltip=tooltip, socketless=False)])


def curve_function(value) -> Easing:
    """What a CURVE value, from the widget (dictionary) or from a node (CurveInput), does with an array of times 0..1.

    Raises:
        BetwixtError: no curve, or one of fewer than two points.
    """
    try:
        curve = CurveInput.from_raw(value)
        sound = len(curve.points) >= 2
    except (KeyError, TypeError, ValueError):
        sound = False
    if not sound:
        raise BetwixtError(
            f"The curve is {value!r}.",
            'A curve has two or more points: {"points": [[0, 0], [1, 1]], "interpolation": "monotone_cubic"}.',
            "Reset the curve widget or connect a CURVE output.",
        )
    return curve.interp_array
