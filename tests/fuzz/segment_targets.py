"""Segment files of 'Save Segment': their bytes, their header, their manifest, and values of other kinds and sizes."""

import hashlib
import json
import random
import struct
from functools import cache
from pathlib import Path

import numpy as np

from .json_mutators import damaged_json
from .mutators import damaged
from .target import Target

ABOUT = {"betwixt": "1.0.0", "comfyui": "0.30.0", "device": "cpu", "graph": "0" * 64, "threads": 1, "torch": "2.9"}
DTYPES = {"F32": 4, "F64": 8, "F16": 2, "BF16": 2, "F8_E4M3": 1, "U8": 1, "I64": 8, "BOOL": 1}
SHAPES = ((), (0,), (2, 4, 5, 3), (0, 4, 5, 3), (2, 0, 5, 3), (2, 4, 5, 4), (2, 4, 5), (3, 4, 5), (1, 2, 3, 4, 3))


def _written(values: dict[str, tuple[str, tuple[int, ...], bytes]], manifest: str | None) -> tuple[dict, bytes]:
    """(header, data) of a .safetensors file: name -> dtype, shape, bytes."""
    header, data = {} if manifest is None else {"__metadata__": {"segment": manifest}}, b""
    for name, (dtype, shape, content) in values.items():
        ends = [len(data), len(data) + len(content)]
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": ends}
        data += content
    return header, data


def _file(header: bytes, data: bytes) -> bytes:
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header + data


def _digest(values: dict[str, tuple[str, tuple[int, ...], bytes]]) -> str:
    digest = hashlib.sha256()
    for name in sorted(values):
        digest.update(f"{name} {list(values[name][1])}".encode("utf-8", "surrogatepass") + values[name][2])
    return digest.hexdigest()


@cache
def _sound(masked: bool) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    noise = np.random.default_rng(0)
    shapes = {"frames": (2, 4, 5, 3)} | ({"mask": (2, 4, 5)} if masked else {})
    return {name: ("F32", shape, noise.random(shape, np.float32).tobytes()) for name, shape in shapes.items()}


def _other_values(draws: random.Random) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """Under the right names: another shape, another kind, NaN; or one name too many or too few."""
    values = dict(_sound(True))
    for _ in range(draws.choice((1, 1, 2))):
        name = draws.choice(("frames", "frames", "mask", "mask", "other", "\ud83d", ""))
        if draws.random() < 0.15:
            values.pop(name, None)
            continue
        dtype, shape = draws.choice(list(DTYPES)), draws.choice(SHAPES)
        fill = draws.choice((b"\x00", b"\xff", b"\x7f", b"\x01\x80"))
        length = DTYPES[dtype] * int(np.prod(shape, dtype=int))
        values[name] = (dtype, shape, (fill * length)[:length])
    return values


def _case(draws: random.Random) -> bytes:
    values = _sound(draws.random() < 0.5)
    manifest = {**ABOUT, "frames": [2, 4, 5, 3], "sha256": _digest(values)}
    kind = draws.random()
    if kind < 0.3:  # a manifest that says something else
        header, data = _written(values, damaged_json(manifest, draws).decode("latin-1"))
        return _file(json.dumps(header).encode(), data)
    if kind < 0.55:  # values that are something else, under a right sum
        values = _other_values(draws)
        header, data = _written(values, json.dumps(manifest | {"sha256": _digest(values)}))
        return _file(json.dumps(header, ensure_ascii=False).encode("utf-8", "surrogatepass"), data)
    header, data = _written(values, json.dumps(manifest) if draws.random() < 0.9 else None)
    if kind < 0.75:
        return _file(damaged_json(header, draws), data)
    return damaged(_file(json.dumps(header).encode(), data), draws)


def _read(path: Path) -> None:
    from betwixt.common.files.segments import read_segment, segment_path, write_segment

    segment = read_segment(str(path))
    if segment.mask is not None and segment.mask.shape != segment.frames.shape[:3]:
        raise AssertionError("a mask that does not fit")
    again = segment_path(str(path.parent), "again", 1)
    write_segment(again, segment.frames, segment.mask, segment.about)
    read_segment(again)


TARGETS = {"segments": Target(_case, _read, ".safetensors", ("betwixt.common.files.segments",))}
