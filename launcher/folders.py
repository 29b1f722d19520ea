"""Where things are kept."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

PACK = Path(__file__).resolve().parent.parent
TIED = PACK / "launcher" / "tied.py"  # runs a program that ends with the process that started it
PACK_REQUIREMENTS = PACK / "requirements.txt"
ENVIRONMENT = PACK / ".venv"
OWN_BASE = PACK / "comfyui"  # models, input, output and user folders when there is no other ComfyUI installation


def cache_folder() -> Path:
    """``BETWIXT_CACHE``, or a folder of this project below the platform's cache folder."""
    if os.environ.get("BETWIXT_CACHE"):
        return Path(os.environ["BETWIXT_CACHE"]).expanduser().resolve()
    if sys.platform == "win32":
        parent = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        parent = Path.home() / "Library" / "Caches"
    else:
        parent = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return parent / "comfyui-betwixt"


@contextlib.contextmanager
def only_one(path: Path, waiting: str) -> Iterator[None]:
    """Hold the lock file ``path``; print ``waiting`` if another process holds it. It is released if this one dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+b") as file:
        if not _lock(file, wait=False):
            print(waiting, flush=True)
            _lock(file, wait=True)
        yield


def try_lock(file) -> bool:
    """Lock an open file unless another process holds it; whether it is locked now. Closing it releases the lock."""
    return _lock(file, wait=False)


if sys.platform == "win32":
    import msvcrt

    def _lock(file, wait: bool) -> bool:
        while True:
            try:
                file.seek(0)
                msvcrt.locking(file.fileno(), msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
                return True
            except OSError:  # LK_LOCK gives up after ten seconds
                if not wait:
                    return False
else:
    import fcntl

    def _lock(file, wait: bool) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            return False
        return True
