"""Lists of numbers that users write into text fields."""

import re

from .errors import BetwixtError

LONGEST_NUMBER = 18  # characters of one entry
MOST_NUMBERS = 100_000
MOST_CHARACTERS = 2_000_000  # of a whole text: more is no list that anybody wrote
# [0-9]: what Python takes for a digit, such as '²' or '١', is none here
DECIMAL = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)"
SEPARATORS = re.compile(r"[\s,;]+")
PART = re.compile(r"([0-9]+)(?:\s*-\s*([0-9]+))?")
FORMS = {
    "number": re.compile(rf"{DECIMAL}(?:[eE][+-]?[0-9]{{1,2}})?"),
    "whole number": re.compile(r"[+-]?[0-9]+"),
    "whole number from 0": re.compile(r"\+?[0-9]+"),
}


def parse_numbers(text: str, name: str) -> list[float]:
    """Numbers separated by commas, semicolons or white space; none in an empty text.

    Args:
        name: of the text field, for errors.

    Raises:
        BetwixtError: names the first entry that is no finite decimal number.
    """
    return [float(entry) for entry in _entries(text, name, "number")]


def parse_whole_numbers(text: str, name: str, negative: bool = False) -> list[int]:
    """The same for whole numbers, from 0 on unless ``negative``."""
    return [int(entry) for entry in _entries(text, name, "whole number" if negative else "whole number from 0")]


def parse_part(text: str, name: str, count: int, what: str) -> range:
    """Which neighbouring parts of a whole are meant by "3" or "2-4", counted from 1; all of them by an empty text.

    Args:
        name: of the text field, for errors.
        count: how many parts there are; what: what they are called, in the plural.

    Returns:
        Their positions, counted from 0.

    Raises:
        BetwixtError: neither a number nor two of them in order, or beyond ``count``.
    """
    wanted = text.strip()
    if not wanted:
        return range(count)
    found = PART.fullmatch(wanted) if len(wanted) <= 2 * LONGEST_NUMBER else None
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 1 <= first <= last <= count:
        shown = wanted if len(wanted) <= LONGEST_NUMBER else f"{wanted[:LONGEST_NUMBER]}..."
        allowed = f"1 to {count}" if count else "none"
        raise BetwixtError(
            f"'{name}' is '{shown}'.",
            f"One number such as 3 or two such as 2-4 are allowed; the {what} here are {allowed}.",
            f"Correct '{name}', or leave it empty for all {what}.",
        )
    return range(first - 1, last)


def check_length(text: str, name: str) -> None:
    """Raises:
    BetwixtError: the text is too long to be taken apart.
    """
    if len(text) > MOST_CHARACTERS:
        raise BetwixtError(
            f"'{name}' holds {len(text)} characters.", f"At most {MOST_CHARACTERS} are read.", f"Shorten '{name}'."
        )


def _entries(text: str, name: str, kind: str) -> list[str]:
    check_length(text, name)
    entries = [entry for entry in SEPARATORS.split(text) if entry]
    if len(entries) > MOST_NUMBERS:
        raise BetwixtError(
            f"'{name}' holds {len(entries)} numbers.", f"At most {MOST_NUMBERS} are read.", f"Shorten '{name}'."
        )
    for entry in entries:
        if len(entry) > LONGEST_NUMBER or not FORMS[kind].fullmatch(entry):
            shown = entry if len(entry) <= LONGEST_NUMBER else f"{entry[:LONGEST_NUMBER]}..."
            raise BetwixtError(
                f"'{shown}' in '{name}' is not a {kind}.",
                f"{kind.replace('number', 'numbers').capitalize()} separated by commas or spaces are allowed.",
                f"Correct that entry in '{name}'.",
            )
    return entries
