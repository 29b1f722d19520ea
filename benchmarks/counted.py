"""What a CUDA card is asked for, counted without one: memory on the meta device, launches and waits on a simulation.

``python -m benchmarks.counted [--baseline CHECKOUT]``. Counts do not depend on the machine, so nothing is repeated; a
baseline is counted on the simulated card only.
"""

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.common import Report, options
from benchmarks.memory import GIBIBYTE
from support import told_memory
from support.bootstrap import ROOT

FIGURES = ("launches", "launches of the pack's lines", "waits", "waits the pack asks for", "copies the pack asks for")
# Another checkout's pack, counted with this one's tools: PyTorch believes in the card before ComfyUI is imported.
COUNT = """
import sys
pack, scripts = sys.argv[1:3]
sys.path[:] = [pack, *(entry for entry in sys.path if entry not in ("", scripts))]
import betwixt
sys.path[0] = scripts
from support.simulated_steps import main
main()
"""


def counted_steps(pack: Path = ROOT) -> dict[str, dict[str, float]]:
    """Job -> figure -> how many of it in a step, in a process of its own."""
    command = [sys.executable, "-c", COUNT, str(pack), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def memory(report: Report) -> None:
    title = "Activations in float16 at full size: what ComfyUI is told, and the peak counted on the meta device"
    with report.table("memory", title, ["part", "told, GiB", "counted, GiB", "told / counted"]) as table:
        for part in told_memory.PARTS:
            told, counted = told_memory.told_and_counted(part)
            table.add(part, told / GIBIBYTE, counted / GIBIBYTE, told / counted)


def steps(report: Report) -> None:
    now, baseline = counted_steps(), report.given.baseline
    before = counted_steps(baseline.resolve()) if baseline else {}
    columns = ["per step", "figure", "count", *(["of the baseline"] if baseline else [])]
    title = "What a step asks of a simulated card; launches are operations without views and empty memory"
    with report.table("steps", title, columns) as table:
        for job, found in now.items():
            for figure in FIGURES:
                table.add(job, figure, found[figure], *([before[job][figure]] if baseline else []))


def main() -> None:
    report = Report("counted", options(__doc__, repeats=1, threads=1).parse_args())
    memory(report)
    steps(report)


if __name__ == "__main__":
    main()
