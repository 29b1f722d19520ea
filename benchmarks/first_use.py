"""Compiling with numba: what the first use of a kernel costs after an installation, and in later processes.

``python -m benchmarks.first_use [--baseline CHECKOUT]``. Each row runs in a process of its own. "Both" are the line
detector and patch synthesis in one process. The import of numba counts; that of PyTorch does not.
"""

import json
import os
from tempfile import TemporaryDirectory

import numpy as np
import torch
from betwixt.fcvg_core.lines.lsd.detector import lsd
from betwixt.rerender_core.ebsynth.synthesis.problem import SynthesisOptions, SynthesisProblem
from betwixt.rerender_core.ebsynth.synthesis.solver import synthesise

from benchmarks.common import Clock, Report, Spread, against_baseline, options, ratio


def detect() -> None:
    picture = np.zeros((40, 60), np.uint8)
    picture[10:30, 15:45] = 200
    lsd(picture, 1.0, "numba")


def paint() -> None:
    picture = torch.zeros(1, 16, 16, 3, dtype=torch.uint8)
    problem = SynthesisProblem(picture, picture, picture, torch.ones(3))
    synthesise(problem, SynthesisOptions(vote_iterations=1, match_iterations=1), "numba")


USES = {"exact lines": (detect,), "patch synthesis": (paint,), "both": (detect, paint)}


def measure(job: dict) -> dict:
    """The first use of ``job["use"]``, with numba's files in the folder ``job["cache"]`` (None = a fresh one)."""
    torch.set_num_threads(1)
    torch.zeros(8).softmax(0)
    with TemporaryDirectory() as fresh:
        os.environ["NUMBA_CACHE_DIR"] = job["cache"] or fresh
        with Clock() as clock:
            for use in USES[job["use"]]:
                use()
    return {"processor": clock.processor}


def main(given) -> None:
    report = Report("first_use", given)
    columns = ["use", "processor seconds", "of the baseline's", "in a later process"]
    with report.table("compiling", "First use of compiled kernels", columns) as table, TemporaryDirectory() as cache:
        for use in USES:
            ours, theirs = against_baseline("first_use", {"use": use, "cache": None}, given)
            later, _ = against_baseline("first_use", {"use": use, "cache": cache}, given, repeats=2)
            first = Spread.of([run["processor"] for run in ours])
            table.add(use, first, ratio(ours, theirs, "processor"), later[-1]["processor"])


if __name__ == "__main__":
    arguments = options(__doc__, repeats=3, threads=1).parse_args()
    if arguments.job:
        print(json.dumps(measure(json.loads(arguments.job))))
    else:
        main(arguments)
