"""Recognising what ends up under a weight file's name and is none."""

import os
import re

from ..errors import BetwixtError
from .torch_archive import ZIP, entry_names


def refuse_other_files(path: str) -> None:
    """Recognise by their first bytes the things that end up under a weight file's name.

    Raises:
        BetwixtError: the file is none that weights can be read from; says what it is.
    """
    kind, remedy = _foreign_kind(path)
    if kind:
        raise BetwixtError(
            f"'{os.path.basename(path)}' is {kind}.",
            "A complete .safetensors file or a PyTorch file that holds tensors only is needed.",
            f"{remedy}: {path}",
        )


def _foreign_kind(path: str) -> tuple[str | None, str]:
    """What else the file is, or None, and what to do about it."""
    size, again = os.path.getsize(path), "Download the file again"
    with open(path, "rb") as file:
        head = file.read(4096)
    named_safetensors = path.lower().endswith((".safetensors", ".sft"))
    if size == 0:
        return "empty", again
    if not head.strip(b"\0"):
        return "filled with zeros (an interrupted download)", again
    if head.lstrip()[:1] == b"<":
        return "a web page, not the file it is named after", again
    if head.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the file itself", "Download the file itself, or run 'git lfs pull'"
    if re.match(rb"\x08.[\x12\x1a\x2a\x3a\x42]", head, re.DOTALL):  # ir_version, then producer, graph or opset
        return "an ONNX model", "Choose the PyTorch file"
    if head[:4] == b"GGUF":
        return "a GGUF file", "Choose the unquantised file"
    if not named_safetensors and head[8:9] == b"{" and int.from_bytes(head[:8], "little") < size:
        return "a safetensors file under another ending", "Rename it so that it ends in .safetensors"
    if named_safetensors and head[:2] in (b"PK", b"\x80\x02"):
        return "a PyTorch file under a safetensors name", "Rename it so that it ends in .pth"
    if head[:2] == b"\x1f\x8b" or head[257:262] == b"ustar":
        return "an archive", "Unpack it and choose the weight file inside"
    return _foreign_zip(path) if head[: len(ZIP)] == ZIP else (None, "")


def _foreign_zip(path: str) -> tuple[str | None, str]:
    """As :func:`_foreign_kind` for what zip archives can be; a damaged one passes, for the reader to complain about."""
    try:
        names = {name.rpartition("/")[2] for name in entry_names(path)}
    except Exception:
        return None, ""
    if "constants.pkl" in names:
        return "a TorchScript program, which holds code", "Choose the file with the weights alone"
    if "data.pkl" not in names:
        return "a zip archive", "Unpack it and choose the weight file inside"
    return None, ""
