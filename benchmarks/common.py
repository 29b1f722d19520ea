"""What every benchmark shares: timing, the machine's description, tables that are printed and stored, own processes.

A script builds its options with :func:`options`, measures with :func:`timed` or :func:`in_turns` (time) and
:class:`~benchmarks.memory.PeakMemory`, and hands rows to a :class:`Report`, which prints them as they come and stores
each finished table with the command, the date, the machine and the versions in ``benchmarks/results/SCRIPT.json``.
"""

import argparse
import datetime
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import psutil
import torch

from benchmarks.memory import GIBIBYTE
from support.benchmark_results import markdown, row_text, store_table
from support.bootstrap import ROOT

PACKAGES = ("torch", "numpy", "opencv-python-headless", "numba", "scipy", "kornia", "onnxruntime")


@dataclass(frozen=True)
class Spread:
    """Median, smallest and largest of several measurements."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        return cls(statistics.median(values), min(values), max(values))


class Timing(NamedTuple):
    """Seconds of a piece of work, run several times: on the clock, and of processor time of all threads."""

    wall: Spread
    processor: Spread


class Clock:
    """Adds up the seconds spent inside ``with clock:``, as often as it is entered: ``wall`` and ``processor``.

    What earlier turns found in the same pictures is forgotten before.
    """

    def __init__(self, device: str = "cpu"):
        self.wall = self.processor = 0.0
        self._synchronise = torch.cuda.synchronize if device != "cpu" else lambda: None

    def __enter__(self) -> "Clock":
        _forget_recent_results()
        self._synchronise()
        self._start = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_) -> None:
        self._synchronise()
        wall, processor = self._start
        self.wall += time.perf_counter() - wall
        self.processor += time.process_time() - processor


def _forget_recent_results() -> None:
    """A baseline from before there were any has none."""
    module = sys.modules.get("betwixt.common.recent_results")
    if module is not None:
        module.recent_results.forget()


def in_turns(
    works: Mapping[str, Callable[[], object]], repeats: int, warm_up: int = 1, device: str = "cpu"
) -> dict[str, Timing]:
    """Time several pieces of work in turns, so that a busy moment of the machine hits all of them.

    The first ``warm_up`` turns are not counted.
    """
    clocks: dict[str, list[Clock]] = {name: [] for name in works}
    for turn in range(warm_up + repeats):
        for name, work in works.items():
            with Clock(device) as clock:
                work()
            if turn >= warm_up:
                clocks[name].append(clock)
    return {
        name: Timing(Spread.of([clock.wall for clock in taken]), Spread.of([clock.processor for clock in taken]))
        for name, taken in clocks.items()
    }


def timed(work: Callable[[], object], repeats: int, warm_up: int = 1, device: str = "cpu") -> Timing:
    """Time one piece of work."""
    return in_turns({"work": work}, repeats, warm_up, device)["work"]


def machine() -> dict:
    """The machine, its load and the threads PyTorch uses."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    described = {
        "processor": _processor_name(),
        "cores": len(psutil.Process().cpu_affinity()) if hasattr(psutil.Process, "cpu_affinity") else os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / GIBIBYTE, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "threads": torch.get_num_threads(),
        "load_average": None if load is None else round(load, 1),
    }
    if torch.cuda.is_available():
        described["card"] = torch.cuda.get_device_name()
    return described


def _processor_name() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"


def versions() -> dict[str, str]:
    """Python, ComfyUI and the packages that compute."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    try:
        from comfyui_version import __version__ as comfyui
    except ImportError:
        return found
    return {**found, "comfyui": comfyui}


def options(text: str, repeats: int = 5, threads: int = 2) -> argparse.ArgumentParser:
    """A parser with the options of every script; ``text`` is the script's docstring."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=repeats, help=f"measurements of each row (default: {repeats})")
    parser.add_argument("--threads", type=int, default=threads, help=f"of PyTorch (default: {threads})")
    parser.add_argument("--dry", action="store_true", help="print the tables only, store nothing")
    parser.add_argument("--baseline", type=Path, help="another checkout of the pack, measured in turns with this one")
    parser.add_argument("--job", help=argparse.SUPPRESS)  # what alone() hands to the script in a process of its own
    return parser


