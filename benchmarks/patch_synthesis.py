"""Guided patch synthesis: time, memory, energy and distance from the truth for every engine and schedule.

``python -m benchmarks.patch_synthesis [--sizes 256 512 960x544] [--threads 2] [--device cuda] [--engines torch]``

One frame of a painted scene (support/pictures/painted_scene.py) with Rerender's four guides, patch 5, all levels. Each
line runs in a process of its own, after a small picture that has the code compiled. "total" is mean patch error +
uniformity * mean occupancy; memory is the peak beyond what was in use before.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from betwixt.rerender_core.ebsynth.synthesis.packed_guides import pack_guides
from betwixt.rerender_core.ebsynth.synthesis.problem import SynthesisOptions, SynthesisProblem
from betwixt.rerender_core.ebsynth.synthesis.solver import Synthesis, synthesise

from support.bootstrap import ROOT
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
    source, target, weights = pack_guides(scene.guides())
    y, x = np.mgrid[: scene.key.shape[0], : scene.key.shape[1]]
    start = torch.from_numpy(np.rint(np.stack([x, y], axis=-1) + scene.flow)).int().clamp(min=0)[None]
    pictures = (torch.from_numpy(scene.style)[None], source, target, start)
    style, source, target, start = (value.expand(copies, *value.shape[1:]).to(device) for value in pictures)
    return SynthesisProblem(style, source, target, weights, start=start)


def peak_memory(device: str) -> int:
    """Bytes: the most that was in use since :func:`reset_peak`."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def reset_peak(device: str) -> int:
    """Start counting; bytes in use now."""
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    Path("/proc/self/clear_refs").write_text("5")
    return peak_memory(device)


def measure(job: dict) -> dict:
    """One synthesis, after a small one."""
    torch.set_num_threads(job["threads"])
    small = problem_of(painted_scene(48, 48), job["device"], 1)
    synthesise(small, SynthesisOptions(vote_iterations=1, match_iterations=1), job["engine"])
    scene = painted_scene(job["height"], job["width"])
    problem, options = problem_of(scene, job["device"], job["copies"]), SynthesisOptions(**job["settings"])
    before = reset_peak(job["device"])
    wall, cpu = time.perf_counter(), time.process_time()
    result = synthesise(problem, options, job["engine"])
    image = result.image.cpu()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    memory = peak_memory(job["device"]) - before
    pictures = (problem.style, problem.source_guides, problem.target_guides)
    first = SynthesisProblem(*(picture[:1].cpu() for picture in pictures), problem.guide_weights)
    quality = energy(first, options, Synthesis(*(value[:1].cpu() for value in result)))
    truth = torch.from_numpy(scene.truth)
    return {"wall": wall, "cpu": cpu, "memory": memory, "psnr": psnr(image[0], truth), **quality._asdict()}


def in_a_process(job: dict) -> dict:
    command = [sys.executable, "-m", "benchmarks.patch_synthesis", "--job", json.dumps(job)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def main(arguments: argparse.Namespace) -> None:
    columns = ["size", "engine", "schedule", "time", "CPU time", "memory", "error", "occupancy", "total", "PSNR"]
    print(f"{arguments.threads} threads, {arguments.device}, batch of {arguments.copies}\n")
    print(f"| {' | '.join(columns)} |")
    print("|" + " --- |" * len(columns))
    for size in arguments.sizes:
        width, _, height = size.partition("x")
        for engine in arguments.engines:
            for name in arguments.settings:
                job = {
                    "width": int(width),
                    "height": int(height or width),
                    "engine": engine,
                    "settings": SETTINGS[name],
                    "threads": arguments.threads,
                    "device": arguments.device,
                    "copies": arguments.copies,
                }
                runs = [in_a_process(job) for _ in range(arguments.repeats)]
                run = min(runs, key=lambda run: run["wall"])
                print(
                    f"| {size} | {engine} | {name} | {run['wall']:.2f} s | {run['cpu']:.2f} s "
                    f"| {run['memory'] / 2**20:.0f} MB | {run['error']:.0f} | {run['occupancy']:.3f} "
                    f"| {run['total']:.0f} | {run['psnr']:.2f} dB |",
                    flush=True,
                )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=["256", "512", "960x544"])
    parser.add_argument("--engines", nargs="+", default=["numba", "torch"])
    parser.add_argument("--settings", nargs="+", default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--copies", type=int, default=1, help="size of the batch")
    parser.add_argument("--repeats", type=int, default=1, help="runs of each line, of which the quickest is shown")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.job:
        print(json.dumps(measure(json.loads(given.job))))
    else:
        main(given)
