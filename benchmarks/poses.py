"""Poses: processor time of drawing and of everything around DWPose's networks, and whether drawing is exact to a byte.

``python -m benchmarks.poses [--count 200] [--estimate-only] [--baseline CHECKOUT]``: so many random poses of 0 to 4
people are drawn at random sizes by the pack and step by step as published. The networks are stand-ins, whose own time
is taken out: what is left of an estimate is reading the picture for them and reading their answers.
"""

import json
import statistics
import tempfile
from pathlib import Path

import cv2
import numpy as np
from betwixt.fcvg_core.poses.drawing import draw_poses
from betwixt.fcvg_core.poses.estimator import PoseEstimator
from betwixt.fcvg_core.poses.onnx_session import open_session
from betwixt.fcvg_core.tweening.pose_interpolation import interpolate_poses

from benchmarks.common import Clock, Report, Spread, against_baseline, options, ratio, timed
from support.models.pose_standins import build_standins
from support.pictures.published_pose_drawing import draw_as_published
from support.pictures.random_poses import random_pose

SIZES = ((576, 1024), (512, 512), (1080, 1920))
FRAMES = 25


def milliseconds(action, repeats: int, share: int = 1) -> Spread:
    """Of one of ``share`` equal parts of the action."""
    taken = timed(action, repeats).processor
    return Spread(*(1000 * value / share for value in (taken.median, taken.low, taken.high)))


def drawing_table(report: Report, repeats: int) -> None:
    columns = ["picture", "people", "ms per frame", "as published, ms"]
    with report.table("drawing", "Drawing poses", columns) as table:
        for height, width in SIZES:
            for people in (1, 2, 4):
                first, last = random_pose(people, people), random_pose(people + 50, people)
                frames = interpolate_poses(first, last, np.linspace(0, 1, FRAMES))
                quick = milliseconds(lambda f=frames, h=height, w=width: draw_poses(f, h, w), repeats, FRAMES)
                slow = milliseconds(lambda f=frames, h=height, w=width: draw_as_published(f[12], h, w), repeats)
                table.add(f"{width}x{height}", people, quick, slow)


def exactness(report: Report, count: int) -> None:
    random = np.random.default_rng(0)
    differing = 0
    for seed in range(count):
        height, width = (int(side) for side in random.integers(128, 1400, 2))
        pose = random_pose(seed, seed % 5, spread=random.choice([0.1, 0.3, 1.0]))
        differing += not np.array_equal(draw_poses([pose], height, width)[0], draw_as_published(pose, height, width))
    title = "Random poses at random sizes against the published procedure"
    with report.table("exactness", title, ["poses", "that differ in any byte"]) as table:
        table.add(count, differing)


class _Timed:
    """A session whose network is timed."""

    def __init__(self, session, clock: Clock):
        self._session, self._clock = session, clock

    def run(self, *arguments):
        with self._clock:
            return self._session.run(*arguments)

    def __getattr__(self, name: str):
        return getattr(self._session, name)


def measure(job: dict) -> dict:
    """Detection and poses of two people; milliseconds of processor time around the networks, and with them."""
    picture = np.random.default_rng(0).integers(0, 256, (576, 1024, 3), np.uint8)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        files = build_standins(Path(folder), 54)
        networks, around, both = Clock(), [], []
        estimator = PoseEstimator(*(_Timed(open_session(str(path), job["runtime"]), networks) for path in files))
        boxes = estimator.detect(picture)[:2]
        for _ in range(FRAMES):
            before = networks.processor
            with Clock() as clock:
                estimator.detect(picture)
                estimator.estimate(picture, boxes=boxes)
            both.append(1000 * clock.processor)
            around.append(both[-1] - 1000 * (networks.processor - before))
    return {"around": statistics.median(around[1:]), "both": statistics.median(both[1:])}


def estimate_table(report: Report, given) -> None:
    title = "Estimate of two people at 1024x576, stand-in networks"
    columns = ["runtime", "around the networks, processor ms", "of the baseline's", "with the stand-ins"]
    with report.table("estimate", title, columns) as table:
        for runtime in ("onnxruntime", "opencv"):
            ours, theirs = against_baseline("poses", {"runtime": runtime}, given)
            around, both = (Spread.of([run[figure] for run in ours]) for figure in ("around", "both"))
            table.add(runtime, around, ratio(ours, theirs, "around"), both)


def main(given) -> None:
    report = Report("poses", given)
    estimate_table(report, given)
    if not given.estimate_only:
        drawing_table(report, given.repeats)
        exactness(report, given.count)


if __name__ == "__main__":
    parser = options(__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--estimate-only", action="store_true", help="measure no drawing")
    arguments = parser.parse_args()
    if arguments.job:
        print(json.dumps(measure(json.loads(arguments.job))))
    else:
        main(arguments)
