import copy
import json

import numpy as np
import pytest
from betwixt.common.errors import BetwixtError
from betwixt.fcvg_core.poses.bounding_boxes import read_person_boxes
from betwixt.fcvg_core.poses.pose import PoseFrame
from betwixt.fcvg_core.poses.pose_keypoint import PARTS, read_pose_keypoints, write_pose_keypoints

from support.golden import STORED
from support.pictures.random_poses import random_pose

PRODUCERS = json.loads((STORED / "dwpose" / "pose_keypoint_two_people.json").read_text())
ARRAYS = [name for part in PARTS for name in (part, f"{part}_score")] + ["body_visible"]


def as_from_pixels(pose):
    """The pose with positions that are quotients of pixel positions, as every estimator's are."""
    size = pose.canvas[::-1]
    return PoseFrame(**{**vars(pose), **{part: getattr(pose, part) * size / size for part in PARTS}})


def frame(**person):
    return {"canvas_width": 200, "canvas_height": 100, "people": [person]}


@pytest.mark.parametrize("canvas", [(576, 1024), (333, 517), (1, 7)])
def test_what_we_write_is_read_back_exactly(canvas):
    for seed in range(20):
        pose = as_from_pixels(random_pose(seed, 3, canvas=canvas))
        written = json.loads(json.dumps(write_pose_keypoints([pose])))
        (again,) = read_pose_keypoints(written)
        assert again.canvas == pose.canvas
        for name in ARRAYS:
            assert np.array_equal(getattr(again, name), getattr(pose, name)), name
        assert write_pose_keypoints([again]) == written


def test_other_positions_come_back_within_a_unit_in_the_last_place():
    pose = random_pose(0, 3, canvas=(333, 517))
    written = write_pose_keypoints([pose])
    (again,) = read_pose_keypoints(written)
    np.testing.assert_array_max_ulp(again.face, pose.face, maxulp=1)
    assert write_pose_keypoints([again]) == written


def test_what_we_write_suits_both_other_readers():
    pose = random_pose(4, 1)
    person = write_pose_keypoints([pose])[0]["people"][0]
    lengths = {key: len(person[key]) for key, *_ in PARTS.values()}
    assert lengths == {
        "pose_keypoints_2d": 54,
        "hand_left_keypoints_2d": 63,
        "hand_right_keypoints_2d": 63,
        "face_keypoints_2d": 210,
    }
    assert set(person["pose_keypoints_2d"][2::3]) == {0.0, 1.0}
    assert person["face_keypoints_2d"][-6:] == person["pose_keypoints_2d"][42:48]
    assert write_pose_keypoints([PoseFrame.empty((10, 20))]) == [
        {"people": [], "canvas_height": 10, "canvas_width": 20}
    ]


def test_normalised_positions_are_recognised_and_pixels_divided():
    pixels = [50.0, 25.0, 1.0, 100.0, 50.0, 0.4]
    shares = [0.25, 0.25, 1.0, 0.5, 0.5, 0.4]
    for values in (pixels, shares):
        (pose,) = read_pose_keypoints([frame(pose_keypoints_2d=values)])
        assert pose.body[0, :2].tolist() == [[0.25, 0.25], [0.5, 0.5]]
        assert pose.body_score[0, :3].tolist() == [1.0, 0.4, 0.0]
        assert pose.body_visible[0, :3].tolist() == [True, True, False]
    (unscored,) = read_pose_keypoints(frame(pose_keypoints_2d=[50.0, 25.0, 0.0, 0.0, 0.0, 0.0]))
    assert unscored.body[0, 0].tolist() == [0.25, 0.25]


def test_a_single_frame_and_absent_null_or_short_parts_are_read():
    entry = frame(pose_keypoints_2d=[50.0, 25.0, 1.0], hand_left_keypoints_2d=None, face_keypoints_2d=[])
    (pose,) = read_pose_keypoints(entry)
    assert len(pose) == 1 and pose.canvas == (100, 200)
    assert not pose.body_score[0, 1:].any() and not pose.left_hand.any() and not pose.face_score.any()


def test_empty_people_and_people_of_nulls_are_nobody():
    entries = [{**frame(), "people": []}, {**frame(), "people": None}, frame(pose_keypoints_2d=None)]
    assert [len(pose) for pose in read_pose_keypoints(entries)] == [0, 0, 0]


