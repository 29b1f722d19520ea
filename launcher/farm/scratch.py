"""Temporary folders that the next one to need some removes, if the process that made them was killed."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def scratch_folder(prefix: str, place: str | None = None) -> Iterator[Path]:
    """A temporary folder of this process, named ``prefix`` + process id; those of dead processes are removed before.

    Args:
        place: the folder it lies in; default: that for temporary files.
    """
    place = place or tempfile.gettempdir()
    _remove_orphans(prefix, Path(place))
    name = f"{prefix}{os.getpid()}-"
    with tempfile.TemporaryDirectory(prefix=name, dir=place, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _remove_orphans(prefix: str, place: Path) -> None:
    for path in place.glob(f"{prefix}*"):
        made_by = re.match(r"([0-9]+)-", path.name.removeprefix(prefix))
        if made_by and not is_alive(int(made_by[1])):
            shutil.rmtree(path, ignore_errors=True)


def is_alive(process: int) -> bool:
    """Whether a process of that id runs on this machine; True where that cannot be told."""
    if os.name == "nt":  # there the call would end it
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True  # somebody else's
    return True
