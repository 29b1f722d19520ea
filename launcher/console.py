"""What the commands print while they work."""

import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """A text without what would move the cursor, colour the terminal or not be printable at all: servers, workflows
    and file names may hold anything."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return CONTROL.sub(lambda found: ascii(found[0])[1:-1], text).encode(encoding, "backslashreplace").decode(encoding)


def say(text: str = "") -> None:
    """Print a text of one or several lines."""
    print(printable(text), flush=True)


@contextmanager
def step(title: str) -> Iterator[None]:
    """Announce a step before it begins and say how long it took."""
    say(f"- {title} ...")
    began = time.monotonic()
    yield
    seconds = time.monotonic() - began
    if seconds >= 1:
        say(f"  done in {seconds:.0f} s")
