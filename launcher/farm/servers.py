"""ComfyUI servers whose input folder is a farm's."""

import glob
import hashlib
import json
import platform
import socket
import sys
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...common.files.file_hash import sha256_of
from ..answers import Shape
from ..client import Client
from ..folders import cache_folder
from ..server import Server
from .folder import Folder, write_json
from .scratch import scratch_folder

SCRATCH = "betwixt-farm-"
SYSTEM_STATS: Shape = {
    "system": {"pytorch_version": str, "comfyui_version": str},
    "devices": [{"type": str, "name": str, "vram_total": (int, float)}],
}


class FarmServer(Server):
    """With the folder it writes to."""

    results: Path


@contextmanager
def farm_server(
    folder: Folder,
    host: Path,
    base: Path,
    log: Path,
    threads: int | None = None,
    python: str = sys.executable,
    kind: type[FarmServer] = FarmServer,
) -> Iterator[FarmServer]:
    """A server that reads the farm's input folder and writes to ``server.results``.

    Pictures and videos hold no metadata: they would be those of the join's graph; the plan keeps the workflow's.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    # Results in the farm's folder: they are moved into place, not copied.
    with scratch_folder(SCRATCH) as scratch, scratch_folder(f".{socket.gethostname()}-", str(folder.out)) as results:
        server = kind(
            host,
            models=[base / "models"],
            threads=threads,
            log=log,
            arguments=[
                "--input-directory",
                str(folder.input.resolve()),
                "--output-directory",
                str(results.resolve()),
                "--disable-metadata",
            ],
            python=python,
            scratch=scratch,
        )
        server.results = results
        with server:
            yield server


def device_of(stats: dict) -> dict:
    """{"device", "memory"}: what a server with these ``SYSTEM_STATS`` computes on, and that card's memory in GB (0 on
    the CPU)."""
    card = (stats.get("devices") or [{}])[0]
    on_card = card.get("type") not in (None, "cpu")
    name = str(card.get("name", "cpu")) if on_card else f"cpu ({platform.machine()})"
    return {"device": name, "memory": (card.get("vram_total") or 0) / 1e9 if on_card else 0.0}


def model_files(client: Client) -> set[str]:
    """The names of all model files that a server sees, in all its folders."""
    names: set[str] = set()
    for kind in client.names("/models"):
        names |= set(client.names(f"/models/{urllib.parse.quote(kind)}"))
    return names


def model_hashes(base: Path, names: list[str]) -> dict[str, str]:
    """SHA-256 of model files below ``base``; remembered by path, size and time, since they are large."""
    memory = cache_folder() / "model_hashes.json"
    try:
        known = json.loads(memory.read_text("utf-8"))
    except (OSError, ValueError):
        known = {}
    known = known if isinstance(known, dict) else {}
    found, changed = {}, False
    for name in names:
        path = next((path for path in sorted((base / "models").glob(f"*/{glob.escape(name)}"))), None)
        if path is None:
            continue
        state = path.stat()
        key = hashlib.sha256(f"{path}\0{state.st_size}\0{state.st_mtime_ns}".encode()).hexdigest()
        if key not in known:
            known[key], changed = sha256_of(str(path)), True
        found[name] = known[key]
    if changed:
        memory.parent.mkdir(parents=True, exist_ok=True)
        write_json(memory, known)
    return found
