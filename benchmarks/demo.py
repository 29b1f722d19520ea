"""What ``betwixt.py demo`` computes once ComfyUI is up, node by node.

``python -m benchmarks.demo [--graphs NAME...]``. A real server runs the demo's graphs as the demo does; each node's
seconds on the clock, and the processor seconds of the server and of what it started, all threads together. The first
turn is not counted (compiled kernels, files that the system has not read yet); each turn has a server of its own.
Processor seconds divided by the cores are what a quiet machine needs at least.
"""

import tempfile
import time
from pathlib import Path

import psutil
from betwixt.demo.scene import write_inputs
from betwixt.launcher.client import Client
from betwixt.launcher.demo import GRAPHS, DemoGraph, demo_graph
from betwixt.launcher.events import Event
from betwixt.launcher.graph import title
from betwixt.launcher.host_tree import find_host
from betwixt.launcher.server import Server

from benchmarks.common import Report, Spread, options

FEWEST_SECONDS = 0.3  # of a node that has a row of its own


class NodeClock:
    """Follows a run's events and adds up what each node took."""

    def __init__(self, graph: dict, process: psutil.Process):
        self.graph, self.process = graph, process
        self.taken: dict[str, tuple[float, float]] = {}
        self._node, self._began = "", self._now()

    def _now(self) -> tuple[float, float]:
        return time.monotonic(), processor_seconds(self.process)

    def __call__(self, event: Event) -> None:
        if event.kind not in ("node", "idle"):
            return
        now = self._now()
        if self._node:
            wall, work = self.taken.get(self._node, (0.0, 0.0))
            self.taken[self._node] = wall + now[0] - self._began[0], work + now[1] - self._began[1]
        self._node, self._began = event.node, now


def processor_seconds(process: psutil.Process) -> float:
    """What a process and the processes it started have computed so far."""
    total = 0.0
    for one in (process, *process.children(recursive=True)):
        used = one.cpu_times()
        total += used.user + used.system
    return total


def turn(graphs: list[DemoGraph], inputs: list[Path]) -> tuple[dict, float, float]:
    """(graph, node's title) -> (seconds, processor seconds); and both of all after the start of the server."""
    taken = {}
    with Server(find_host()) as server, Client(server.url) as client:
        process = psutil.Process(server.process_id)
        began, before = time.monotonic(), processor_seconds(process)
        for path in inputs:
            client.upload(path)
        for item in graphs:
            graph = demo_graph(item)
            clock = NodeClock(graph, process)
            client.run(graph, clock)
            taken |= {(item.name, title(graph, node)): spent for node, spent in clock.taken.items()}
        return taken, time.monotonic() - began, processor_seconds(process) - before


def main(given) -> None:
    report = Report("demo", given)
    graphs = [item for item in GRAPHS if given.graphs is None or item.name in given.graphs]
    with tempfile.TemporaryDirectory(prefix="betwixt-") as folder:
        inputs = write_inputs(Path(folder))
        turns = [turn(graphs, inputs) for _ in range(1 + given.repeats)][1:]
    columns = ["graph", "node", "seconds", "processor seconds"]
    with report.table("nodes", "The demo once ComfyUI is up", columns) as table:
        for graph, node in turns[0][0]:
            wall, work = (Spread.of([taken[graph, node][kind] for taken, _, _ in turns]) for kind in (0, 1))
            if work.median >= FEWEST_SECONDS:
                table.add(graph, node, wall, work)
        table.add("**all**", "", *(Spread.of([spent[kind] for spent in turns]) for kind in (1, 2)))


if __name__ == "__main__":
    parser = options(__doc__, repeats=3)
    parser.add_argument("--graphs", nargs="+", choices=[item.name for item in GRAPHS], help="default: all")
    main(parser.parse_args())
