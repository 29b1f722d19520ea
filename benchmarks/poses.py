"""Poses: processor time of drawing and of everything around DWPose's networks, and whether drawing is exact to a byte.

``python -m benchmarks.poses [--count 200] [--estimate-only] [--baseline CHECKOUT]``: so many random poses of 0 to 4
people are drawn at random sizes by the pack and step by step as published. The networks are stand-ins, whose own time
is taken out: what is left of an estimate is reading the picture for them and reading their answers. It is the calling
thread's: threads of a runtime go on waiting, busily, after a network has answered.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from betwixt.fcvg_core.poses.drawing import draw_poses
from betwixt.fcvg_core.poses.estimator import PoseEstimator
from betwixt.fcvg_core.poses.onnx_session import open_session
from betwixt.fcvg_core.tweening.pose_interpolation import interpolate_poses

from benchmarks.common import Report, Spread, against_baseline, options, ratio, timed
from support.models.pose_standins import build_standins
from support.pictures.published_pose_drawing import draw_as_published
from support.pictures.published_pose_estimate import detect_as_published, estimate_as_published
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

    seconds = 0.0  # of the calling thread, in all networks

    def __init__(self, session):
        self._session = session

    def run(self, *arguments):
        began = time.thread_time()
        try:
            return self._session.run(*arguments)
        finally:
            _Timed.seconds += time.thread_time() - began

    def answers(self, tensor: np.ndarray) -> list[np.ndarray]:
        return self.run(None, {self._session.get_inputs()[0].name: tensor})

    def __getattr__(self, name: str):
        return getattr(self._session, name)


def _around(work: Callable[[], object]) -> float:
    """Milliseconds of the calling thread outside the networks."""
    before, began = _Timed.seconds, time.thread_time()
    work()
    return 1000 * (time.thread_time() - began - (_Timed.seconds - before))


def measure(job: dict) -> dict:
    """Detection and poses of two people, milliseconds around the networks, in turns with the published steps."""
    picture = np.random.default_rng(0).integers(0, 256, (576, 1024, 3), np.uint8)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        sessions = [_Timed(open_session(str(path), job["runtime"])) for path in build_standins(Path(folder), 54)]
        estimator = PoseEstimator(*sessions)
        boxes = estimator.detect(picture)[:2]

        def ours():
            return estimator.detect(picture), estimator.estimate(picture, boxes=boxes)

        def published():
            found = detect_as_published(picture, sessions[0].answers)
            return found, estimate_as_published(picture, boxes, sessions[1].answers)

        (found, pose), (expected, expected_pose) = ours(), published()
        if not np.allclose(found, expected, atol=1e-3) or not np.array_equal(pose.body, expected_pose.body):
            raise RuntimeError("The published steps find other people.")
        taken = [(_around(ours), _around(published)) for _ in range(FRAMES)]
    return {"around": statistics.median(our for our, _ in taken), "published": statistics.median(b for _, b in taken)}


def estimate_table(report: Report, given) -> None:
    title = "Estimate of two people at 1024x576, around stand-in networks"
    columns = ["runtime", "ms", "as published, ms", "of that", "of the baseline's"]
    with report.table("estimate", title, columns) as table:
        for runtime in ("onnxruntime", "opencv"):
            ours, theirs = against_baseline("poses", {"runtime": runtime}, given)
            around, published = (Spread.of([run[figure] for run in ours]) for figure in ("around", "published"))
            share = Spread.of([run["around"] / run["published"] for run in ours])
            table.add(runtime, around, published, share, ratio(ours, theirs, "around"))


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
