"""The value that a text means for an input of a node, by what the node's schema declares."""

import json
import math
from collections.abc import Iterator, Mapping

YES, NO = ("true", "yes", "on"), ("false", "no", "off")


def declared_inputs(schema: Mapping) -> Iterator[tuple[str, str, list]]:
    """(group, name, declaration) of every input in an object_info entry.

    A declaration is [type or choices] or [type or choices, options]; what some pack writes instead is left out.
    """
    groups = schema.get("input")
    for group in ("required", "optional"):
        inputs = groups.get(group) if isinstance(groups, Mapping) else None
        for name, declaration in inputs.items() if isinstance(inputs, Mapping) else ():
            if isinstance(declaration, list | tuple) and declaration:
                kind, *options = declaration[:2]
                yield group, name, [kind, *(entry for entry in options if isinstance(entry, Mapping))]


def declaration_of(schema: Mapping, key: str, inputs: Mapping) -> list | None:
    """The declaration of the input that an API graph calls ``key``.

    Args:
        inputs: the node's inputs in the graph: they say which option of a dynamic input is chosen. Where it says
            nothing, the first option that has such an input counts.
    """
    name, _, inner = key.partition(".")
    declaration = next((entry for _, found, entry in declared_inputs(schema) if found == name), None)
    if not inner or declaration is None:
        return declaration
    options = declaration[1].get("options", []) if len(declaration) > 1 else []
    options = [option for option in options if isinstance(option, Mapping)] if isinstance(options, list) else []
    chosen = [option for option in options if option.get("key") == inputs.get(name)]
    for option in chosen or options:
        found = declaration_of({"input": option.get("inputs", {})}, inner, {})
        if found is not None:
            return found
    return None


def typed_value(text: str, declaration: list | None) -> object:
    """The value of ``text`` for a declared input.

    Numbers and booleans are read as such, a choice as one of the options where it is one, text stays as it is. An
    input of another type, or of none, takes JSON, or plain text where it is not JSON.

    Raises:
        ValueError: says what the input takes instead.
    """
    kind, options = (declaration[0], declaration[1] if len(declaration) > 1 else {}) if declaration else (None, {})
    choices = kind if isinstance(kind, list) else options.get("options") if "COMBO" in str(kind) else None
    if isinstance(choices, list):
        keys = [choice.get("key") if isinstance(choice, Mapping) else choice for choice in choices]
        return next((key for key in keys if str(key) == text), text)
    match kind:
        case "BOOLEAN":
            return _boolean(text)
        case "INT":
            return _whole(text)
        case "FLOAT":
            return _finite(text)
        case "STRING":
            return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _boolean(text: str) -> bool:
    word = text.strip().lower()
    if word not in YES + NO:
        raise ValueError(f"this input is on or off; write one of {', '.join(YES + NO)}")
    return word in YES


def _whole(text: str) -> int:
    try:
        return int(text.strip())
    except ValueError:
        raise ValueError(f"'{_short(text)}' is not a whole number") from None


def _finite(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"'{_short(text)}' is not a finite number")
    return value


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:40]}..."
