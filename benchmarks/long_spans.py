"""Frames between two key frames: time and memory of each frame as they become more.

``python -m benchmarks.long_spans``: 'Stylise Clip' with DIS flow and few searches on a pattern that sways by 16 pixels,
so that every frame is equally hard, and 'Interpolate Conditions' with a person, at a small size. The lengths are taken
in turns, so that a busy moment of the machine hits all of them. Memory is measured in processes of their own: what one
holds for itself beyond the clip that is read; what is kept of an interval goes to a file here from 4 MiB on instead of
1 GiB. The condition pictures are one batch, 0.05 MiB a frame.
"""

import json
from collections.abc import Callable

import torch
from betwixt.fcvg_core.poses.pose_keypoint import write_pose_keypoints
from betwixt.rerender_core.ebsynth import frame_store
from betwixt.rerender_core.ebsynth.propagation import PropagationOptions
from betwixt.rerender_core.ebsynth.stylisation import ClipOptions, stylise_clip
from betwixt.rerender_core.ebsynth.stylised_keys import StylisedKeys
from betwixt.rerender_core.ebsynth.synthesis.solver import SynthesisOptions
from betwixt.rerender_core.flow.estimation import DenseInverseSearch

from benchmarks.common import Report, Spread, alone, in_turns, options
from benchmarks.memory import PeakMemory
from support.pictures.random_poses import random_pose

LENGTHS = (50, 100, 200, 400)
SIZE, SWAY = 64, 16  # pixels
QUICK = ClipOptions(PropagationOptions(synthesis=SynthesisOptions(vote_iterations=2, match_iterations=2)))


def stylise(count: int) -> Callable[[], None]:
    """``count`` frames of a pattern that sways, between two painted ones; finished frames are not kept."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, SIZE // 8, (SIZE + SWAY) // 8, generator=generator)
    pattern = torch.nn.functional.interpolate(coarse, scale_factor=8, mode="bicubic").clamp(0, 1)[0].movedim(0, -1)
    places = [abs((number // 2 + SWAY) % (2 * SWAY) - SWAY) for number in range(count + 2)]
    frames = torch.stack([pattern[:, place : place + SIZE] for place in places])
    keys = StylisedKeys.of(1 - frames[[0, -1]], [0, count + 1])

    def work() -> None:
        for _ in stylise_clip(frames, keys, DenseInverseSearch(), QUICK):
            pass

    return work


def interpolate(count: int) -> Callable[[], None]:
    """``count`` condition frames of a person."""
    from betwixt.nodes.fcvg.conditions import InterpolateConditions

    poses = write_pose_keypoints([random_pose(seed, 1, canvas=(SIZE, SIZE)) for seed in (1, 2)])
    node = InterpolateConditions.PREPARE_CLASS_CLONE(None)
    settings = {"timing": {"timing": "even"}, "hold": 1, "path": {"path": "straight"}, "thickness": 1, "seed": 0}
    settings |= {"joint_threshold": 0.0, "published_hands": False, "track_points": "midpoints"}
    return lambda: node.execute(frame_count=count, start_poses=poses, **settings)


# How often each is repeated for one repeat: 750 condition frames take a second, as many painted ones half a minute.
WORKS = {"Stylise Clip": (stylise, 1), "Interpolate Conditions": (interpolate, 5)}


def job(name: str, count: int) -> None:
    """Print the MiB of a clip."""
    torch.set_num_threads(1)
    frame_store.IN_MEMORY = 4 << 20
    make, _ = WORKS[name]
    make(6)()
    work = make(count)
    with PeakMemory() as memory, torch.inference_mode():
        work()
    print(json.dumps({"mebibytes": memory.unmapped}))


def main() -> None:
    given = options(__doc__, repeats=3, threads=1).parse_args()
    if given.job:
        job(**json.loads(given.job))
        return
    report = Report("long_spans", given)
    columns = ["node", "frames between the key frames", "processor ms per frame", "memory of its own, MiB"]
    with report.table("lengths", f"Two key frames of {SIZE}x{SIZE} and the frames between them", columns) as table:
        for name, (make, often) in WORKS.items():
            with torch.inference_mode():
                make(6)()  # compiles
                works = {count: make(count) for count in LENGTHS}
                times = in_turns(works, often * given.repeats, warm_up=int(often > 1))
            for count in LENGTHS:
                seconds = times[count].processor
                per_frame = Spread(*(1000 * value / count for value in (seconds.median, seconds.low, seconds.high)))
                table.add(name, count, per_frame, alone("long_spans", {"name": name, "count": count})["mebibytes"])


if __name__ == "__main__":
    main()
