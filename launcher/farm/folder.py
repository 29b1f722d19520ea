"""A farm's output folder: the plan, the inputs, the finished units; what is there counts only if it verifies."""

import contextlib
import datetime
import hashlib
import json
import os
import re
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from ...common.files.file_hash import sha256_of
from ..failures import Failure, UsageMistake
from ..folders import try_lock
from .scratch import is_alive

PLAN = "plan.json"
DEEPEST = 100
SEGMENTS = "segments"  # subfolder of the servers' input and output folders


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
            for folder in (self.out, self.input, self.input / SEGMENTS, self.units, self.logs):
                folder.mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryFile(dir=folder) as trial:
                    trial.write(b"0")
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
                holder = "another process"
                with contextlib.suppress(OSError, ValueError):
                    holder = (self.out / ".holder").read_text("utf-8")[:100]
                raise Failure(f"{self.out} is in use by {holder}. Wait for its end, stop it, or use another folder.")
            with contextlib.suppress(OSError):  # a full disk; the lock is what counts
                (self.out / ".holder").write_text(f"'farm {doing}' (process {os.getpid()})", "utf-8")
            yield

    def manifest(self, unit: int) -> Path:
        return self.units / f"{unit:04d}.json"

    def path_of(self, name: str) -> Path:
        """Of a result file, by its name in a manifest."""
        return self.out / name

    def remove_leftovers(self) -> None:
        """Remove half-written files of processes of this machine that were killed."""
        for place in (self.out, self.units, self.input / SEGMENTS, *self.units.glob("*/files")):
            for path in place.glob(".*.tmp"):
                made_by = re.search(r"\.([0-9]+)\.tmp$", path.name)
                if made_by and path.name.endswith(_ending(made_by[1])) and not is_alive(int(made_by[1])):
                    path.unlink(missing_ok=True)


def _ending(process: object) -> str:
    return f".{socket.gethostname()}.{process}.tmp"


@contextlib.contextmanager
def appearing(path: Path) -> Iterator[BinaryIO]:
    """A file to write that appears under its name complete or not at all.

    Raises:
        Failure: it cannot be written, with what to do.
    """
    temporary = path.with_name(f".{path.name}{_ending(os.getpid())}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)
        with open(temporary, "xb") as file:  # never through a link that somebody put there
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise Failure(
            f"{path} cannot be written ({error.strerror or error}). Make room there or get the right to write, and run "
            "the same command again: what is finished is kept."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_json(path: Path, value: object) -> None:
    """Write a JSON file as a whole."""
    with appearing(path) as file:
        file.write(json.dumps(value, indent=1, sort_keys=True).encode())


def place_file(source: Path, target: Path) -> str:
    """Copy a file to its place as a whole; its SHA-256."""
    digest = hashlib.sha256()
    with open(source, "rb") as read, appearing(target) as written:
        while block := read.read(1 << 22):
            digest.update(block)
            written.write(block)
    return digest.hexdigest()


def move_file(source: Path, target: Path) -> str:
    """Move a file to its place, as a whole; its SHA-256. Another file system costs a copy."""
    digest = sha256_of(str(source))
    try:
        with open(source, "rb+") as file:
            os.fsync(file.fileno())
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(source, target)
    except OSError:
        digest = place_file(source, target)
        source.unlink()
    return digest


def read_json(path: Path, most: int) -> Any:
    """What a JSON file holds.

    Args:
        most: bytes that it may have.

    Raises:
        OSError, ValueError: it cannot be read.
    """
    if path.exists() and not path.is_file():
        raise ValueError("it is no file")
    with open(path, "rb") as file:
        contents = file.read(most + 1)
    if len(contents) > most:
        raise ValueError(f"it has more than {most // 1_000_000} MB")
    try:
        value = json.loads(contents)
    except RecursionError:
        raise ValueError("it is nested far too deeply") from None
    if is_deep(value):
        raise ValueError("it is nested far too deeply")
    return value


def is_deep(value: object) -> bool:
    """Whether parsed JSON is nested more deeply than anything that people write."""
    level = [value]
    for _ in range(DEEPEST):
        inner = [part.values() if isinstance(part, dict) else part for part in level if isinstance(part, dict | list)]
        level = [one for part in inner for one in part]
        if not level:
            return False
    return True


def is_inside(name: str) -> bool:
    """Whether a name with slashes stays inside the folder it is put below, on every system."""
    parts = re.split(r"[/\\]", name)
    return name.isprintable() and not any(part in ("", ".", "..") or ":" in part for part in parts)


def now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
