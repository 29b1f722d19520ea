"""Reading drawn paths from coordinate strings, as spline editors write them."""

import json
import math

import numpy as np

from ...common.errors import BetwixtError

FARTHEST = 100_000  # px; beyond it a coordinate is taken for a mistake
FORM = (
    'Allowed is one path, [{"x": 10, "y": 20}, {"x": 30, "y": 40}], or a list of such paths; '
    "coordinates are pixels, single quotes count as double ones."
)
REMEDY = "Connect the coordinate output of a spline editor to 'coordinates', or correct the text."


def _refuse(wrong: str) -> BetwixtError:
    return BetwixtError(wrong, FORM, REMEDY)


def _coordinate(point: dict, axis: str, place: str) -> float:
    value = point.get(axis)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _refuse(f"{place} has no number '{axis}': {json.dumps(point)}.")
    if abs(value) > FARTHEST:
        raise _refuse(f"{place} lies {value:g} pixels away.")
    return float(value)


def _points(path: list, name: str) -> np.ndarray:
    if len(path) < 2:
        raise _refuse(
            f"{name} of the coordinates has {len(path)} point{'' if len(path) == 1 else 's'}, a path needs 2."
        )
    rows = []
    for number, point in enumerate(path, start=1):
        place = f"Point {number} of {name[0].lower()}{name[1:]} of the coordinates"
        if not isinstance(point, dict):
            raise _refuse(f"{place} is {json.dumps(point)}.")
        rows.append([_coordinate(point, axis, place) for axis in ("x", "y")])
    return np.array(rows)


def parse_coordinates(text: str) -> list[np.ndarray]:
    """The paths of a coordinate string: JSON, one list of {x, y} or a list of such lists. Several such strings, one
    after the other, are read as the paths of all of them.

    Returns:
        One float64 (N, 2) per path, pixel (x, y), N >= 2. Blank text: none.

    Raises:
        BetwixtError: names the character where the JSON breaks, or the path and point that is wrong.
    """
    paths: list[list] = []
    for value in _values(text.replace("'", '"')):
        if not isinstance(value, list) or not value:
            raise _refuse(f"The coordinates are {json.dumps(value)[:40]}, not a list of points.")
        paths += [value] if isinstance(value[0], dict) else value
    for number, path in enumerate(paths, start=1):
        if not isinstance(path, list):
            raise _refuse(f"Path {number} of the coordinates is {json.dumps(path)[:40]}.")
    return [_points(path, f"Path {number}") for number, path in enumerate(paths, start=1)]


def _values(text: str) -> list:
    """The JSON values that stand one after the other in a text."""
    # Python refuses to make an int of thousands of digits
    decoder = json.JSONDecoder(parse_int=lambda digits: int(digits) if len(digits) < 20 else float(digits))
    values, place = [], 0
    while text[place:].strip():
        place += len(text[place:]) - len(text[place:].lstrip())
        try:
            value, place = decoder.raw_decode(text, place)
        except json.JSONDecodeError as error:
            rest = text[error.pos : error.pos + 20]
            found = f"at '{rest}'" if rest.strip() else "at its end"
            raise _refuse(f"The coordinates break off at character {error.pos + 1}, {found} ({error.msg}).") from None
        except RecursionError:
            raise _refuse("The coordinates are nested far too deeply.") from None
        values.append(value)
    return values
