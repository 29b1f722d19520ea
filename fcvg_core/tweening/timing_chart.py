"""An animator's timing chart as text: one fraction of the way per drawing."""

import re

import numpy as np

from ...common.errors import BetwixtError
from ...common.number_lists import DECIMAL, check_length

LOWEST, HIGHEST = -1.0, 2.0  # overshoot by the whole distance at most
ENTRY = re.compile(rf"({DECIMAL})(?:/({DECIMAL})|(%))?")
SEPARATED = re.compile(r"[^\s,;|]+")
FORM = (
    "A chart is a list of decimals, fractions or percentages such as '1/8, 1/4, 1/2' or '.125 .25 .5' or '12.5% 50%'."
)


def parse_chart(text: str) -> np.ndarray:
    """The fractions of a timing chart.

    Entries are decimals (``.25``), fractions (``1/4``, without spaces) or percentages (``25%``), separated by commas,
    semicolons, bars, spaces or line ends; each within -1..2, in any order.

    Returns:
        float64 (N,), N may be 0.

    Raises:
        BetwixtError: names the first entry that cannot be read, its number and the character where it begins; a text
            beyond all charts.
    """
    check_length(text, "chart")
    fractions = []
    for number, found in enumerate(SEPARATED.finditer(text), start=1):
        place = f"Entry {number} of the timing chart, '{found[0]}' at character {found.start() + 1},"
        remedy = "Correct that entry in 'chart'."
        entry = ENTRY.fullmatch(found[0])
        if entry is None:
            raise BetwixtError(f"{place} is no number.", FORM, remedy)
        top, bottom, percent = entry.groups()
        divisor = 100.0 if percent else float(bottom or 1)
        if divisor == 0:
            raise BetwixtError(f"{place} divides by zero.", FORM, remedy)
        fraction = float(top) / divisor
        if not LOWEST <= fraction <= HIGHEST:
            raise BetwixtError(
                f"{place} is {fraction:g}.",
                f"0 is the first key frame and 1 the last; overshoot is possible from {LOWEST:g} to {HIGHEST:g}.",
                remedy,
            )
        fractions.append(fraction)
    return np.array(fractions)
