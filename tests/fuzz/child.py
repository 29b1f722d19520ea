"""The process that uses cases: ``python -m tests.fuzz.child`` with a JSON request on its standard input.

The request: ``targets`` (names), ``seed``, ``first`` (number of a case), ``left`` (the targets that still have to use
that case), ``files`` (pairs of target and path) and ``folder`` (for the cases' files). It uses the files, then case
after case for as long as it lives, the targets in turn. After each it writes a line of JSON: outcome, seconds of work,
growth in bytes, error.
"""

import json
import logging
import os
import resource
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

from .targets import Target, case_of, target_named

ADDRESS_SPACE = 12 << 30  # a case that asks for more gets a MemoryError


def peak() -> int:
    """Bytes; since the last :func:`forget_peak`."""
    with open("/proc/self/status") as status:
        return int(next(line for line in status if line.startswith("VmHWM")).split()[1]) * 1024


def forget_peak() -> None:
    with open("/proc/self/clear_refs", "w") as control:
        control.write("5")


def use(target: Target, path: Path) -> dict:
    """Outcome of one case: "passed", "refused" (the error of the pack or its launcher) or "exception"."""
    from betwixt.common.errors import BetwixtError
    from betwixt.launcher.failures import Failure

    forget_peak()
    before, began = peak(), time.process_time()  # on a busy machine the clock on the wall says little
    outcome, text = "passed", ""
    try:
        target.use(path)
    except (BetwixtError, Failure):
        outcome = "refused"
    except Exception as error:
        outcome = "exception"
        text = f"{type(error).__name__}: {error}"[:300] + "\n" + traceback.format_exc()[-1200:]
    return {"outcome": outcome, "seconds": time.process_time() - began, "growth": peak() - before, "error": text}


def main() -> None:
    request = json.load(sys.stdin)
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    report = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # libraries write to the standard output too
    for name in request["targets"]:
        target_named(name).prepare(Path(tempfile.mkdtemp(dir=request["folder"])))
    for name, path in request["files"]:
        print(json.dumps(use(target_named(name), Path(path))), file=report)
    number, left = request["first"], request["left"]
    while True:
        for name in left:
            target = target_named(name)
            path = Path(request["folder"]) / f"case{target.suffix}"
            path.write_bytes(case_of(name, request["seed"], number))
            print(json.dumps(use(target, path)), file=report)
        number, left = number + 1, request["targets"]


if __name__ == "__main__":
    main()
