"""Weights for golden cases, made again from parameter names and shapes alone.

A manifest is a JSON object ``{key: {"shape": [...], "dtype": "F32"}}`` with exactly the keys of a published
checkpoint file, or of a narrower version of the same network.
"""

import gzip
import json
import math
import zlib
from pathlib import Path

import torch

_DTYPES = {
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F64": torch.float64,
    "I64": torch.int64,
    "I32": torch.int32,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


def fill(key: str, shape, dtype: str = "F32") -> torch.Tensor:
    """The synthetic tensor for ``key``: a pure function of key, shape and dtype."""
    shape = tuple(shape)
    target = _DTYPES[dtype]
    if not target.is_floating_point:
        return torch.zeros(shape, dtype=target)
    generator = torch.Generator("cpu").manual_seed(zlib.crc32(key.encode()))
    values = torch.randn(shape, generator=generator, dtype=torch.float32)
    leaf = key.rsplit(".", 1)[-1]
    if leaf == "running_var":
        values = 1.0 + 0.1 * values.abs()
    elif leaf == "running_mean":
        values = 0.1 * values
    elif len(shape) >= 2:
        values = values / math.sqrt(max(1, math.prod(shape[1:])))
    elif leaf == "weight" or leaf == "gamma":
        values = 1.0 + 0.1 * values
    elif leaf == "bias" or leaf == "beta":
        values = 0.02 * values
    else:
        values = 0.5 * values
    return values.to(target)


def state_dict(manifest: dict) -> dict:
    """All tensors of a manifest, as ``{key: tensor}``."""
    return {key: fill(key, entry["shape"], entry.get("dtype", "F32")) for key, entry in manifest.items()}


def load_manifest(path: str | Path) -> dict:
    """A manifest file, plain or gzipped."""
    opener = gzip.open if str(path).endswith(".gz") else open
    with opener(path, "rt", encoding="utf-8") as handle:
        return json.load(handle)


def manifest_of(tensors: dict) -> dict:
    """The manifest of an existing state dict (the inverse of :func:`state_dict`)."""
    names = {v: k for k, v in _DTYPES.items()}
    return {
        key: {"shape": list(value.shape), "dtype": names[value.dtype]}
        for key, value in tensors.items()
        if isinstance(value, torch.Tensor)
    }
