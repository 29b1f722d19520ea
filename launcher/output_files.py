"""Files that a server says its nodes wrote, and where copies of them may be put."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import IO

PREVIEWS = "previews"  # subfolder for pictures that nodes only show


@dataclass(frozen=True)
class OutputFile:
    """A file a node wrote: ``kind`` is the host's key ("images", "audio"), ``folder`` "output", "temp" or "input"."""

    node: str
    filename: str
    subfolder: str
    folder: str
    kind: str


def output_files(outputs: dict) -> list[OutputFile]:
    """Every file named in a history's outputs, whatever key the node used."""
    return [
        OutputFile(node, entry["filename"], str(entry.get("subfolder", "")), str(entry.get("type", "output")), kind)
        for node, output in outputs.items()
        for kind, entries in output.items()
        if isinstance(entries, list)
        for entry in entries
        if isinstance(entry, dict) and isinstance(entry.get("filename"), str)
    ]


def is_plain_name(name: str) -> bool:
    """Whether a server's file name stays in the folder it is put into: without folder, drive or control characters."""
    special = ':*?"<>|' if os.name == "nt" else ""
    return name not in (".", "..") and bool(re.fullmatch(rf"[^/\\{special}\x00-\x1f\x7f\ud800-\udfff]+", name))


def open_unused(path: Path) -> tuple[Path, IO[bytes]]:
    """A new file of that name, or with a number before its suffix if something is there already."""
    number, free = 1, path
    while True:
        try:
            return free, open(free, "xb")
        except FileExistsError:
            number += 1
            free = path.with_name(f"{path.stem}-{number}{path.suffix}")
