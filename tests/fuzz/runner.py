"""Runs cases in a child process: restarts it where it dies or hangs, and keeps what failed."""

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from .targets import case_of, target_named

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]
CASES = FOLDER / "cases"
SECONDS = 5.0  # of work for a case
PATIENCE = 120.0  # seconds that a child neither works nor waits for a processor until it counts as hanging
GROWTH = 200 << 20  # bytes over the file's size and a tenth
START_SECONDS = 300.0  # of work, for a child's imports and set-up
POLL = 0.5  # seconds
ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS", "NUMBA")}


@dataclass
class Finding:
    """A case that failed: "crash", "hang", "growth" or "exception"."""

    target: str
    case: int | str
    kind: str
    details: str = ""

    def __str__(self) -> str:
        return f"{self.target} {self.case}: {self.kind} {self.details}"


@dataclass
class Result:
    """Counts and findings of one target."""

    target: str
    outcomes: Counter = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    slowest: float = 0.0
    largest_growth: int = 0

    @property
    def cases(self) -> int:
        return sum(self.outcomes.values())

    def join(self, other: "Result") -> None:
        """Add the counts and findings of another run."""
        self.outcomes += other.outcomes
        self.findings += other.findings
        self.slowest = max(self.slowest, other.slowest)
        self.largest_growth = max(self.largest_growth, other.largest_growth)

    def add(self, report: dict, case: int | str, size: int, limit: float) -> None:
        """Count a child's report on a case of ``size`` bytes."""
        kind, seconds, growth = report["outcome"], report.get("seconds", 0.0), report.get("growth", 0)
        self.slowest, self.largest_growth = max(self.slowest, seconds), max(self.largest_growth, growth)
        if growth > 1.1 * size + GROWTH:
            kind = "growth"
        elif seconds > limit:
            kind = "hang"
        self.outcomes[kind] += 1
        if kind not in ("passed", "refused"):
            details = report.get("error") or f"{growth >> 20} MB, {seconds:.1f} s"
            self.findings.append(Finding(self.target, case, kind, details))


class Child:
    """One child and the reports it writes."""

    def __init__(self, request: dict):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.child"],
            cwd=ROOT,
            env={**os.environ, **ONE_THREAD},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.process.stdin.write(json.dumps(request))
        self.process.stdin.close()
        self._lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def report(self, seconds: float, patience: float) -> dict:
        """The next report; {"outcome": "crash"} where the child ends, {"outcome": "hang"} where it works for so many
        ``seconds``, or does nothing for ``patience`` seconds, in which none of its threads waits for a processor."""
        before, queued = self._spent()
        worked, idle = before, 0.0
        while worked - before < seconds and idle < patience:
            with contextlib.suppress(queue.Empty):
                line = self._lines.get(timeout=POLL)
                return {"outcome": "crash"} if line is None else json.loads(line)
            was, (worked, queued) = (worked, queued), self._spent()
            idle = 0.0 if (worked, queued) != was or self._reads() else idle + POLL
        return {"outcome": "hang"}

    def _spent(self) -> tuple[float, int]:
        """Seconds of processor time so far, and how long its threads waited for a processor (nanoseconds)."""
        queued = 0
        for thread in Path(f"/proc/{self.process.pid}/task").glob("*/schedstat"):
            with contextlib.suppress(OSError):  # the thread has ended
                queued += int(thread.read_text().split()[1])
        with contextlib.suppress(psutil.Error):
            return sum(psutil.Process(self.process.pid).cpu_times()[:2]), queued
        return 0.0, queued

    def _reads(self) -> bool:
        """Waits for a disk, or is about to run."""
        with contextlib.suppress(psutil.Error):
            return psutil.Process(self.process.pid).status() in (psutil.STATUS_RUNNING, psutil.STATUS_DISK_SLEEP)
        return False

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def run(
    names: Sequence[str],
    seconds: float,
    seed: int = 0,
    first: int = 0,
    fewest: int = 0,
    most: int | None = None,
    limit: float = SECONDS,
    patience: float = PATIENCE,
    kept: bool = True,
) -> dict[str, Result]:
    """The kept cases of some targets, then new ones, the targets in turn.

    Args:
        seconds: when to stop, with the start of processes; kept cases are used in any case.
        seed: which new cases; the same seed gives the same ones.
        first: number of the first new case.
        fewest: new cases of each target that are used even if that takes longer; on a busy machine.
        most: new cases of each target at most.
        limit: seconds of work that one case may take.
        patience: seconds until a child that does and says nothing counts as hanging.
        kept: whether to begin with the kept cases.
    """
    results, until = {name: Result(name) for name in names}, time.monotonic() + seconds
    todo = [(name, str(path)) for name in names for path in sorted((CASES / name).glob("*")) if kept]
    number, left = first, list(names)

    def wanted() -> bool:
        done = number - first
        return bool(todo) or ((time.monotonic() < until or done < fewest) and (most is None or done < most))

    with tempfile.TemporaryDirectory(prefix="fuzz") as folder:
        while wanted():
            request = {"targets": list(names), "left": left, "seed": seed, "first": number, "files": todo}
            child, waited = Child({**request, "folder": folder}), START_SECONDS
            try:
                while wanted():
                    report = child.report(waited, patience)
                    waited = 4 * limit  # beyond the limit a case is told with its seconds, if it ends
                    name, current = todo.pop(0) if todo else (left.pop(0), number)
                    size = os.path.getsize(current) if isinstance(current, str) else 0
                    results[name].add(report, current, size, limit)
                    if not left:  # of this round
                        number, left = number + 1, list(names)
                    if report["outcome"] in ("crash", "hang"):
                        break
            finally:
                child.end()
    return results


def keep(finding: Finding, seed: int, folder: Path = CASES) -> Path:
    """Write the input of a finding among the kept cases."""
    place = folder / finding.target
    place.mkdir(parents=True, exist_ok=True)
    path = place / f"{finding.kind}-{seed}-{finding.case}{target_named(finding.target).suffix}"
    path.write_bytes(case_of(finding.target, seed, finding.case))
    return path
