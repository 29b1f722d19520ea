"""Drawn paths: reading them, and how they pull lines and people."""

import json

import numpy as np
import pytest
from betwixt.common.errors import BetwixtError
from betwixt.fcvg_core.poses.pose import PoseFrame
from betwixt.fcvg_core.tweening.coordinate_paths import parse_coordinates
from betwixt.fcvg_core.tweening.drawn_paths import DrawnPath, paths_from_tracks, pull, pull_poses, pull_segments
from betwixt.fcvg_core.tweening.line_interpolation import interpolate_segments

HOP = DrawnPath.sampled(np.array([[100, 300], [200, 100], [300, 300]]))  # 200 px above the straight way at its top


def points(*rows):
    return [{"x": x, "y": y} for x, y in rows]


def test_one_path_several_paths_and_single_quotes():
    one, other = points((1, 2), (3.5, 4)), points((5, 6), (7, 8), (9, 10))
    assert [path.tolist() for path in parse_coordinates(json.dumps(one))] == [[[1, 2], [3.5, 4]]]
    both = parse_coordinates(str([one, other]))
    assert [path.tolist() for path in both] == [[[1, 2], [3.5, 4]], [[5, 6], [7, 8], [9, 10]]]
    assert parse_coordinates(" \n") == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"x": 1, "y": 2}, {"x": 3, "y": }]', r"break off at character 34, at '}]'"),
        ('[{"x": 1, "y": 2}', r"break off at character 18, at its end"),
        ("hello", r"character 1, at 'hello'"),
        ('{"x": 1, "y": 2}', r'are \{"x": 1, "y": 2\}, not a list'),
        ("[]", r"not a list of points"),
        ('[{"x": 1, "y": 2}]', r"Path 1 of the coordinates has 1 point, a path needs 2"),
        ("[[]]", r"Path 1 of the coordinates has 0 points"),
        ('[[{"x": 1, "y": 2}, {"x": 3, "y": 4}], 7]', r"Path 2 of the coordinates is 7"),
        ('[[{"x": 1, "y": 2}, {"x": 3}]]', r"Point 2 of path 1 of the coordinates has no number 'y': \{\"x\": 3\}"),
        ('[{"x": 1, "y": 2}, {"x": "3", "y": 4}]', r"Point 2 of path 1 .* no number 'x'"),
        ('[{"x": 1, "y": NaN}, {"x": 3, "y": 4}]', r"Point 1 of path 1 .* no number 'y'"),
        ('[{"x": 1, "y": 2}, [3, 4]]', r"Point 2 of path 1 of the coordinates is \[3, 4\]"),
        ('[{"x": 1, "y": 2}, {"x": 3, "y": 1e9}]', r"Point 2 of path 1 .* lies 1e\+09 pixels away"),
    ],
)
def test_malformed_coordinates_are_refused_with_their_place(text, message):
    with pytest.raises(BetwixtError, match=message):
        parse_coordinates(text)


def test_tracks_become_paths_of_their_visible_frames():
    path = np.zeros((5, 4, 2), np.float32)
    path[:, :, 0] = np.arange(5)[:, None] * 10
    path[2, 1] = np.nan
    visible = np.ones((5, 4), bool)
    visible[0, 0] = visible[3, 0] = False
    visible[:, 2] = [True, False, False, False, False]
    found = paths_from_tracks(path, visible)
    assert [track.times.tolist() for track in found] == [[0.25, 0.5, 1], [0, 0.25, 0.75, 1], [0, 0.25, 0.5, 0.75, 1]]
    assert found[0].at(np.array([0, 0.75, 1]))[:, 0].tolist() == [10, 30, 40]
    assert len(paths_from_tracks(path, None)) == 4
    assert paths_from_tracks(path, visible[:, :1])[3].times.tolist() == [0.25, 0.5, 1]  # one column for all tracks


def test_a_straight_path_has_no_detour_and_ends_are_never_displaced():
    times = np.linspace(0, 1, 9)
    assert DrawnPath.sampled(np.array([[0, 0], [10, 20], [20, 40]])).detour(times) == pytest.approx(0, abs=1e-12)
    assert HOP.detour(np.array([-0.2, 0, 0.5, 1, 1.3])).tolist() == [[0, 0], [0, 0], [0, -200], [0, 0], [0, 0]]


def test_the_pull_falls_off_smoothly_with_distance_from_both_ends():
    start = np.array([[100, 300], [150, 300], [199, 300], [201, 300], [100, 300]], float)
    end = np.array([[300, 300], [300, 300], [300, 300], [300, 300], [450, 300]], float)
    offset = pull([HOP], start, end, [0, 0.5, 1], 100)
    assert offset[[0, 2]].tolist() == np.zeros((2, 5, 2)).tolist()
    assert offset[1, :, 1] == pytest.approx([-200, -200 * 0.75**2, -200 * (1 - 0.99**2) ** 2, 0, 0])
    assert (offset[..., 0] == 0).all()


def test_paths_that_overlap_share():
    start, end = np.array([[100.0, 300]]), np.array([[300.0, 300]])
    flat = DrawnPath.sampled(np.array([[100, 300], [300, 300]]))
    assert pull([HOP, flat], start, end, [0.5], 100)[0, 0].tolist() == [0, -100]
    assert pull([HOP, HOP], start, end, [0.5], 100)[0, 0].tolist() == [0, -200]


def test_segments_are_displaced_as_wholes():
    start = np.array([[[90, 290], [110, 310]], [[700, 90], [720, 90]]], np.float32)
    end = start + np.float32([[[200, 0]], [[30, 0]]])
    fractions = [0, 0.25, 0.5, 1]
    straight = interpolate_segments(start, end, fractions)
    moved = pull_segments([HOP], straight, start, end, fractions, 150)
    assert (moved[:, 0] - straight[:, 0])[:, :, 1].tolist() == [[0, 0], [-100, -100], [-200, -200], [0, 0]]
    assert (moved[:, 1] == straight[:, 1]).all()


def person(x, y):
    """One person around (x, y) in units of the canvas whose left hand was not reported."""
    body = np.full((1, 18, 2), (x, y))
    zeros = {"left_hand": np.zeros((1, 21, 2)), "left_hand_score": np.zeros((1, 21))}
    full = {"right_hand": np.full((1, 21, 2), (x, y)), "right_hand_score": np.ones((1, 21))}
    face = {"face": np.full((1, 68, 2), (x, y)), "face_score": np.ones((1, 68))}
    return PoseFrame(body, np.ones((1, 18)), np.ones((1, 18)), **zeros, **full, **face, canvas=(400, 800))


def test_people_are_displaced_as_wholes_and_missing_points_stay_missing():
    first, middle, last = person(0.125, 0.75), person(0.25, 0.75), person(0.375, 0.75)
    bystander = person(0.25, 0.75)
    frames = [first, PoseFrame.joined([middle, bystander]), last]
    moved = pull_poses([HOP], frames, (first, last), [0, 0.5, 1], 100, (400, 800))
    assert moved[0].body.tolist() == first.body.tolist() and moved[2].body.tolist() == last.body.tolist()
    assert moved[1].body[0, 0].tolist() == [0.25, 0.25] and moved[1].face[0, 5].tolist() == [0.25, 0.25]
    assert not moved[1].left_hand.any()
    assert moved[1].body[1, 0].tolist() == [0.25, 0.75]
    assert frames[1].body[0, 0].tolist() == [0.25, 0.75]
