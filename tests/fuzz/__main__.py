"""``python -m tests.fuzz [--minutes M] [--seed S] [--keep] [TARGET...]``: exit status 1 when anything failed."""

import argparse
import sys
import time

from .runner import keep, run
from .targets import TARGETS

REPORT_MINUTES = 5.0


def main() -> int:
    parser = argparse.ArgumentParser(description="Mutated inputs for whatever reads files or values of users.")
    parser.add_argument("targets", nargs="*", help=f"which of {', '.join(TARGETS)}; all by default")
    parser.add_argument("--minutes", type=float, default=1.0, help="for all targets together")
    parser.add_argument("--seed", type=int, default=0, help="which cases; the same seed gives the same cases")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--keep", action="store_true", help="write the inputs that failed to tests/fuzz/cases")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.targets if name not in TARGETS]
    if unknown:
        parser.error(f"no such target: {', '.join(unknown)}")
    names = arguments.targets or list(TARGETS)
    first, failed, until = arguments.first, False, time.monotonic() + 60 * arguments.minutes
    while (left := until - time.monotonic()) > 0:
        results = run(names, min(left, 60 * REPORT_MINUTES), arguments.seed, first)
        for result in results.values():
            counts = ", ".join(f"{count} {outcome}" for outcome, count in result.outcomes.most_common())
            print(
                f"{result.target}: {result.cases} cases ({counts}), slowest {result.slowest:.2f} s, "
                f"largest growth {result.largest_growth >> 20} MB",
                flush=True,
            )
            for finding in result.findings:
                print(f"  {finding}", flush=True)
                if arguments.keep and isinstance(finding.case, int):
                    print(f"  kept as {keep(finding, arguments.seed)}", flush=True)
            failed |= bool(result.findings)
        first += max(result.cases for result in results.values())
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
