"""Recognising by its first bytes what ends up under a model file's name and is none."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import BetwixtError
from .torch_archive import ZIP, entry_names

HEAD = 4096  # bytes that are enough
AGAIN, UNPACK = "Download the file again", "Unpack it and choose the weight file inside"


@dataclass(frozen=True)
class Foreign:
    """A kind of file: its name for the user, what to do about it, and whether a file begins like one.

    Attributes:
        begins: (first bytes of the file, its size) -> whether it is of this kind.
    """

    kind: str
    remedy: str
    begins: Callable[[bytes, int], bool]


# ir_version, then producer, graph or opset
ONNX = Foreign(
    "an ONNX model",
    "Choose the PyTorch file",
    lambda head, size: bool(re.match(rb"\x08.[\x12\x1a\x2a\x3a\x42]", head, re.DOTALL)),
)
SAFETENSORS = Foreign(
    "a safetensors file",
    "Rename it so that it ends in .safetensors",
    lambda head, size: head[8:9] == b"{" and int.from_bytes(head[:8], "little") < size,
)
ZIP_ARCHIVE = Foreign(
    "a PyTorch or zip file", "Rename it so that it ends in .pth", lambda head, size: head.startswith(ZIP)
)
PICKLE = Foreign("a Python pickle", "Rename it so that it ends in .pth", lambda head, size: head[:2] == b"\x80\x02")
# Every kind that is recognised; the first that fits counts.
KINDS = (
    Foreign("empty", AGAIN, lambda head, size: size == 0),
    Foreign("filled with zeros (an interrupted download)", AGAIN, lambda head, size: not head.strip(b"\0")),
    Foreign("a web page, not the file it is named after", AGAIN, lambda head, size: head.lstrip()[:1] == b"<"),
    Foreign(
        "a Git LFS pointer, not the file itself",
        "Download the file itself, or run 'git lfs pull'",
        lambda head, size: head.startswith(b"version https://git-lfs"),
    ),
    ONNX,
    Foreign("a GGUF file", "Choose the unquantised file", lambda head, size: head[:4] == b"GGUF"),
    SAFETENSORS,
    ZIP_ARCHIVE,
    PICKLE,
    Foreign("an archive", UNPACK, lambda head, size: head[:2] == b"\x1f\x8b" or head[257:262] == b"ustar"),
    Foreign("a JSON file", AGAIN, lambda head, size: head.lstrip()[:1] == b"{"),
)


def recognised(path: str) -> Foreign | None:
    """What a file begins like, of :data:`KINDS`."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        head = file.read(HEAD)
    return next((foreign for foreign in KINDS if foreign.begins(head, size)), None)


def refuse_other_files(path: str) -> None:
    """Refuse, by a BetwixtError that says what it is, a file without weights or with the other format's ending."""
    kind, remedy = _instead_of_weights(path)
    if kind:
        raise BetwixtError(
            f"'{os.path.basename(path)}' is {kind}.",
            "A complete .safetensors file or a PyTorch file that holds tensors only is needed.",
            f"{remedy}: {path}",
        )


def _instead_of_weights(path: str) -> tuple[str | None, str]:
    """What the file is instead of a weight file under its right name, or None, and what to do about it."""
    found, named_safetensors = recognised(path), path.lower().endswith((".safetensors", ".sft"))
    if found is None:
        return None, ""
    if found is SAFETENSORS:
        return (None, "") if named_safetensors else (f"{found.kind} under another ending", found.remedy)
    if found not in (ZIP_ARCHIVE, PICKLE):
        return found.kind, found.remedy
    if named_safetensors:
        return "a PyTorch file under a safetensors name", found.remedy
    return _foreign_zip(path) if found is ZIP_ARCHIVE else (None, "")


def _foreign_zip(path: str) -> tuple[str | None, str]:
    """What zip archives can be instead; a damaged one passes, for the reader to complain about."""
    try:
        names = {name.rpartition("/")[2] for name in entry_names(path)}
    except Exception:
        return None, ""
    if "constants.pkl" in names:
        return "a TorchScript program, which holds code", "Choose the file with the weights alone"
    return (None, "") if "data.pkl" in names else ("a zip archive", UNPACK)
