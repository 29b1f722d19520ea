"""What a widget's value may be when it comes over a wire, where the host checks neither its type nor its range."""

import math
import re
from collections.abc import Sequence

import numpy as np
import torch
from comfy_api.latest import io

from ..common.errors import BetwixtError
from .wire_values import shown

FILE = re.compile(r"\.[A-Za-z]\w{1,11}$")  # choices of files: their loaders say where a missing one belongs


def checked_widget(value: object, entry: io.Input, name: str, listed: bool = False) -> object:
    """The value of a widget as its own Python type.

    Args:
        entry: an INT, FLOAT, BOOLEAN, STRING or COMBO input.
        name: the input's name as the user sees it.
        listed: a list of numbers, e.g. one per frame, is allowed as well and comes back as a list of floats.

    Returns:
        Lists at a text input come back as one text with an entry per line: several numbers, paths or prompts.

    Raises:
        BetwixtError: another type, a number out of range or not finite, an unknown choice.
    """
    value = _plain(value)
    match entry.get_io_type():
        case "BOOLEAN":
            return _boolean(value, name)
        case "INT" | "FLOAT" if isinstance(value, list | tuple) and listed:
            if not value:
                raise _refused(value, name, "At least one number is needed.")
            return [float(_number(_plain(one), entry, name)) for one in value]
        case "INT" | "FLOAT":
            return _number(value, entry, name)
        case "STRING":
            return _text(value, name)
        case "COMBO":
            return _choice(value, entry, name)
    return value


def _plain(value: object) -> object:
    """Numbers of NumPy and torch as Python's; arrays of them as lists."""
    if isinstance(value, torch.Tensor) and value.layout != torch.strided:
        return value
    if isinstance(value, torch.Tensor | np.generic | np.ndarray) and value.ndim <= 1:
        value = value.tolist()
    return value[0] if isinstance(value, list | tuple) and len(value) == 1 and not isinstance(value[0], str) else value


def _refused(value: object, name: str, allowed: str) -> BetwixtError:
    return BetwixtError(f"'{name}' is {shown(value)}.", allowed, f"Change '{name}' or what is connected to it.")


def _boolean(value: object, name: str) -> bool:
    if isinstance(value, bool) or (isinstance(value, int | float) and value in (0, 1)):
        return bool(value)
    raise _refused(value, name, "On or off (true or false) is allowed.")


def _number(value: object, entry: io.Input, name: str) -> int | float:
    whole = entry.get_io_type() == "INT"
    kind = "whole number" if whole else "number"
    span = "" if entry.min is None or entry.max is None else f" from {entry.min:g} to {entry.max:g}"
    allowed = f"One {kind}{span} is allowed."
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _refused(value, name, allowed)
    if isinstance(value, float) and (not math.isfinite(value) or (whole and value != int(value))):
        raise _refused(value, name, allowed)
    if (entry.min is not None and value < entry.min) or (entry.max is not None and value > entry.max):
        raise _refused(value, name, allowed)
    return int(value) if whole else float(value)


def _text(value: object, name: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _written(value)
    if isinstance(value, list | tuple):
        return "\n".join(_line(_plain(one), name) for one in value)
    raise _refused(value, name, "A text is needed.")


def _line(value: object, name: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _written(value)
    raise _refused(value, name, "A text, or a list of texts or numbers, is needed.")


def _written(value: int | float) -> str:
    """A number as people write it: whole ones without a point."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    return str(value) if isinstance(value, float) or value.bit_length() < 64 else shown(value)


def _choice(value: object, entry: io.Combo.Input, name: str) -> object:
    options: Sequence = entry.options or ()
    files = not options or any(isinstance(option, str) and FILE.search(option) for option in (*options, entry.default))
    if isinstance(value, str) and (value in options or files):
        return value
    if not isinstance(value, str) and isinstance(value, int | float) and value in options:
        return value
    listed = ", ".join(f"'{option}'" for option in options[:12])
    raise _refused(value, name, f"One of these is needed: {listed}." if options else "A name is needed.")
