"""What a farm costs: start-up, time per unit beside the computation, balance of unequal workers, memory of the driver,
a plan of 10,000 units.

Runs on the processor, on a Ray cluster of this machine: with units that wait, and with real ones that copy pictures on
ComfyUI servers. Needs the extra "farm".
"""

import contextlib
import copy
import io
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from betwixt.launcher.client import Client
from betwixt.launcher.farm.cluster import cluster
from betwixt.launcher.farm.folder import Folder
from betwixt.launcher.farm.graphs import pruned
from betwixt.launcher.farm.manifests import finished_units
from betwixt.launcher.farm.plan import read_plan
from betwixt.launcher.farm.planning import make_plan, schema_of, take_inputs
from betwixt.launcher.farm.run import SERVERS, Driver
from betwixt.launcher.farm.servers import farm_server
from betwixt.launcher.host_tree import find_host

from benchmarks.common import Report, options
from support.farm_engines import SECONDS, SLEEPING, InlineRay, write_plan
from support.farm_runs import copies_graph, write_keys

STUB = "support.farm_engines:StubEngine"
UNITS = 8
REAL = ((5, 64), (25, 256), (25, 768))  # frames of a unit, side; the last has the bytes of 1024x576

PACES = {"1 worker": [1.0], "2 workers": [1.0] * 2, "4 workers": [1.0] * 4, "4 unequal workers": [1.0, 1.0, 2.0, 4.0]}


def resident() -> float:
    """MB of this process, 0 where it cannot be told."""
    try:
        pages = int(Path("/proc/self/statm").read_text("utf-8").split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


class Together(Driver):
    """Begins when all workers are ready: the start of their processes is another figure."""

    def _give(self) -> None:
        if all(hand.offer for hand in self.hands.values()):
            if not self.dispatch.working and not self.made:
                self.first_at = time.monotonic()
            super()._give()


def drive(ray, sizes: list[int], paces: list[float]) -> Driver:
    with tempfile.TemporaryDirectory() as out:
        plan = write_plan(Path(out), sizes)
        driver = Together(ray, Folder(Path(out)), plan, len(paces), 0, False, {"paces": paces}, SLEEPING)
        driver.run()
        return driver


def pace_of_units(ray, out: Path, frames: int, base: Path) -> tuple[float, float, float]:
    """(MB of a segment, seconds per unit on a warm worker, seconds of what it computes) of units without computation.

    The first unit is left out: it warms the worker.
    """
    folder, host = Folder(out), find_host()
    graph = copies_graph(frames)
    with farm_server(folder, host, base, folder.logs / "bench.log", 2) as server, Client(server.url) as client:
        schema = schema_of(client.object_info())
        inputs = take_inputs(graph, folder, [], [base], schema)
        plan = make_plan(graph, schema, lambda asked: client.run(asked).outputs, inputs, [], 0.0, "-")
        plan.write(folder)
        alone = []
        for number in range(1, len(plan.units) + 1):  # a gap as a unit has it, and its frames counted in place of kept
            part = copy.deepcopy(graph)
            part["2"]["inputs"]["gaps"], part["5"]["inputs"]["image"] = str(number), ["3", 0]
            alone.append(client.run(pruned(part, ["6"])).seconds)
    done = []

    class Timed(Driver):
        def _report(self, *told):
            super()._report(*told)
            done.append(time.monotonic())

    options = {"host": str(host), "base": str(base), "python": sys.executable, "threads": 2}
    Timed(ray, folder, plan, 1, 0, False, options, SERVERS).run()
    size = folder.path_of(plan.results_of(plan.units[0])[0]).stat().st_size / 1e6
    steps = [after - before for before, after in zip(done, done[1:], strict=False)]
    return size, statistics.median(steps), statistics.median(alone[1:])


def measure_scale(count: int) -> list[tuple[str, str]]:
    """What a plan of so many units costs the driver, whose workers make nothing."""
    with tempfile.TemporaryDirectory() as out:
        folder, began = Folder(Path(out)), time.process_time()
        write_plan(Path(out), [10 + number % 7 for number in range(count)])
        written = time.process_time()
        plan = read_plan(folder)
        read, size = time.process_time(), folder.plan.stat().st_size / 1e6
        finished_units(plan, folder)
        looked, before = time.process_time(), resident()
        driver = Driver(InlineRay(), folder, plan, 100, 0, False, {}, STUB)
        with contextlib.redirect_stdout(io.StringIO()):
            ready = time.process_time()
            driver.run()
        taken, grown = time.process_time() - ready, resident() - before
    return [
        ("units", f"{count}"),
        ("plan.json, MB", f"{size:.1f}"),
        ("writing the plan, s", f"{written - began:.2f}"),
        ("reading it, s", f"{read - written:.2f}"),
        ("looking for finished units, s", f"{looked - read:.2f}"),
        ("scheduling and reporting with 100 workers, ms per unit", f"{1000 * taken / count:.2f}"),
        ("growth of the driver, MB", f"{grown:.1f}"),
    ]


def main() -> None:
    given = options(__doc__).parse_args()
    report = Report("farm", given)
    with report.table("scale", "A plan of many units, processor time of the driver", ["what", "value"]) as table:
        for row in measure_scale(10_000):
            table.add(*row)
    began = time.monotonic()
    with cluster(None, 4) as (ray, _):
        started = time.monotonic() - began
        with report.table(
            "units", "Real units on a warm worker", ["frames", "MB", "s", "computed s", "more s"]
        ) as table:
            for frames, side in REAL:
                with tempfile.TemporaryDirectory() as place:
                    out = Path(place) / "out"
                    Folder(out).make()
                    write_keys(Path(place), UNITS + 1, side)
                    size, each, alone = pace_of_units(ray, out, frames, Path(place))
                    table.add(f"{frames} of {side}x{side}", *(f"{v:.2f}" for v in (size, each, alone, each - alone)))
        rows = []
        for name, paces in PACES.items():
            sizes = [80 + 30 * (number % 5) for number in range(24)]
            driver = drive(ray, sizes, paces)
            ideal = SECONDS * sum(sizes) / sum(1 / pace for pace in paces)
            taken = driver.finished_at - driver.first_at
            rows.append((name, ideal, taken, taken / ideal, (taken * len(paces) - ideal * len(paces)) / len(sizes)))
        driver = drive(ray, [1] * 20, [1.0])
        before = resident()
        driver = drive(ray, [1] * 200, [1.0])
        each = (driver.finished_at - driver.first_at) / 200 - SECONDS
        grown = resident() - before
    with report.table(
        "balance", "Units that wait", ["workers", "ideal s", "taken s", "ratio", "lost s per unit"]
    ) as table:
        for row in rows:
            table.add(row[0], *(f"{value:.2f}" for value in row[1:]))
    with report.table("overhead", "Beside the computation", ["what", "value"]) as table:
        table.add("start of Ray on this machine, s", f"{started:.1f}")
        table.add("per unit on a warm worker, s", f"{each:.3f}")
        table.add("growth of the driver over 200 units, MB", f"{grown:.1f}")


if __name__ == "__main__":
    main()
