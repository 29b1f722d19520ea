"""One frame between two key frames blended: time of each step at 512x512.

``python -m benchmarks.blending [--size 512] [--repeats 9]``; medians. The reference builds a sparse matrix once per
size and iterates (LSQR); the closed form needs two cosine transforms per channel.
"""

import argparse
import statistics
import time

import numpy as np
from betwixt.rerender_core.ebsynth.blending.histogram_blend import histogram_blend
from betwixt.rerender_core.ebsynth.blending.screened_poisson import poisson_blend
from betwixt.rerender_core.ebsynth.blending.selection import select

from support.pictures.painted_scene import painted_scene, smooth_noise


def median_seconds(work, repeats: int) -> float:
    taken = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken[1:])


def main(size: int, repeats: int) -> None:
    scene = painted_scene(size, size)
    left, right = scene.style, scene.truth
    mask = smooth_noise(np.random.default_rng(0), size, size, size / 8)[..., 0] > 0
    mixed = histogram_blend(left, right, select(left, right, mask), 0.4)
    work = {
        "mix": lambda: histogram_blend(left, right, select(left, right, mask), 0.4),
        "Poisson, closed form": lambda: poisson_blend(mixed, left, right, mask, "cosine"),
        "Poisson, LSQR as published": lambda: poisson_blend(mixed, left, right, mask, "lsqr"),
    }
    print(f"| step, {size}x{size} | s per frame |\n|---|---|")
    for name, step in work.items():
        print(f"| {name} | {median_seconds(step, repeats):.3f} |", flush=True)
    exact, published = (poisson_blend(mixed, left, right, mask, solver).astype(int) for solver in ("cosine", "lsqr"))
    difference = np.abs(exact - published)
    print(
        f"\nThe solvers differ in {100 * (difference > 0).mean():.2f} % of the values, by {difference.max()} at most."
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=9)
    given = parser.parse_args()
    main(given.size, given.repeats)
