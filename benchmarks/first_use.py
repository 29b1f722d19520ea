"""Compiling with numba: what the first use of a kernel costs after an installation, and in later processes.

``python -m benchmarks.first_use [--baseline CHECKOUT]``. Each row runs in a process of its own. "In a
later process" is what is left where the set-up of ``betwixt.py`` has compiled. "Both" are the line detector and patch
synthesis in one process. The import of numba counts; that of PyTorch does not.

What a user waits for is the other table: seconds on the clock from queueing one of the demo's graphs in a real server
to its first frame, with kernels to be compiled and with kernels that were kept, in turns; compiling goes on beside
loading, reading and flow. Other work on the machine makes it longer.
"""

import json
import os
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from betwixt.demo.scene import write_inputs
from betwixt.fcvg_core.lines.lsd.detector import lsd
from betwixt.launcher.client import Client
from betwixt.launcher.events import Event
from betwixt.launcher.graph import load_graph
from betwixt.launcher.host_tree import find_host
from betwixt.launcher.server import Server
from betwixt.rerender_core.ebsynth.synthesis.problem import SynthesisOptions, SynthesisProblem
from betwixt.rerender_core.ebsynth.synthesis.solver import synthesise

from benchmarks.common import Clock, Report, Spread, against_baseline, options, ratio
from support.bootstrap import ROOT


def detect() -> None:
    picture = np.zeros((40, 60), np.uint8)
    picture[10:30, 15:45] = 200
    lsd(picture, 1.0, "numba")


def paint() -> None:
    picture = torch.zeros(1, 16, 16, 3, dtype=torch.uint8)
    problem = SynthesisProblem(picture, picture, picture, torch.ones(3))
    synthesise(problem, SynthesisOptions(vote_iterations=1, match_iterations=1), "numba")


# Graphs of workflows/api whose nodes have kernels, and the node that shows its frames as they come.
GRAPHS = {
    "Inbetweens without a model": "BetwixtInbetweenWithoutModel",
    "Paint a clip from a few frames": "BetwixtStyliseClip",
}
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


def seconds_to_first_frame(graph: str, cache: str, pack: Path) -> float:
    """On the clock, from queueing a graph in a server of its own; numba keeps kernels in the folder ``cache``."""
    os.environ["NUMBA_CACHE_DIR"] = cache
    nodes = load_graph(pack / "workflows" / "api" / f"{graph}.json")

    def see(event: Event) -> None:
        if event.kind == "preview" and nodes[event.node]["class_type"] == GRAPHS[graph]:
            raise _Shown

    with TemporaryDirectory() as folder, Server(find_host(), pack=pack) as server, Client(server.url) as client:
        for path in write_inputs(Path(folder)):
            client.upload(path)
        began = time.monotonic()
        with suppress(_Shown):
            client.run(nodes, see)
        return time.monotonic() - began


class _Shown(Exception):
    """The first frame is there; the rest of the graph ends with its server."""


def first_frames(report: Report, given) -> None:
    columns = ["graph", "pack", "first frame, s", "with kept kernels, s", "later by, s"]
    packs = {"this": ROOT} if given.baseline is None else {"this": ROOT, "baseline": given.baseline.resolve()}
    with report.table("first frame", "From queueing to the first frame", columns) as table:
        for graph in GRAPHS:
            taken: dict[str, list[tuple[float, float]]] = {name: [] for name in packs}
            for _ in range(given.repeats):
                for name, pack in packs.items():
                    with TemporaryDirectory() as cache:
                        taken[name].append(tuple(seconds_to_first_frame(graph, cache, pack) for _ in range(2)))
            for name, pairs in taken.items():
                late = Spread.of([cold - kept for cold, kept in pairs])
                table.add(graph, name, *(Spread.of(column) for column in zip(*pairs, strict=True)), late)


def main(given) -> None:
    report = Report("first_use", given)
    first_frames(report, given)
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
