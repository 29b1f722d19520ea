"""Pose files of other programs become OpenPose's 18 points with scores and a canvas."""

import numpy as np
import pytest
from betwixt.common.errors import BetwixtError
from betwixt.fcvg_core.poses.pose_keypoint import read_pose_keypoints, standard_pose_keypoints

CANVAS = (480, 640)
# (x, y, score) of a body's 25 points, all different; x encodes the point
BODY_25 = [[10.0 * point + 10, 100.0 + point, 0.5 + point / 100] for point in range(25)]


def frame(points, **more):
    return {"people": [{"pose_keypoints_2d": [value for point in points for value in point]}], **more}


def read(entry, canvas=CANVAS):
    (pose,) = read_pose_keypoints([entry], "poses", canvas)
    return np.column_stack([pose.body[0] * (pose.canvas[1], pose.canvas[0]), pose.body_score[0]]), pose


def test_body_25_loses_hip_centre_and_feet():
    points, pose = read({"version": 1.3, **frame(BODY_25)})
    assert pose.canvas == CANVAS
    assert np.abs(points - np.array([BODY_25[row] for row in (*range(8), *range(9, 19))])).max() < 1e-9


@pytest.mark.parametrize("count", [18, 25])
def test_points_without_scores_are_seen_unless_they_stand_at_zero(count):
    places = [point[:2] for point in BODY_25[:count]]
    places[3] = [0, 0]
    points, _ = read(frame(places))
    assert points[2].tolist() == [30.0, 102.0, 1.0] and points[3].tolist() == [0, 0, 0]
    assert points[8].tolist() == [*BODY_25[9 if count == 25 else 8][:2], 1.0]


def test_coco_order_gets_a_neck():
    names = "nose leye reye lear rear lsho rsho lelb relb lwri rwri lhip rhip lkne rkne lank rank".split()
    coco = {name: [20.0 + index, 50.0 + 2 * index, 0.9 - index / 100] for index, name in enumerate(names)}
    points, _ = read(frame(coco.values()))
    order = "nose . rsho relb rwri lsho lelb lwri rhip rkne rank lhip lkne lank reye leye rear lear".split()
    for place, name in enumerate(order):
        if name != ".":
            assert np.abs(points[place] - coco[name]).max() < 1e-9, name
    assert np.abs(points[1] - [25.5, 61.0, coco["rsho"][2]]).max() < 1e-9


@pytest.mark.parametrize("count", [133, 134])
def test_whole_body_order_gives_face_and_hands(count):
    whole = [[float(point), 100.0 + point, 0.8] for point in range(count)]
    _, pose = read(frame(whole))
    first = count - 133
    assert (pose.face[0, 0, 0] * 640, pose.face[0, -1, 0] * 640) == pytest.approx((23 + first, 90 + first))
    assert pose.left_hand[0, 0, 0] * 640 == pytest.approx(91 + first)
    assert pose.right_hand[0, 0, 0] * 640 == pytest.approx(112 + first)


def test_editors_write_width_and_height_and_minus_one():
    body = [list(point) for point in BODY_25[:18]]
    body[4] = [-1, -1, 0]
    points, pose = read(frame(body, width=512, height=256), canvas=None)
    assert pose.canvas == (256, 512) and points[4].tolist() == [0, 0, 0] and points[5].tolist() == BODY_25[5]


def test_a_canvas_must_come_from_somewhere():
    with pytest.raises(BetwixtError, match="'width' and 'height' of 'Load Pose Keypoints'"):
        read(frame(BODY_25), canvas=None)


def test_files_stay_without_canvas_until_a_picture_gives_one():
    (kept,) = standard_pose_keypoints([frame(BODY_25)], "a file")
    assert "canvas_width" not in kept and len(kept["people"][0]["pose_keypoints_2d"]) == 54
    (known,) = standard_pose_keypoints(frame(BODY_25), "a file", CANVAS)
    assert (known["canvas_height"], known["canvas_width"]) == CANVAS
    assert np.array_equal(read(kept)[0], read(known, None)[0])


def test_the_usual_layout_is_not_touched():
    usual = frame(BODY_25[:18], canvas_width=640, canvas_height=480)
    assert standard_pose_keypoints([usual], "a file")[0] is usual


@pytest.mark.parametrize("count", [19, 26, 60])
def test_other_bodies_are_refused(count):
    with pytest.raises(BetwixtError, match=f"has {3 * count} numbers"):
        read(frame((BODY_25 * 3)[:count]))
