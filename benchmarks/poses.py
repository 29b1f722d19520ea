"""Poses: time of drawing and of everything around DWPose's networks, and the check that drawing is exact to the byte.

``python -m benchmarks.poses [COUNT]``: COUNT random poses (default 200) of 0 to 4 people are drawn at random sizes by
the pack and step by step as published. Times are medians per frame. The networks are stand-ins, so the time of an
estimate is that of detection and pose estimation without the networks' own.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
from betwixt.fcvg_core.poses.drawing import draw_poses
from betwixt.fcvg_core.poses.estimator import PoseEstimator
from betwixt.fcvg_core.poses.onnx_session import open_session
from betwixt.fcvg_core.tweening.pose_interpolation import interpolate_poses

from support.models.pose_standins import build_standins
from support.pictures.published_pose_drawing import draw_as_published
from support.pictures.random_poses import random_pose

SIZES = ((576, 1024), (512, 512), (1080, 1920))
FRAMES, REPEATS = 25, 5


def milliseconds(action: Callable[[], object], repeats: int = REPEATS) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return 1000 * median(times)


def drawing_table() -> None:
    print("| picture | people | ms per frame | as published, ms |\n|---|---|---|---|")
    for height, width in SIZES:
        for people in (1, 2, 4):
            first, last = random_pose(people, people), random_pose(people + 50, people)
            frames = interpolate_poses(first, last, np.linspace(0, 1, FRAMES))
            quick = milliseconds(lambda f=frames, h=height, w=width: draw_poses(f, h, w)) / FRAMES
            slow = milliseconds(lambda f=frames, h=height, w=width: draw_as_published(f[12], h, w))
            print(f"| {width}x{height} | {people} | {quick:.1f} | {slow:.0f} |")


def exactness(count: int) -> None:
    random = np.random.default_rng(0)
    differing = 0
    for seed in range(count):
        height, width = (int(side) for side in random.integers(128, 1400, 2))
        pose = random_pose(seed, seed % 5, spread=random.choice([0.1, 0.3, 1.0]))
        differing += not np.array_equal(draw_poses([pose], height, width)[0], draw_as_published(pose, height, width))
    print(f"\n{count} random poses at random sizes: {differing} differ from the published procedure in any byte")


def estimate_table() -> None:
    print("\n| runtime | estimate of two people at 1024x576, stand-in networks, ms |\n|---|---|")
    picture = np.random.default_rng(0).integers(0, 256, (576, 1024, 3), np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        files = build_standins(Path(folder), 54)
        for runtime in ("onnxruntime", "opencv"):
            estimator = PoseEstimator(*(open_session(str(path), runtime) for path in files))
            boxes = estimator.detect(picture)[:2]
            whole = milliseconds(lambda e=estimator, b=boxes: (e.detect(picture), e.estimate(picture, boxes=b)))
            print(f"| {runtime} | {whole:.0f} |")


if __name__ == "__main__":
    drawing_table()
    exactness(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
    estimate_table()
