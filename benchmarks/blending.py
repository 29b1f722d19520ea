"""One frame between two key frames blended: time of each step.

``python -m benchmarks.blending [--size 512]``. The reference builds a sparse matrix once per size and iterates (LSQR);
the closed form needs two cosine transforms per channel.
"""

import numpy as np
from betwixt.rerender_core.ebsynth.blending.histogram_blend import histogram_blend
from betwixt.rerender_core.ebsynth.blending.screened_poisson import poisson_blend
from betwixt.rerender_core.ebsynth.blending.selection import select

from benchmarks.common import Report, in_turns, options
from support.pictures.painted_scene import painted_scene, smooth_noise


def main() -> None:
    parser = options(__doc__, repeats=5)
    parser.add_argument("--size", type=int, default=512)
    given = parser.parse_args()
    report, size = Report("blending", given), given.size
    scene = painted_scene(size, size)
    left, right = scene.style, scene.truth
    mask = smooth_noise(np.random.default_rng(0), size, size, size / 8)[..., 0] > 0
    mixed = histogram_blend(left, right, select(left, right, mask), 0.4)
    works = {
        "mix": lambda: histogram_blend(left, right, select(left, right, mask), 0.4),
        "Poisson, closed form": lambda: poisson_blend(mixed, left, right, mask, "cosine"),
        "Poisson, LSQR as published": lambda: poisson_blend(mixed, left, right, mask, "lsqr"),
    }
    with report.table(
        "steps", f"Blending one frame of {size}x{size}", ["step", "seconds", "processor seconds"]
    ) as table:
        for name, taken in in_turns(works, given.repeats).items():
            table.add(name, taken.wall, taken.processor)
    exact, published = (poisson_blend(mixed, left, right, mask, solver).astype(int) for solver in ("cosine", "lsqr"))
    difference = np.abs(exact - published)
    with report.table(
        "solvers", "Closed form against LSQR", ["size", "values that differ, %", "by grey levels at most"]
    ) as table:
        table.add(f"{size}x{size}", float(100 * (difference > 0).mean()), int(difference.max()))


if __name__ == "__main__":
    main()
