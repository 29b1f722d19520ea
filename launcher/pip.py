"""Runs pip and says in plain words why it failed."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from .console import say
from .failures import SetupFailed

KEPT_LINES = 40
# What pip prints -> what it means, in the order of checking: a broken network also makes pip say "no matching".
CAUSES = (
    (
        r"No space left on device|Errno 28|WinError 112|not enough space on the disk",
        "the disk is full.",
        "Free some space ({free} are left in {place}) or move the temporary folder with TMPDIR, then run the same "
        "command again: it goes on where it stopped.",
    ),
    (
        r"DO NOT MATCH THE HASHES",
        "the package index delivered another file than the one this release was tested with. It was not used.",
        "Empty pip's cache with '{python} -m pip cache purge' and try again. If it stays so, do not use that index; "
        "COMFYUI_PATH can name a ComfyUI folder that you trust instead.",
    ),
    (
        r"NewConnectionError|Failed to establish|Name or service not known|name resolution|getaddrinfo|"
        r"Connection refused|ConnectionResetError|Connection broken|Read timed out|ReadTimeoutError|"
        r"ConnectTimeoutError|ProxyError|Network is unreachable|SSLError|SSLCertVerificationError|IncompleteRead|"
        r"Remote end closed|HTTP error [45]\d\d|\b(?:403|502|503|504) (?:Client|Server) Error",
        "the package index could not be reached.",
        "Check the network, the proxy and pip's settings ('{python} -m pip config list'), then run the same command "
        "again: it goes on where it stopped.",
    ),
    (
        r"No matching distribution found|Could not find a version that satisfies",
        "the package index has no build of this package for this Python ({version}) and platform.",
        "Use Python 3.11 or 3.12 (remove the folder .venv first), or an index that has the package; "
        "'{python} -m pip config list' shows which one is asked.",
    ),
    (
        r"Permission denied|Errno 13|Access is denied",
        "a file could not be written.",
        "Check that {place} belongs to you and that no program has files in it open.",
    ),
)


def explain(output: str, place: Path, python: str) -> tuple[str, str]:
    """Reason and remedy for what pip (or unpacking) printed when it failed.

    Args:
        place: folder being written to.
        python: interpreter whose pip it was.
    """
    for pattern, reason, remedy in CAUSES:
        if re.search(pattern, output):
            facts = {"place": place, "python": python, "free": free_space(place), "version": sys.version.split()[0]}
            return reason.format(**facts), remedy.format(**facts)
    return (
        "pip ended with an error.",
        "Its last lines are below. After correcting the cause run the same command again.",
    )


def free_space(place: Path) -> str:
    """Free space of the disk that ``place`` (or its nearest existing parent) is on, for people."""
    while not place.exists():
        place = place.parent
    return f"{shutil.disk_usage(place).free / 1e9:.1f} GB"


class Pip:
    """The pip of one interpreter.

    Args:
        python: the interpreter.
        place: folder that is written to, for messages.
        log: file that receives what pip prints to its standard output when there is no terminal to show it on.
    """

    def __init__(self, python: str, place: Path, log: Path):
        self.python, self.place, self.log = python, place, log

    def run(self, title: str, arguments: Sequence[str]) -> None:
        """Run pip with the arguments. Raises ``SetupFailed`` with reason, remedy and pip's last words."""
        succeeded, output = self.attempt(arguments)
        if not succeeded:
            reason, remedy = explain(output, self.place, self.python)
            raise SetupFailed(title, reason, remedy, output)

    def attempt(self, arguments: Sequence[str]) -> tuple[bool, str]:
        """Whether pip succeeded, and the end of its error output."""
        environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", "PIP_USER": "0"}
        environment.pop("PYTHONPATH", None)
        command = [self.python, "-m", "pip", *arguments]
        with open(self.log, "ab") as log:
            process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=None if sys.stdout.isatty() else log,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
            )
            lines: list[str] = []
            for line in process.stderr or ():
                lines = [*lines[1 - KEPT_LINES :], line]
                if "Retrying" in line:
                    say("  " + line.strip()[:200])
            return process.wait() == 0, "".join(lines)
