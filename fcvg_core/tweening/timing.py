"""When each frame of an inbetween clip happens: fractions of the way from the first key frame (0) to the last (1)."""

import numpy as np

from ...common.errors import BetwixtError
from .easing import Easing
from .timing_chart import parse_chart


def check_frame_count(frame_count: int) -> None:
    """Refuse clips too short for both key frames.

    Raises:
        BetwixtError: fewer than two frames.
    """
    if frame_count < 2:
        raise BetwixtError(
            f"The frame count is {frame_count}.",
            "A clip holds at least its two key frames.",
            "Set 'frame_count' to 2 or more (25 is what FCVG was trained on).",
        )


def published_fractions(frame_count: int) -> np.ndarray:
    """FCVG's timing: both key frames, and between them ``frame_count - 2`` frames from 0 to 1 *inclusive*, so that
    frames 0 and 1 coincide, as do the last two (docs/methods/conditions.md, Published timing).

    With three frames, where the formula is undefined, the middle one is half-way.

    Returns:
        float64 (frame_count,).
    """
    check_frame_count(frame_count)
    inner = frame_count - 2
    between = np.arange(inner) / (inner - 1) if inner > 1 else np.full(inner, 0.5)
    return np.concatenate([[0.0], between, [1.0]])


def eased_fractions(frame_count: int, easing: Easing | None = None) -> np.ndarray:
    """Evenly spaced times ``i / (frame_count - 1)``, put through an easing. float64 (frame_count,)."""
    check_frame_count(frame_count)
    times = np.arange(frame_count) / (frame_count - 1)
    return times if easing is None else np.asarray(easing(times), np.float64)


def charted_fractions(frame_count: int, chart: str) -> np.ndarray:
    """The fractions of a timing chart, for all frames (then the first is 0 and the last 1) or for the inbetweens only.

    Which of the two is meant follows from the number of entries.

    Args:
        chart: see :func:`.timing_chart.parse_chart`.

    Returns:
        float64 (frame_count,).

    Raises:
        BetwixtError: unreadable entry, wrong number of entries, a complete chart that does not run from 0 to 1.
    """
    check_frame_count(frame_count)
    fractions = parse_chart(chart)
    if len(fractions) == frame_count - 2:
        return np.concatenate([[0.0], fractions, [1.0]])
    if len(fractions) != frame_count:
        raise BetwixtError(
            f"The timing chart has {len(fractions)} entries and the clip {frame_count} frames.",
            f"Either {frame_count - 2} entries (the inbetweens) or {frame_count} (all frames) are allowed.",
            f"Add or remove entries in 'chart', or set 'frame_count' to {len(fractions) + 2}.",
        )
    if fractions[0] != 0 or fractions[-1] != 1:
        raise BetwixtError(
            f"The timing chart runs from {fractions[0]:g} to {fractions[-1]:g}.",
            "A chart of all frames begins with 0 and ends with 1, the two key frames.",
            "Correct its ends in 'chart', or list only the inbetweens.",
        )
    return fractions


def held_fractions(fractions: np.ndarray, hold: int) -> np.ndarray:
    """The same motion "on twos" (``hold`` = 2), "on threes" ...: every drawing stands for ``hold`` frames.

    The last frame stays the last key frame even where that cuts a hold short.
    """
    held = fractions[np.arange(len(fractions)) // hold * hold]
    held[-1] = fractions[-1]
    return held
