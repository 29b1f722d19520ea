"""A farm's output folder: the plan, the inputs, the finished units; what is there counts only if it verifies."""

import contextlib
import datetime
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from ...common.files.file_hash import sha256_of
from ..failures import Failure, UsageMistake
from ..folders import try_lock

PLAN = "plan.json"


class Folder:
    """Where things are in ``out``:

    ``plan.json``; ``input/``, the servers' input folder, with the input files and the segments of finished units;
    ``units/0001.json``, the manifest of each finished unit; ``units/0001/``, the files of a unit that is a whole
    workflow; ``output/``, what the join makes; ``logs/``.
    """

    def __init__(self, out: Path):
        self.out = out
        self.plan, self.input, self.output = out / PLAN, out / "input", out / "output"
        self.units, self.logs = out / "units", out / "logs"

    def make(self) -> None:
        """Make the folders. Raises ``UsageMistake`` where nothing can be written."""
        try:
            for folder in (self.input, self.units, self.logs):
                folder.mkdir(parents=True, exist_ok=True)
            trial = self.out / f".trial.{os.getpid()}"
            trial.write_bytes(b"0")
            trial.unlink()
        except OSError as error:
            raise UsageMistake(
                f"{self.out}: nothing can be written there ({error.strerror or error}). Name another folder, or make "
                "room or get the right to write."
            ) from error

    @contextlib.contextmanager
    def locked(self, doing: str) -> Iterator[None]:
        """Be the only one that plans, runs or joins here; the lock ends with the process.

        Raises:
            Failure: another process does so.
        """
        path = self.out / ".lock"
        with open(path, "a+b") as file:
            if not try_lock(file):
                path_of_holder = self.out / ".holder"
                holder = path_of_holder.read_text("utf-8") if path_of_holder.exists() else "another process"
                raise Failure(f"{self.out} is in use by {holder}. Wait for its end, stop it, or use another folder.")
            (self.out / ".holder").write_text(f"'farm {doing}' (process {os.getpid()})", "utf-8")
            yield

    def manifest(self, unit: int) -> Path:
        return self.units / f"{unit:04d}.json"

    def path_of(self, name: str) -> Path:
        """Of a result file, by its name in a manifest."""
        return self.out / name


def write_json(path: Path, value: object) -> None:
    """Write a file that appears complete or not at all."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump(value, file, indent=1, sort_keys=True)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def place_file(source: Path, target: Path) -> str:
    """Copy a file to its place under a temporary name and rename it; its SHA-256."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f"{target.name}.{os.getpid()}.tmp")
    digest = hashlib.sha256()
    try:
        with open(source, "rb") as read, open(temporary, "wb") as written:
            while block := read.read(1 << 22):
                digest.update(block)
                written.write(block)
            written.flush()
            os.fsync(written.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    return digest.hexdigest()


def fault_of(folder: Folder, unit: int, graph: str) -> str | None:
    """Why a unit does not count as finished, or None if it does.

    Args:
        graph: the hash of its graph.
    """
    try:
        manifest = json.loads(folder.manifest(unit).read_text("utf-8"))
    except FileNotFoundError:
        return "not made yet"
    except (OSError, ValueError) as error:
        return f"its manifest cannot be read ({error})"
    if manifest.get("graph") != graph:
        return "made from another graph"
    for name, file in manifest["files"].items():
        path = folder.path_of(name)
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != file["bytes"] or sha256_of(str(path)) != file["sha256"]:
            return f"{name} is damaged"
    return None


def now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
