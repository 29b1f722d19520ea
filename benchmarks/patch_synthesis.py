"""Guided patch synthesis: time, memory, energy and distance from the truth for every engine and schedule.

``python -m benchmarks.patch_synthesis [--sizes 256 512 960x544] [--threads 2] [--device cuda] [--engines torch]``

One frame of a painted scene (support/pictures/painted_scene.py) with Rerender's four guides, patch 5, all levels. Each
line runs in a process of its own, after a small picture that has the code compiled. "total" is mean patch error +
uniformity * mean occupancy.
"""

import argparse
import json

import numpy as np
import torch
from betwixt.rerender_core.ebsynth.synthesis.problem import SynthesisOptions, SynthesisProblem
from betwixt.rerender_core.ebsynth.synthesis.search_level import Solution
from betwixt.rerender_core.ebsynth.synthesis.solver import synthesise

from benchmarks.common import Clock, Report, Spread, alone, options
from benchmarks.memory import PeakMemory
from support.pictures.painted_scene import PaintedScene, painted_scene
from support.truth.synthesis_energy import energy, psnr

SETTINGS = {
    "reference 6x4": {},
    "reference 6x4, stop 3": {"stop_threshold": 3},
    "reference 12x6": {"vote_iterations": 12, "match_iterations": 6},
    "hybrid 6x4": {"schedule": "hybrid"},
    "hybrid 6x4, stop 3": {"schedule": "hybrid", "stop_threshold": 3},
}


def problem_of(scene: PaintedScene, device: str, copies: int) -> SynthesisProblem:
    source, target, weights, _ = scene.packed_guides()
    y, x = np.mgrid[: scene.key.shape[0], : scene.key.shape[1]]
    start = torch.from_numpy(np.rint(np.stack([x, y], axis=-1) + scene.flow)).int().clamp(min=0)[None]
    pictures = (torch.from_numpy(scene.style)[None], source, target, start)
    style, source, target, start = (value.expand(copies, *value.shape[1:]).to(device) for value in pictures)
    return SynthesisProblem(style, source, target, weights, start=start)


def measure(job: dict) -> dict:
    """One synthesis, after a small one."""
    torch.set_num_threads(job["threads"])
    small = problem_of(painted_scene(48, 48), job["device"], 1)
    synthesise(small, SynthesisOptions(vote_iterations=1, match_iterations=1), job["engine"])
    scene = painted_scene(job["height"], job["width"])
    problem, options = problem_of(scene, job["device"], job["copies"]), SynthesisOptions(**job["settings"])
    with PeakMemory(job["device"]) as memory, Clock(job["device"]) as clock:
        result = synthesise(problem, options, job["engine"])
        image = result.image.cpu()
    pictures = (problem.style, problem.source_guides, problem.target_guides)
    first = SynthesisProblem(*(picture[:1].cpu() for picture in pictures), problem.guide_weights)
    quality = energy(first, options, Solution(*(value[:1].cpu() for value in result)))
    distance = psnr(image[0], torch.from_numpy(scene.truth))
    figures = {"wall": clock.wall, "processor": clock.processor, "memory": memory.mebibytes, "psnr": distance}
    return {**figures, **quality._asdict()}


def jobs(given: argparse.Namespace, size: str):
    """(engine, name of the settings, job) of every row of one size."""
    width, _, height = size.partition("x")
    shared = {"width": int(width), "height": int(height or width), "threads": given.threads}
    shared |= {"device": given.device, "copies": given.copies}
    for engine in given.engines:
        for name in given.settings:
            yield engine, name, {**shared, "engine": engine, "settings": SETTINGS[name]}


def main(given: argparse.Namespace) -> None:
    report = Report("patch_synthesis", given)
    columns = ["engine", "schedule, votes x iterations", "seconds", "processor seconds", "peak memory, MiB"]
    columns += ["error", "occupancy", "total", "PSNR, dB"]
    for size in given.sizes:
        place = "" if given.device == "cpu" else f", {given.device}"
        copies = "" if given.copies == 1 else f", batch of {given.copies}"
        title = f"One frame of patch synthesis, {size}{place}{copies}"
        with report.table(size + place + copies, title, columns) as table:
            for engine, name, job in jobs(given, size):
                runs = [alone("patch_synthesis", job) for _ in range(given.repeats)]
                wall, processor, memory = (Spread.of([r[key] for r in runs]) for key in ("wall", "processor", "memory"))
                quality = (runs[0][key] for key in ("error", "occupancy", "total", "psnr"))
                table.add(engine, name, wall, processor, memory, *quality)


if __name__ == "__main__":
    parser = options(__doc__, repeats=3)
    parser.add_argument("--sizes", nargs="+", default=["256", "512", "960x544"])
    parser.add_argument("--engines", nargs="+", default=["numba", "torch"])
    parser.add_argument("--settings", nargs="+", default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--copies", type=int, default=1, help="size of the batch")
    arguments = parser.parse_args()
    if arguments.job:
        print(json.dumps(measure(json.loads(arguments.job))))
    else:
        main(arguments)
