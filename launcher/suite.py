"""``betwixt.py test``: style, types, all tests, the oldest ComfyUI; each computes with one thread."""

import os
import subprocess
import sys
import time
from pathlib import Path

from .browser import find_browser
from .console import say
from .failures import Failure
from .folders import PACK

ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS", "NUMBA")}
MOST_WORKERS = 4  # each may start a server of its own: about 1.5 GB
FRONTEND_LEFT_OUT = "The frontend tests were NOT run (--no-frontend)."


def check_complete(args) -> None:
    """Refuse to start without the browser unless told to leave the frontend tests out."""
    if not args.no_frontend and find_browser() is None:
        raise Failure(
            "The frontend tests need Chromium, and none was found. Install it (Debian, Ubuntu: 'apt install chromium' "
            "or 'chromium-browser'), or leave those tests out with: python3 betwixt.py test --no-frontend"
        )


def checks(args) -> dict[str, list[str]]:
    """Name -> arguments of the interpreter, in the order they run."""
    left_out = {"frontend": args.no_frontend, "long": not args.long}
    chosen = " and ".join(f"not {marker}" for marker, out in left_out.items() if out)
    side_by_side = ["-n", str(min(os.cpu_count() or 1, MOST_WORKERS)), "--dist", "loadfile", "--no-loadscope-reorder"]
    return {
        "ruff check": ["-m", "ruff", "check", "."],
        "ruff format": ["-m", "ruff", "format", "--check", "."],
        "types": ["-m", "tools.check_types"],
        "pytest": ["-m", "pytest", "tests", *side_by_side, "-m", chosen],
        "oldest ComfyUI": ["-m", "tools.host_matrix", "--hosts", "floor"],
    }


def test(args, host: Path) -> int:
    """The command. ``args``: no_frontend, long. Returns 0 if everything passed, else 1."""
    environment = {**os.environ, **ONE_THREAD, "COMFYUI_PATH": str(host)}
    began, failed = time.monotonic(), []
    for name, arguments in checks(args).items():
        say(f"== {name}")
        if subprocess.run([sys.executable, *arguments], cwd=PACK, env=environment, check=False).returncode:
            failed.append(name)
    if args.no_frontend:
        say(FRONTEND_LEFT_OUT)
    verdict = f"FAILED: {', '.join(failed)}" if failed else f"passed: {', '.join(checks(args))}"
    say(f"Betwixt's tests {verdict} ({time.monotonic() - began:.0f} s)")
    return 1 if failed else 0
