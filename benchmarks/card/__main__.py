"""The card's measurements, each part in turn, in a process that is started anew if it dies.

``python -m benchmarks.card [--tiny] [--out FOLDER] [--parts ...] [--minutes 8] [--profile]``; ComfyUI's tree is taken
from COMFYUI_PATH or the cache. A fault of the card leaves a process unusable, so the parts run in another one; what
failed is noted and the rest goes on.
"""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from benchmarks.card import options
from benchmarks.card.options import PARTS
from benchmarks.card.results import LEFT_OUT, Results


def main() -> int:
    chosen = options.parsed()
    chosen.out.mkdir(parents=True, exist_ok=True)
    path = chosen.out.resolve() / "card.json"
    if chosen.measure:
        threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
        if chosen.measure == "dynamic":  # its library is to be there before the host's modules look for it
            import comfy_aimdo.control

            comfy_aimdo.control.init(nvml_pressure=True)
        from benchmarks.card import worker

        worker.work(chosen, Results(path))
        return 0
    path.unlink(missing_ok=True)
    until, failed = time.monotonic() + 60 * chosen.minutes, 0
    dynamic = [] if chosen.tiny else chosen.dynamic_parts
    first = [part for part in chosen.parts if not dynamic or part not in options.LAST]
    for memory, parts in (("plain", first), ("dynamic", dynamic), ("plain", chosen.parts)):
        while left := [part for part in parts if Results(path).state_of(part, memory) is None]:
            if until - time.monotonic() < min(PARTS[part].expected(chosen.tiny) for part in left):
                results = Results(path)
                for part in left:
                    results.state(part, memory, f"{LEFT_OUT}: the time is over")
                break
            failed += not _measured(memory, left, until, path)
    wrong = Results(path).failed()
    print("\n".join([*Results(path).left_out(), *(wrong or ["Nothing failed."])]))
    print(f"The tables are in {path}.")
    return 1 if wrong or failed else 0


def _end_with(parent: int) -> None:
    """What belongs to a run that was killed shall not go on, and hold a card."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(4)


def _measured(memory: str, parts: list[str], until: float, path: Path) -> bool:
    """Run the parts in a process; True if it came to its end."""
    own = [argument for argument in sys.argv[1:] if argument in ("--tiny", "--quick", "--profile")]
    command = [sys.executable, "-m", "benchmarks.card", "--measure", memory, "--until", str(until), *own]
    command += ["--out", str(path.parent), "--parts", *parts]
    process = subprocess.Popen(command)
    try:
        code = process.wait(timeout=max(until - time.monotonic(), 1.0))
        end = f"the process ended with {code}"
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        code, end = 1, "out of time"
    results = Results(path)
    for part in parts:
        if results.state_of(part, memory) == "begun":
            results.state(part, memory, end)
    if results.state_of(parts[0], memory) is None:  # it died before it began
        results.state(parts[0], memory, end)
    return code == 0


if __name__ == "__main__":
    sys.exit(main())
