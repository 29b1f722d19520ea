"""One frame between two key frames blended: time and memory of each step.

``python -m benchmarks.blending [--size 512] [--baseline CHECKOUT]``. The reference builds a sparse matrix once per size
and iterates (LSQR); the closed form needs two cosine transforms per channel. Each row runs in a process of its own.
The iteration itself is SciPy's; what is ours, differences without a matrix, is measured beside SciPy's sparse matrix.
"""

import json

import numpy as np
import scipy.sparse.linalg
from betwixt.rerender_core.ebsynth.blending.histogram_blend import histogram_blend
from betwixt.rerender_core.ebsynth.blending.screened_poisson import poisson_blend, solve_by_lsqr
from betwixt.rerender_core.ebsynth.blending.selection import select

from benchmarks.common import Clock, Report, Spread, against_baseline, in_turns, options, ratio
from benchmarks.memory import PeakMemory
from support.pictures.painted_scene import painted_scene, smooth_noise

STEPS = {"mix": None, "Poisson, closed form": "cosine", "Poisson, LSQR as published": "lsqr"}
SIZES = {"fast": 1024, "prime": 1021}


def pictures(size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Left and right picture and the mask of where the right one is chosen."""
    scene = painted_scene(size, size)
    return scene.style, scene.truth, smooth_noise(np.random.default_rng(0), size, size, size / 8)[..., 0] > 0


def measure(job: dict) -> dict:
    left, right, mask = pictures(job["size"])
    mixed = histogram_blend(left, right, select(left, right, mask), 0.4)
    solver = STEPS[job["step"]]

    def work():
        if solver is None:
            return histogram_blend(left, right, select(left, right, mask), 0.4)
        return poisson_blend(mixed, left, right, mask, solver)

    work()
    with PeakMemory() as memory:
        work()
    with Clock() as clock:
        work()
    return {"wall": clock.wall, "processor": clock.processor, "memory": memory.mebibytes}


def sparse_lsqr(values: np.ndarray, gradient_y: np.ndarray, gradient_x: np.ndarray, weight: float) -> np.ndarray:
    """:func:`.solve_by_lsqr` with the system as a sparse matrix."""

    def differences(length: int) -> scipy.sparse.spmatrix:
        main = np.ones(length)
        main[-1] = 0
        return scipy.sparse.diags([main, -np.ones(length - 1)], [0, 1], format="csr")

    height, width = values.shape
    along_x = scipy.sparse.kron(scipy.sparse.eye(height), differences(width))
    along_y = scipy.sparse.kron(differences(height), scipy.sparse.eye(width))
    parts = [weight * along_x, weight * along_y, scipy.sparse.eye(values.size)]
    system = scipy.sparse.vstack(parts, format="csr")
    mean = values.mean()
    right_side = np.concatenate([weight * gradient_x.ravel(), weight * gradient_y.ravel(), values.ravel() - mean])
    return scipy.sparse.linalg.lsqr(system, right_side, atol=1e-6, btol=1e-6)[0].reshape(values.shape) + mean


def iterations(report: Report, given) -> None:
    columns = ["system", "processor seconds", "ours / SciPy's matrix", "peak memory, MiB", "differ by at most"]
    left, _, _ = pictures(given.size)
    values = left[..., 0].astype(np.float64)
    gradients = [-np.diff(values, axis=axis, append=values.take([-1], axis=axis)) / 2 for axis in (0, 1)]
    solvers = {"differences, ours": solve_by_lsqr, "sparse matrix": sparse_lsqr}
    taken: dict[str, list[Clock]] = {name: [] for name in solvers}
    solutions, memory = {}, {}
    for turn in range(given.repeats + 1):
        for name, solve in solvers.items():
            with Clock() as clock, PeakMemory() as peak:
                solutions[name] = solve(values, *gradients, 2.5)
            if turn:  # the first is a warm-up
                taken[name].append(clock)
            memory[name] = peak.mebibytes
    ours, theirs = taken.values()
    quotient = Spread.of([a.processor / b.processor for a, b in zip(ours, theirs, strict=True)])
    difference = float(np.abs(np.subtract(*solutions.values())).max())
    with report.table("lsqr", "LSQR over differences and over a sparse matrix", columns) as table:
        for number, (name, clocks) in enumerate(taken.items()):
            spread = Spread.of([clock.processor for clock in clocks])
            table.add(name, spread, None if number else quotient, memory[name], None if number else difference)


def main(given) -> None:
    report, size = Report("blending", given), given.size
    columns = ["step", "seconds", "processor seconds", "of the baseline's", "peak memory, MiB"]
    with report.table("steps", f"Blending one frame of {size}x{size}", columns) as table:
        for step in STEPS:
            ours, theirs = against_baseline("blending", {"size": size, "step": step}, given)
            wall, processor, memory = (Spread.of([run[key] for run in ours]) for key in ("wall", "processor", "memory"))
            table.add(step, wall, processor, ratio(ours, theirs, "processor"), memory)
    iterations(report, given)
    works = {}
    for name, side in SIZES.items():
        left, right, mask = pictures(side)
        works[name] = lambda left=left, right=right, mask=mask: poisson_blend(left, left, right, mask)
    with report.table("sides", "The closed form at sides of other lengths", ["sides", "processor seconds"]) as table:
        for name, taken in in_turns(works, given.repeats).items():
            table.add(f"{SIZES[name]} ({name})", taken.processor)
    left, right, mask = pictures(size)
    mixed = histogram_blend(left, right, select(left, right, mask), 0.4)
    exact, published = (poisson_blend(mixed, left, right, mask, solver).astype(int) for solver in ("cosine", "lsqr"))
    difference = np.abs(exact - published)
    with report.table(
        "solvers", "Closed form against LSQR", ["size", "values that differ, %", "by grey levels at most"]
    ) as table:
        table.add(f"{size}x{size}", float(100 * (difference > 0).mean()), int(difference.max()))


if __name__ == "__main__":
    parser = options(__doc__, repeats=5)
    parser.add_argument("--size", type=int, default=512)
    arguments = parser.parse_args()
    if arguments.job:
        print(json.dumps(measure(json.loads(arguments.job))))
    else:
        main(arguments)
