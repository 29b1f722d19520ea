"""``python -m tests.fuzz [--minutes M] [--seed S] [--keep] [--store] [TARGET...]``: exit status 1 when anything failed.

``--store`` writes the counts to benchmarks/results/fuzz.json.
"""

import argparse
import datetime
import platform
import sys
import time
from importlib.metadata import version

from support.benchmark_results import store_table

from .runner import Result, keep, run
from .targets import TARGETS

REPORT_MINUTES = 10.0
KINDS = ("passed", "refused", "crash", "hang", "growth", "exception")
COLUMNS = ["target", "cases", *KINDS, "slowest, s", "largest growth, MB"]
VERSIONS = ("torch", "numpy", "opencv-python-headless", "onnxruntime", "safetensors")


def main() -> int:
    parser = argparse.ArgumentParser(description="Mutated inputs for whatever reads files or values of users.")
    parser.add_argument("targets", nargs="*", help=f"which of {', '.join(TARGETS)}; all by default")
    parser.add_argument("--minutes", type=float, default=1.0, help="for all targets together")
    parser.add_argument("--seed", type=int, default=0, help="which cases; the same seed gives the same cases")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--keep", action="store_true", help="write the inputs that failed to tests/fuzz/cases")
    parser.add_argument("--store", action="store_true", help="write the counts to benchmarks/results/fuzz.json")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.targets if name not in TARGETS]
    if unknown:
        parser.error(f"no such target: {', '.join(unknown)}")
    names = arguments.targets or list(TARGETS)
    began, first = time.monotonic(), arguments.first
    totals = {name: Result(name) for name in names}
    while (left := began + 60 * arguments.minutes - time.monotonic()) > 0:
        results = run(names, min(left, 60 * REPORT_MINUTES), arguments.seed, first, kept=first == arguments.first)
        for name, result in results.items():
            totals[name].join(result)
            print(_line(totals[name]), flush=True)
            for finding in result.findings:
                print(f"  {finding}", flush=True)
                if arguments.keep and isinstance(finding.case, int):
                    print(f"  kept as {keep(finding, arguments.seed)}", flush=True)
        first += max(result.cases for result in results.values())
        if arguments.store:
            _store(totals, (time.monotonic() - began) / 60, arguments)
    return int(any(result.findings for result in totals.values()))


def _line(result: Result) -> str:
    counts = ", ".join(f"{count} {outcome}" for outcome, count in result.outcomes.most_common())
    growth = result.largest_growth >> 20
    return f"{result.target}: {result.cases} cases ({counts}), slowest {result.slowest:.2f} s, growth {growth} MB"


def _store(totals: dict[str, Result], minutes: float, arguments: argparse.Namespace) -> None:
    rows = [
        [
            result.target,
            result.cases,
            *(result.outcomes[kind] for kind in KINDS),
            round(result.slowest, 2),
            result.largest_growth >> 20,
        ]
        for result in totals.values()
    ]
    count = sum(result.cases for result in totals.values())
    table = {
        "title": f"{count} mutated inputs in {minutes:.0f} minutes",
        "columns": COLUMNS,
        "rows": rows,
        "command": f"python -m tests.fuzz --minutes {arguments.minutes:g} --seed {arguments.seed} --store",
        "taken": datetime.date.today().isoformat(),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in VERSIONS}},
    }
    store_table("fuzz", "counts", table, "tests.fuzz")


if __name__ == "__main__":
    sys.exit(main())
