"""What users write or paste: files of poses, coordinates of paths, timing charts, lists of numbers."""

import importlib
import random
from pathlib import Path

from .json_mutators import damaged_json
from .mutators import damaged
from .target import Target

LARGEST = 1024  # px; drawing what a damaged file says may rightly take more time and memory than a case is given
BODY = [value for number in range(18) for value in (10.5 + 2 * number, 60 - 3 * number, 0.1 * (number % 10))]
HAND = [value for number in range(21) for value in (number, 30.0, 0.5)]
PERSON = {"pose_keypoints_2d": BODY, "hand_left_keypoints_2d": HAND, "hand_right_keypoints_2d": None}
POSES = (
    [{"people": [PERSON, {**PERSON, "face_keypoints_2d": [1.0] * 210}], "canvas_width": 64, "canvas_height": 48}] * 2,
    {"version": 1.3, "people": [{"person_id": [-1], "pose_keypoints_2d": BODY + [0.0] * 21}]},
    {"width": 64, "height": 64, "people": [{"pose_keypoints_2d": [-1, -1, 0] * 3 + BODY[9:]}]},
    [{"people": [{"pose_keypoints_2d": BODY[:34]}], "canvas_width": 64, "canvas_height": 64, "scores": [[0.5] * 18]}],
    [{"animals": [[[1, 2, 1]] * 17], "canvas_width": 64, "canvas_height": 64}],
)
PATH = [{"x": 10, "y": 20.5}, {"x": 30, "y": 40}, {"x": -3, "y": 1e3}]
TEXTS = (
    b"1/8, 1/4 | 1/2; .75\n100%",
    b".125 .25 .5 -1 2",
    b"0, 12, 24 36;48\n60",
    b"1.5e3, -.5 +2. 7",
    b"0:1.0, 12:0.5",
    b"a | b\nc",
)
GAPS, FRAMES = 3, 9
PER_GAP = (b"ease-in-out\n1/4, 1/2, 3/4\n", b"0, .1 .2 .3 .4 .5 .6 .9 1\n\nlinear", b"hold\r\nease-in\nease")
ALPHABET = b"0123456789.,;|/%+-eE \n\t\x00\xc2\xb2\xd9\xa1ax"


def _read_poses(path: Path) -> None:
    from betwixt.fcvg_core.poses.drawing import draw_poses
    from betwixt.fcvg_core.poses.pose_keypoint import (
        read_pose_keypoints,
        standard_pose_keypoints,
        write_pose_keypoints,
    )
    from betwixt.nodes.host.services.pose_files import load_json

    for canvas in (None, (48, 64)):
        frames = read_pose_keypoints(standard_pose_keypoints(load_json(str(path)), path.name, canvas), "poses")
        size = frames[0].canvas
        if max(size) <= LARGEST and len(frames) <= 4:
            draw_poses(frames, *size)
        read_pose_keypoints(write_pose_keypoints(frames))


def _read_coordinates(path: Path) -> None:
    from betwixt.fcvg_core.tweening.coordinate_paths import parse_coordinates

    parse_coordinates(path.read_text("utf-8", "surrogateescape"))


def _read_numbers(path: Path) -> None:
    from betwixt.common.errors import BetwixtError
    from betwixt.common.number_lists import parse_numbers, parse_whole_numbers
    from betwixt.fcvg_core.tweening.timing_chart import parse_chart

    text = path.read_text("utf-8", "surrogateescape")
    for read in (
        parse_chart,
        lambda text: parse_numbers(text, "weights"),
        lambda text: parse_whole_numbers(text, "numbers", negative=True),
        lambda text: parse_whole_numbers(text, "numbers"),
    ):
        try:
            read(text)
        except BetwixtError as error:
            str(error).encode("utf-8", "surrogateescape")


def _read_timings(path: Path) -> None:
    from betwixt.nodes.fcvg.condition_inputs import fractions_of
    from betwixt.nodes.inbetween.rendering import _timings

    text = path.read_text("utf-8", "surrogateescape")
    for timing in _timings({"timing": "even"}, text, GAPS):
        fractions_of(timing, FRAMES, 1)


def _host(_: Path) -> None:
    from support.bootstrap import use_host

    use_host()
    importlib.import_module("betwixt.nodes.host.services.pose_files")


def _host_of_timings(folder: Path) -> None:
    _host(folder)
    importlib.import_module("betwixt.nodes.inbetween.rendering")


def _numbers(draws: random.Random, seeds: tuple[bytes, ...] = TEXTS) -> bytes:
    text = damaged(draws.choice(seeds), draws, ALPHABET)
    return (
        text * draws.choice((1, 1, 1, 1, 300)) if draws.random() < 0.98 else draws.choice((b"9", b"1/", b" ")) * 200_000
    )


TARGETS = {
    "poses": Target(lambda draws: damaged_json(draws.choice(POSES), draws), _read_poses, ".json", begin=_host),
    "coordinates": Target(
        lambda draws: damaged_json(draws.choice((PATH, [PATH, PATH[:2]])), draws),
        _read_coordinates,
        ".txt",
        ("betwixt.fcvg_core.tweening.coordinate_paths",),
    ),
    "timings": Target(lambda draws: _numbers(draws, PER_GAP), _read_timings, ".txt", begin=_host_of_timings),
    "numbers": Target(_numbers, _read_numbers, ".txt", ("betwixt.fcvg_core.tweening.timing_chart",)),
}
