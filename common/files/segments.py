"""Segment files: the frames of a piece of a clip without loss, with a manifest, to go on with later or elsewhere.

A .safetensors file with float32 ``frames`` [N, H, W, 3] and, where there is one, ``mask`` [N, H, W]. Its metadata hold
one text, ``segment``: JSON with the SHA-256 of the values and whatever the writer says about where they come from.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ..errors import BetwixtError

NUMBERED = re.compile(r"_([0-9]{5,9})\.safetensors")
HIGHEST = 999_999_999


@dataclass(frozen=True)
class Segment:
    """The frames of a piece of a clip.

    Attributes:
        frames: float32 [N, H, W, 3]; mask: float32 [N, H, W] or None.
        about: the manifest.
    """

    frames: torch.Tensor
    mask: torch.Tensor | None
    about: Mapping


def segment_path(folder: str, name: str, number: int) -> str:
    """Where segment ``number`` of that ``name`` is, or will be."""
    return os.path.join(folder, f"{name}_{number:05d}.safetensors")


def numbers_of(folder: str, name: str) -> list[int]:
    """The numbers of the segments of a name that are there, ascending."""
    found = [NUMBERED.fullmatch(entry[len(name) :]) for entry in _entries(folder) if entry.startswith(f"{name}_")]
    return sorted(int(match[1]) for match in found if match)


def _entries(folder: str) -> list[str]:
    return os.listdir(folder) if os.path.isdir(folder) else []


def write_segment(path: str, frames: torch.Tensor, mask: torch.Tensor | None, about: Mapping) -> dict:
    """Write a segment; the file appears complete or not at all, and replaces one of that name.

    Args:
        frames: float [N, H, W, 3]; mask: float [N, H, W] or None.
        about: joins the manifest; anything that JSON can express.

    Returns:
        The manifest.
    """
    values = {"frames": frames.detach().float().cpu().contiguous()}
    if mask is not None:
        values["mask"] = mask.detach().float().cpu().contiguous()
    manifest = {**about, "frames": list(frames.shape), "sha256": _digest(values)}
    temporary = Path(f"{path}.{os.getpid()}.tmp")
    try:
        save_file(values, temporary, {"segment": json.dumps(manifest, sort_keys=True)})
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return manifest


def read_segment(path: str) -> Segment:
    """A segment as it was written.

    Raises:
        BetwixtError: a file that is damaged, or none of this kind.
    """
    name = os.path.basename(path)
    try:
        with safe_open(path, "pt") as file:
            manifest = dict(json.loads((file.metadata() or {})["segment"]))
            values = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        frames, mask = values["frames"], values.get("mask")
        if any(tensor.dtype != torch.float32 or tensor.numel() == 0 for tensor in values.values()):
            raise ValueError("values that are not float32, or none at all")
        if frames.ndim != 4 or frames.shape[-1] != 3 or (mask is not None and mask.shape != frames.shape[:3]):
            shapes = ", ".join(f"{key} {list(tensor.shape)}" for key, tensor in values.items())
            raise ValueError(shapes[:120])
    except (KeyError, ValueError, SafetensorError, TypeError, OSError, RecursionError) as error:
        raise BetwixtError(
            f"'{name}' is no segment, or not a complete one ({type(error).__name__}: {str(error)[:120]}).",
            "A file that 'Save Segment' wrote is needed.",
            "Make it again.",
        ) from error
    if _digest(values) != manifest.get("sha256"):
        raise BetwixtError(
            f"The values in '{name}' are not those that were written.",
            "They must match the SHA-256 in the file.",
            "The file was damaged on the disk or on its way; make it or copy it again.",
        )
    return Segment(frames, mask, manifest)


def _digest(values: Mapping[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for key in sorted(values):
        digest.update(f"{key} {list(values[key].shape)}".encode())
        digest.update(values[key].numpy().data.cast("B"))
    return digest.hexdigest()
