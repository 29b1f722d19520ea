"""Posed figures: bones keep their lengths while they turn, the body follows them, nothing comes apart."""

import numpy as np
import pytest
from betwixt.demo.walker import joints, pose_keypoint
from betwixt.fcvg_core.inbetween.motion.skinning import NECK, ROOT, TREE, figures
from betwixt.fcvg_core.poses.pose import PoseFrame
from betwixt.fcvg_core.poses.pose_keypoint import read_pose_keypoints

SIZE = (576, 1024)


@pytest.fixture(scope="module")
def figure():
    first, last = (read_pose_keypoints(pose_keypoint(time), "poses")[0] for time in (0.0, 1.0))
    (found,) = figures(first, last, SIZE)
    return found


def lengths(places):
    return np.array([np.linalg.norm(places[child] - places[parent]) for parent, child in TREE])


def test_all_bones_of_the_walker_are_found_where_they_are(figure):
    assert figure.bones == tuple(range(len(TREE)))
    for side, time in ((0, 0.0), (1, 1.0)):
        assert np.allclose(figure.joints[side][:18], joints(time) - 0.5)


def test_joints_are_exact_at_the_key_frames_and_bones_keep_their_lengths_between(figure):
    for side in (0, 1):
        known = np.r_[:14, ROOT]
        assert np.allclose(figure.at(float(side))[known], figure.joints[side][known], atol=1e-6)
    ends = [lengths(side) for side in figure.joints]
    between = lengths(figure.at(0.4))
    assert np.allclose(between, 0.6 * ends[0] + 0.4 * ends[1], atol=1e-6)


@pytest.mark.parametrize("side", [0, 1])
def test_pixels_on_a_bone_go_with_it(figure, side):
    for parent, child in TREE[:9]:
        middle = figure.joints[side][[parent, child]].mean(axis=0)[None]
        wanted = figure.joints[1 - side][[parent, child]].mean(axis=0) - middle[0]
        assert np.linalg.norm(figure.displacement(side, middle)[0] - wanted) < 6  # px of a figure 196 px tall


def test_the_way_begins_and_ends_without_detour(figure):
    points = figure.joints[0][:14]
    for time in (0.0, 1.0):
        assert np.abs(figure.detour(0, points, time)).max() < 1e-3  # px; weights are float32
    assert np.abs(figure.detour(0, points, 0.5)).max() > 1  # legs swing


def test_neighbouring_pixels_stay_neighbours(figure):
    line = np.linspace(figure.joints[0][NECK], figure.joints[0][ROOT], 200)
    moved = line + figure.displacement(0, line)
    steps = np.linalg.norm(np.diff(moved, axis=0), axis=-1)
    assert steps.max() < 3 * np.median(steps)


def test_belonging_to_the_figure_is_cheap_on_it_and_dear_beside_it(figure):
    on, beside = figure.joints[0][[NECK]], figure.joints[0][[NECK]] + [150, 0]
    assert figure.reluctance(0, on[None])[0, 0] < 0
    assert figure.reluctance(0, beside[None])[0, 0] > 1


def test_nobody_and_people_seen_too_little_make_no_figure():
    first, last = (read_pose_keypoints(pose_keypoint(time), "poses")[0] for time in (0.0, 1.0))
    assert figures(PoseFrame.empty(SIZE), last, SIZE) == []
    hidden = pose_keypoint(0.0)
    flat = hidden[0]["people"][0]["pose_keypoints_2d"]
    flat[2::3] = [0.1] * 18
    assert figures(read_pose_keypoints(hidden, "poses")[0], last, SIZE) == []
    assert len(figures(first, last, SIZE)) == 1


def test_a_larger_picture_has_the_same_motion(figure):
    points = figure.joints[0][:5]
    double = figure.scaled(2.0)
    assert np.allclose(double.displacement(0, points * 2 + 0.5), 2 * figure.displacement(0, points), atol=1e-3)
