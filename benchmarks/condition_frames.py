"""'Interpolate Conditions' at 25 frames of 1024x576: time and peak memory of the whole node.

``python -m benchmarks.condition_frames``: 300 matched lines, two people with hands and faces. Memory includes the
outputs.
"""

import numpy as np
import torch
from betwixt.fcvg_core.lines.matches import LineMatches
from betwixt.fcvg_core.poses.pose_keypoint import write_pose_keypoints
from betwixt.nodes.fcvg.conditions import InterpolateConditions

from benchmarks.common import Report, options, timed
from benchmarks.memory import PeakMemory
from support.pictures.random_poses import random_pose

HEIGHT, WIDTH, FRAMES, LINES, PEOPLE = 576, 1024, 25, 300, 2


def inputs() -> dict[str, dict]:
    """Inputs of the node by the name of the row."""
    random = np.random.default_rng(0)
    start = random.uniform(0, 1, (LINES, 1, 2)) * (WIDTH, HEIGHT) + random.normal(0, 25, (LINES, 2, 2))
    end = start + random.normal(0, 3, (LINES, 2, 2)) + (20, -8)
    lines = LineMatches(start, end, np.ones(LINES), (HEIGHT, WIDTH))
    canvas = {"canvas": (HEIGHT, WIDTH)}
    people = [random_pose(seed, PEOPLE, **canvas) for seed in (1, 2)]
    images = torch.rand(2, 1, HEIGHT, WIDTH, 3)
    both = {"line_matches": lines, "start_poses": write_pose_keypoints(people)}
    straight = {"path": {"path": "straight"}}
    return {
        "lines": {"line_matches": lines} | straight,
        "lines and poses": both | straight,
        "lines and poses, along arcs": both | {"path": {"path": "arc", "pivot": "fixed point"}},
        "lines and poses, previewed over key frames": both
        | straight
        | {"start_image": images[0], "end_image": images[1]},
    }


def main() -> None:
    given = options(__doc__).parse_args()
    report = Report("condition_frames", given)
    node = InterpolateConditions.PREPARE_CLASS_CLONE(None)
    common = {"frame_count": FRAMES, "timing": {"timing": "published"}, "hold": 1, "thickness": 1, "seed": 0}
    common |= {"joint_threshold": 0.0, "published_hands": False, "track_points": "midpoints"}
    title = f"{FRAMES} condition frames of {WIDTH}x{HEIGHT}, {LINES} lines, {PEOPLE} people"
    columns = ["conditions from", "seconds", "processor seconds", "peak memory, MiB"]
    with report.table("node", title, columns) as table, torch.inference_mode():
        for name, own in inputs().items():
            with PeakMemory() as memory:
                taken = timed(lambda own=own: node.execute(**common, **own), given.repeats)
            table.add(name, taken.wall, taken.processor, memory.mebibytes)


if __name__ == "__main__":
    main()
