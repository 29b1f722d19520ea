"""Damage to JSON: values inside it are replaced, moved, nested or left out, or its text is damaged."""

import json
import random

from .mutators import damaged

JSON_ALPHABET = b'{}[]",:0123456789.-+eE\\/ \n\tntfu\x00\xff\xc3\xe2'
ODD = (
    *(None, True, False, 0, -1, 2, 0.5, 1e308, -1e308, 1e-320, 10**18, 10**30, float("nan"), float("inf")),
    *("", " ", "0", "x", "²", "\ud83d", "\x00", "../../x", "/x", "a" * 5000, [], {}, [[]], [{}], [None], {"": None}),
    *(["1", 0], [0] * 1000, [1, 2, 3], {"x": 1, "y": 2}, {"prompt": {}}, {"__class__": "x"}),
)


def damaged_json(value: object, draws: random.Random) -> bytes:
    """The bytes of a JSON file: mostly well-formed, with one to eight values that are not meant."""
    for _ in range(draws.choice((1, 1, 1, 2, 3, 8))):
        value = _changed(value, draws)
    text = json.dumps(value, ensure_ascii=draws.random() < 0.9)
    if draws.random() < 0.02:
        depth = draws.choice((50, 400, 900, 5000, 100_000))
        text = "[" * depth + text + "]" * depth
    data = text.encode("utf-8", "surrogatepass")
    if draws.random() < 0.05:
        data = draws.choice((b"\xef\xbb\xbf", b"\xff\xfe", b"\x00")) + data
    return damaged(data, draws, JSON_ALPHABET) if draws.random() < 0.25 else data


def _changed(value: object, draws: random.Random) -> object:
    """A copy with one change somewhere inside; deep places are as likely as shallow ones."""
    if isinstance(value, dict | list) and value and draws.random() < 0.85:
        copy = value.copy()
        place = draws.choice(list(copy)) if isinstance(copy, dict) else draws.randrange(len(copy))
        copy[place] = _changed(copy[place], draws)
        return copy
    kind = draws.randrange(7)
    if kind == 0 and isinstance(value, dict) and value:
        left_out = draws.choice(list(value))
        return {name: part for name, part in value.items() if name != left_out}
    if kind == 1 and isinstance(value, list):
        return value * draws.choice((0, 2, 20))
    if kind == 2 and isinstance(value, dict | list):
        return list(value.values()) if isinstance(value, dict) else {str(n): part for n, part in enumerate(value)}
    if kind == 3 and isinstance(value, int | float) and not isinstance(value, bool):
        return draws.choice((-value, value + 1, value * 1000, value / 7, str(value), [value]))
    if kind == 4:
        return draws.choice(([value], {"x": value}, [value, value]))
    return draws.choice(ODD)