def alone(script: str, job: dict, pack: Path = ROOT) -> dict:
    """Run ``python -m benchmarks.SCRIPT --job JOB`` and return the JSON of its last line: nothing is left in memory
    from the measurements before.

    Args:
        pack: the checkout whose pack is measured, by this checkout's scripts and with its own ``support``.

    Raises:
        RuntimeError: the process failed; the text is its error output.
    """
    words = [f"benchmarks.{script}", "--job", json.dumps(job)]
    command = [sys.executable, "-m", *words]
    if pack != ROOT:
        command = [sys.executable, "-c", _MEASURE_ANOTHER, str(pack), str(ROOT), *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


_MEASURE_ANOTHER = """
import runpy, sys
pack, scripts, script = sys.argv[1:4]
sys.path[:] = [pack, *(entry for entry in sys.path if entry not in ("", scripts))]
import betwixt
sys.path[0] = scripts
import benchmarks
if scripts in sys.path:
    sys.path.remove(scripts)
sys.argv[1:] = sys.argv[4:]
runpy.run_module(script, run_name="__main__", alter_sys=True)
"""


def against_baseline(
    script: str, job: dict, given: argparse.Namespace, repeats: int | None = None
) -> tuple[list[dict], list[dict]]:
    """The results of several runs of :func:`alone` with this pack and, in turns, with ``--baseline``'s.

    Without a baseline the second list is empty. ``repeats``: default ``given.repeats``.
    """
    packs = [ROOT] if given.baseline is None else [ROOT, given.baseline.resolve()]
    runs = [[alone(script, job, pack) for pack in packs] for _ in range(repeats or given.repeats)]
    return [pair[0] for pair in runs], [pair[1] for pair in runs if len(pair) > 1]


def ratio(ours: Sequence[dict], theirs: Sequence[dict], figure: str) -> Spread | None:
    """Of runs in pairs: the spread of the quotients of one figure; None without a baseline."""
    pairs = zip(ours, theirs, strict=True) if theirs else ()
    quotients = [our[figure] / their[figure] for our, their in pairs]
    return Spread.of(quotients) if quotients else None


class Report:
    """The tables of one run of a script.

    Args:
        script: file name without suffix.
        given: the parsed options; sets PyTorch's threads.
    """

    def __init__(self, script: str, given: argparse.Namespace):
        torch.set_num_threads(given.threads)
        self.script, self.given = script, given
        words = [f"benchmarks.{script.replace('/', '.')}", *sys.argv[1:]]
        self.about = {
            "command": "python -m " + " ".join(shlex.quote(_without_folder(word)) for word in words),
            "taken": datetime.date.today().isoformat(),
            "repeats": given.repeats,
            "machine": machine(),
            "versions": versions(),
        }

    def table(self, name: str, title: str, columns: Sequence[str]) -> "Table":
        """A table to be filled inside ``with report.table(...) as table:``; stored when that is left without error."""
        return Table(self, name, title, list(columns))


class Table:
    """Rows are printed as they are added; cells are texts, numbers, None or :class:`Spread`."""

    def __init__(self, report: Report, name: str, title: str, columns: list[str]):
        self.report, self.name, self.title, self.columns = report, name, title, columns
        self.rows: list[list] = []

    def __enter__(self) -> "Table":
        print(f"\n{self.title}\n\n{markdown(self.columns, [])}", flush=True)
        return self

    def add(self, *cells: object) -> None:
        if len(cells) != len(self.columns):
            raise ValueError(f"'{self.name}' has {len(self.columns)} columns, the row {len(cells)} cells")
        row = [_rounded(asdict(cell) if isinstance(cell, Spread) else cell) for cell in cells]
        self.rows.append(row)
        print(row_text(row), flush=True)

    def __exit__(self, failure, *_) -> None:
        if failure is None and not self.report.given.dry:
            content = {"title": self.title, "columns": self.columns, "rows": self.rows, **self.report.about}
            path = store_table(self.report.script, self.name, content)
            print(f"\n(stored in {path.relative_to(ROOT)})", flush=True)


def _rounded(cell: object) -> object:
    """Floats to four digits, which is more than any of them is worth."""
    if isinstance(cell, dict):
        return {key: _rounded(value) for key, value in cell.items()}
    return float(f"{cell:.4g}") if isinstance(cell, float) else cell


def _without_folder(word: str) -> str:
    """A word of the command line; of the path of an existing file or folder only its name, which is no one's own."""
    return Path(word).name if os.sep in word and Path(word).exists() else word