def test_faces_may_have_68_or_70_points():
    for count in (68, 70):
        (pose,) = read_pose_keypoints([frame(face_keypoints_2d=[20.0, 10.0, 0.5] * count)])
        assert (pose.face == 0.1).all() and (pose.face_score == 0.5).all()


def test_scores_beside_the_points_win_unless_the_points_were_edited():
    (entry,) = write_pose_keypoints([random_pose(2, 1)])
    body, kept = entry["people"][0]["pose_keypoints_2d"], entry["people"][0]["scores"]["pose"]
    seen = [index for index, score in enumerate(kept) if score > 0.3]
    body[3 * seen[0] + 2] = 0.0  # the user removes a joint
    body[3 * seen[1]] = 512.0  # and moves another
    (pose,) = read_pose_keypoints([entry])
    assert pose.body_score[0, seen[0]] == 0 and not pose.body_visible[0, seen[0]]
    assert pose.body_score[0, seen[1]] == kept[seen[1]] and pose.body[0, seen[1], 0] == 0.5


@pytest.mark.parametrize("producer", ["controlnet_aux", "comfyui_core_sdpose"])
def test_other_packs_data_survive_reading_and_writing(producer):
    before = copy.deepcopy(PRODUCERS[producer])
    (pose,) = read_pose_keypoints(PRODUCERS[producer])
    assert PRODUCERS[producer] == before
    (again,) = read_pose_keypoints(write_pose_keypoints([pose]))
    for name in ARRAYS:
        assert np.array_equal(getattr(again, name), getattr(pose, name)), name


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "is empty"),
        (None, "NoneType"),
        ("{}", "str"),
        ([1], "no 'people' in frame 0 of 'poses'"),
        ([{"canvas_width": 5, "canvas_height": 5}], "no 'people' in frame 0 of 'poses'"),
        ([{"version": "ap10k", "animals": [], "canvas_width": 5, "canvas_height": 5}], "animal"),
        ([{**frame(), "animals": [[0] * 51]}], "animal"),
        ([{"people": []}], "no size of the picture in frame 0 of 'poses'"),
        ([{**frame(), "canvas_width": 0}], "canvas_width = 0"),
        ([{**frame(), "canvas_height": -4}], "canvas_height = -4"),
        ([{**frame(), "canvas_height": float("nan")}], "canvas_height = nan"),
        ([{**frame(), "canvas_height": "720"}], "canvas_height = '720'"),
        ([{**frame(), "people": {"pose_keypoints_2d": []}}], "no list of people"),
        ([{**frame(), "people": [3]}], "no list of people"),
        ([frame(), frame(pose_keypoints_2d=[0.0] * 78)], "in frame 1 of 'poses' has 78 numbers.*BODY_25"),
        ([frame(hand_left_keypoints_2d=[1.0, 2.0])], "has 2 numbers"),
        ([frame(pose_keypoints_2d=[1.0, float("nan"), 1.0])], "no finite number"),
        ([frame(face_keypoints_2d=[1.0, float("inf"), 1.0])], "no finite number"),
        ([frame(pose_keypoints_2d=[1.0, "left", 1.0])], "no finite number"),
        ([frame(pose_keypoints_2d=[1.0, 2.0, 1.0], scores={"pose": ["high"]})], "'scores' of person 0"),
    ],
)
def test_errors_say_what_is_wrong(value, message):
    with pytest.raises(BetwixtError, match=message):
        read_pose_keypoints(value)


BOX = {"x": 10, "y": 20, "width": 30, "height": 40}
CORNERS = [[10, 20, 40, 60]]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (BOX, [CORNERS, CORNERS, CORNERS]),
        ([BOX, BOX], [CORNERS * 2] * 3),
        ([[BOX], [], [BOX, BOX]], [CORNERS, [], CORNERS * 2]),
        ([[BOX], []], [CORNERS, [], []]),
        ([], [[], [], []]),
        ([[{**BOX, "label": "chair"}, {**BOX, "label": "person", "score": 0.9}]], [CORNERS] * 3),
    ],
)
def test_bounding_boxes_of_the_hosts_detectors(value, expected):
    assert [boxes.tolist() for boxes in read_person_boxes(value, 3)] == expected


@pytest.mark.parametrize("value", ["box", 3, [[3]], {"x": 1}, {**BOX, "width": 0}, [[{**BOX, "y": float("nan")}]]])
def test_malformed_boxes_are_refused(value):
    with pytest.raises(BetwixtError, match="'bboxes' contains"):
        read_person_boxes(value, 2)
