"""Match Lines at 1024x576 with GlueStick's pipeline at full size: processor time of each stage and peak memory.

``python -m benchmarks.gluestick [--detector exact]``: synthetic weights (the work does not depend on their values), 300
lines and 1000 points a picture. Memory includes the weights.
"""

import time

import numpy as np
import torch
from betwixt.fcvg_core.lines.gluestick.loading import load_gluestick, load_superpoint
from betwixt.fcvg_core.lines.gluestick.matcher import GlueStickMatcher

from benchmarks.common import Clock, Report, Spread, options
from benchmarks.memory import PeakMemory
from support.models.published_gluestick import gluestick_weights, superpoint_weights
from support.pictures.drawn_scenes import SCENES, drawn_layers
from support.pictures.moved_pictures import moved_pair

SIZE = (576, 1024)
STAGES = ("Finding line segments", "Finding interest points", "Matching")


def drawn_pair(scene: str) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    pair = moved_pair(drawn_layers(scene, SIZE, random, textured=True), "translation", SIZE, random)
    return pair.first, pair.last


def stage_seconds(matcher: GlueStickMatcher, first: np.ndarray, last: np.ndarray) -> list[float]:
    """Processor seconds of each stage and of the whole."""
    marks = []
    with Clock() as clock:
        matcher.match(first, last, lambda share, text: marks.append((text, time.process_time())))
    spent = dict.fromkeys(STAGES, 0.0)
    for (text, begin), (_, end) in zip(marks[:-1], marks[1:], strict=True):
        spent[text] += end - begin
    return [*spent.values(), clock.processor]


def main() -> None:
    parser = options(__doc__, repeats=3)
    parser.add_argument("--detector", default="quick", choices=("quick", "exact"))
    given = parser.parse_args()
    report = Report("gluestick", given)
    title = f"Match Lines with GlueStick, one pair of {SIZE[1]}x{SIZE[0]}, {given.detector} detector"
    times = ["line segments, s", "SuperPoint, s", "GlueStick, s", "all, s"]
    with report.table(given.detector, title, ["pair", *times, "peak memory, MiB"]) as table, torch.inference_mode():
        for scene in SCENES:
            pair = drawn_pair(scene)
            with PeakMemory() as memory:
                matcher = GlueStickMatcher(
                    load_superpoint(superpoint_weights()),
                    load_gluestick(gluestick_weights("full_manifest.json.gz")),
                    resident=lambda memory: torch.device("cpu"),
                    detector=given.detector,
                )
                _, *runs = [stage_seconds(matcher, *pair) for _ in range(1 + given.repeats)]  # the first warms up
            table.add(f"drawn: {scene}", *map(Spread.of, zip(*runs, strict=True)), memory.mebibytes)


if __name__ == "__main__":
    main()
