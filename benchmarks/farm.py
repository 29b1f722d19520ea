"""What a farm costs: start-up, time per unit beside the computation, balance of unequal workers, memory of the driver.

Runs on the processor with units that wait (no ComfyUI), on a Ray cluster of this machine. Needs the extra "farm".
"""

import os
import tempfile
import time
from pathlib import Path

from betwixt.launcher.farm.cluster import cluster
from betwixt.launcher.farm.folder import Folder
from betwixt.launcher.farm.run import Driver

from benchmarks.common import Report, options
from support.farm_engines import SECONDS, SLEEPING, write_plan

PACES = {"1 worker": [1.0], "2 workers": [1.0] * 2, "4 workers": [1.0] * 4, "4 unequal workers": [1.0, 1.0, 2.0, 4.0]}


def resident() -> float:
    """MB of this process, 0 where it cannot be told."""
    try:
        pages = int(Path("/proc/self/statm").read_text("utf-8").split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def drive(ray, sizes: list[int], paces: list[float]) -> Driver:
    with tempfile.TemporaryDirectory() as out:
        plan = write_plan(Path(out), sizes)
        driver = Driver(ray, Folder(Path(out)), plan, len(paces), 0, False, {"paces": paces}, SLEEPING)
        driver.run()
        return driver


def main() -> None:
    given = options(__doc__).parse_args()
    report = Report("farm", given)
    began = time.monotonic()
    with cluster(None, 4) as (ray, _):
        started = time.monotonic() - began
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
