"""Match Lines at 1024x576 with GlueStick's pipeline at full size: time of each stage and peak memory.

``python -m benchmarks.gluestick [quick|exact]``: two threads, synthetic weights (the work does not depend on their
values), 300 lines and 1000 points a picture. Times are medians; memory is that of the process at its peak (Linux) less
what it held before the weights were loaded.
"""

import sys
import time
from statistics import median

import numpy as np
import torch
from betwixt.fcvg_core.lines.gluestick.loading import load_gluestick, load_superpoint
from betwixt.fcvg_core.lines.gluestick.matcher import GlueStickMatcher

from support.models.published_gluestick import gluestick_weights, superpoint_weights
from support.pictures.drawn_scenes import SCENES, drawn_layers
from support.pictures.moved_pictures import moved_pair

SIZE = (576, 1024)
REPEATS = 5
STAGES = ("Finding line segments", "Finding interest points", "Matching")


def memory(field: str) -> float:
    """MiB of this process: VmRSS, what it holds, or VmHWM, the most it held since :func:`forget_peak`."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(field)) / 1024


def forget_peak() -> None:
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def drawn_pair(scene: str) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    pair = moved_pair(drawn_layers(scene, SIZE, random, textured=True), "translation", SIZE, random)
    return pair.first, pair.last


def stage_seconds(matcher: GlueStickMatcher, first: np.ndarray, last: np.ndarray) -> list[float]:
    """Time of each stage and of the whole."""
    marks = []
    matcher.match(first, last, lambda share, text: marks.append((text, time.perf_counter())))
    spent = dict.fromkeys(STAGES, 0.0)
    for (text, begin), (_, end) in zip(marks[:-1], marks[1:], strict=True):
        spent[text] += end - begin
    return [*spent.values(), marks[-1][1] - marks[0][1]]


def main(detector: str) -> None:
    torch.set_num_threads(2)
    pairs = {scene: drawn_pair(scene) for scene in SCENES}
    idle = memory("VmRSS")
    matcher = GlueStickMatcher(
        load_superpoint(superpoint_weights()),
        load_gluestick(gluestick_weights("full_manifest.json.gz")),
        resident=lambda memory: torch.device("cpu"),
        detector=detector,
    )
    print(f"| pair ({detector} detector) | segments | SuperPoint | GlueStick | in all | peak memory above idle |")
    print("|" + " --- |" * 6)
    for scene, pair in pairs.items():
        forget_peak()
        with torch.inference_mode():
            runs = [stage_seconds(matcher, *pair) for _ in range(REPEATS)]
        times = " | ".join(f"{median(column):.2f} s" for column in zip(*runs, strict=True))
        print(f"| drawn: {scene} | {times} | {memory('VmHWM') - idle:.0f} MiB |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "quick")
