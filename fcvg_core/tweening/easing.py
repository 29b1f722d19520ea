"""Named easings: Penner's families, the CSS timing functions, hold.

Sources: R. Penner, "Motion, Tweening, and Easing" (2002) for the families and their constants; CSS Easing Functions
Level 1 for ``cubic-bezier`` and the ``ease`` names. Overshoot (back, elastic, steep Bezier handles) is kept.
"""

from collections.abc import Callable
from types import MappingProxyType

import numpy as np

Easing = Callable[[np.ndarray], np.ndarray]  # time 0..1 -> fraction of the way; 0 -> 0, 1 -> 1, overshoot between

OVERSHOOT = 1.70158  # Penner's "back": 10 % beyond the goal
OVERSHOOT_IN_OUT = OVERSHOOT * 1.525
PERIOD, PERIOD_IN_OUT = 0.3, 0.45  # of "elastic", in units of the whole duration


def _back_in(t: np.ndarray, overshoot: float = OVERSHOOT) -> np.ndarray:
    return t * t * ((overshoot + 1) * t - overshoot)


def _elastic_in(t: np.ndarray, period: float = PERIOD) -> np.ndarray:
    wave = -(2.0 ** (10 * (t - 1))) * np.sin((t - 1 - period / 4) * 2 * np.pi / period)
    return np.where(t == 0, 0.0, wave)


def _bounce_in(t: np.ndarray) -> np.ndarray:
    rest = 1 - t  # parabolas of "bounce out", by time of each bounce's top
    tops, floors = np.array([0.0, 1.5, 2.25, 2.625]) / 2.75, np.array([0.0, 0.75, 0.9375, 0.984375])
    bounce = np.searchsorted(np.array([1.0, 2.0, 2.5]) / 2.75, rest, side="right")
    return 1 - (7.5625 * (rest - tops[bounce]) ** 2 + floors[bounce])


FAMILIES = MappingProxyType(
    {  # the "in" form, and the half used by "in-out" where Penner gives it another constant
        "sine": (lambda t: 1 - np.cos(t * np.pi / 2), None),
        "quad": (lambda t: t**2, None),
        "cubic": (lambda t: t**3, None),
        "quart": (lambda t: t**4, None),
        "quint": (lambda t: t**5, None),
        "expo": (lambda t: np.where(t == 0, 0.0, 2.0 ** (10 * (t - 1))), None),
        "circ": (lambda t: 1 - np.sqrt(np.maximum(1 - t * t, 0)), None),
        "back": (_back_in, lambda t: _back_in(t, OVERSHOOT_IN_OUT)),
        "elastic": (_elastic_in, lambda t: _elastic_in(t, PERIOD_IN_OUT)),
        "bounce": (_bounce_in, None),
    }
)
CSS_CURVES = MappingProxyType(
    {
        "ease": (0.25, 0.1, 0.25, 1.0),
        "ease-in": (0.42, 0.0, 1.0, 1.0),
        "ease-out": (0.0, 0.0, 0.58, 1.0),
        "ease-in-out": (0.42, 0.0, 0.58, 1.0),
    }
)
EASING_NAMES = (
    *CSS_CURVES,
    *(f"{family}-{way}" for family in FAMILIES for way in ("in", "out", "in-out")),
    "hold",
)


def cubic_bezier(x1: float, y1: float, x2: float, y2: float) -> Easing:
    """The CSS timing function: a Bezier curve from (0, 0) over the handles (x1, y1) and (x2, y2) to (1, 1).

    Args:
        x1, x2: 0..1, so that every time has one value.
        y1, y2: any; outside 0..1 the motion overshoots.
    """

    def ease(t: np.ndarray) -> np.ndarray:
        low, high = np.zeros_like(t), np.ones_like(t)
        for _ in range(52):  # bisection down to the last bit: time grows with the parameter
            middle = (low + high) / 2
            late = _bezier(middle, x1, x2) > t
            low, high = np.where(late, low, middle), np.where(late, middle, high)
        return np.where((t == 0) | (t == 1), t, _bezier((low + high) / 2, y1, y2))

    return ease


def _bezier(s: np.ndarray, first: float, second: float) -> np.ndarray:
    return 3 * s * (1 - s) ** 2 * first + 3 * s**2 * (1 - s) * second + s**3


def named_easing(name: str) -> Easing:
    """The easing called ``name``, one of :data:`EASING_NAMES`; takes and returns float64 arrays."""
    if name == "hold":
        return lambda t: np.where(t < 1, 0.0, 1.0)
    if name in CSS_CURVES:
        return cubic_bezier(*CSS_CURVES[name])
    family, way = name.split("-", 1)
    ease_in, half = FAMILIES[family]
    half = half or ease_in
    if way == "in":
        return ease_in
    if way == "out":
        return lambda t: 1 - ease_in(1 - t)
    return lambda t: np.where(t < 0.5, half(np.minimum(2 * t, 1)) / 2, 1 - half(np.minimum(2 - 2 * t, 1)) / 2)
