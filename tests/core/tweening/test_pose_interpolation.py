from dataclasses import replace

import numpy as np
import pytest
from betwixt.common.errors import BetwixtError
from betwixt.fcvg_core.poses.pose import PoseFrame
from betwixt.fcvg_core.tweening.pose_interpolation import interpolate_poses, pair_people

from support.pictures.random_poses import random_pose

PARTS = ("body", "left_hand", "right_hand", "face")


def moved(pose, by):
    return replace(pose, **{part: getattr(pose, part) + by for part in PARTS})


def same(first, second, tolerance=1e-12):
    return all(
        np.allclose(getattr(first, name), getattr(second, name), rtol=0, atol=tolerance)
        for part in PARTS
        for name in (part, f"{part}_score")
    )


@pytest.fixture
def crowd():
    """Three people far from each other."""
    return PoseFrame.joined([moved(random_pose(seed, 1, 0.02), (seed, 0)) for seed in range(3)])


def test_people_are_followed_when_their_order_changes(crowd):
    swapped = moved(crowd, (0.1, 0.05)).select([2, 0, 1])
    assert pair_people(crowd, swapped) == [(0, 1), (1, 2), (2, 0)]
    start, middle, end = interpolate_poses(crowd, swapped, [0, 0.5, 1])
    assert same(start, crowd)
    assert same(middle, moved(crowd, (0.05, 0.025)))
    assert same(end, moved(crowd, (0.1, 0.05)))


def test_scores_are_interpolated_and_all_joints_visible(crowd):
    dim = replace(crowd, **{f"{part}_score": getattr(crowd, f"{part}_score") * 0.5 for part in PARTS})
    (frame,) = interpolate_poses(crowd, dim, [0.4])
    assert np.allclose(frame.face_score, crowd.face_score * 0.8)
    assert frame.body_visible.all() and not crowd.body_visible.all()


def test_a_threshold_hides_dim_joints(crowd):
    (frame,) = interpolate_poses(crowd, crowd, [0.5], joint_threshold=0.3)
    assert np.array_equal(frame.body_visible, crowd.body_visible)


def test_overshoot_extrapolates_positions_and_holds_scores(crowd):
    end = replace(moved(crowd, (0.2, 0)), face_score=crowd.face_score * 0)
    before, beyond = interpolate_poses(crowd, end, [-0.5, 1.25])
    assert np.allclose(before.body, crowd.body - (0.1, 0)) and np.allclose(beyond.body, crowd.body + (0.25, 0))
    assert np.array_equal(before.face_score, crowd.face_score) and not beyond.face_score.any()


def test_the_nearest_of_more_people_is_chosen_and_the_others_fade_in(crowd):
    alone = crowd.select([2])
    start, quarter, end = interpolate_poses(alone, crowd, [0, 0.25, 1])
    assert same(start, alone)
    assert len(quarter) == 3 and same(quarter.select([0]), alone)
    assert np.array_equal(quarter.body[1:], crowd.body[:2])
    assert np.allclose(quarter.body_score[1:], 0.25 * crowd.body_score[:2])
    assert np.array_equal(quarter.body_visible[1:], crowd.body_visible[:2])
    assert same(end, crowd.select([2, 0, 1]))


def test_people_without_partner_fade_out(crowd):
    quarter, end = interpolate_poses(crowd, crowd.select([1]), [0.25, 1])
    assert same(quarter.select([0]), crowd.select([1]))
    assert np.allclose(quarter.face_score[1:], 0.75 * crowd.face_score[[0, 2]])
    assert same(end, crowd.select([1]))


def test_hands_stay_on_their_side_unless_the_published_fault_is_asked_for(crowd):
    first, last = crowd.select([0]), crowd.select([0, 1])
    (fixed,) = interpolate_poses(first, last, [1.0])
    assert np.allclose(fixed.right_hand[0], last.right_hand[0])
    (published,) = interpolate_poses(first, last, [1.0], published_hands=True)
    assert len(published) == 1
    assert np.allclose(published.right_hand[0], last.left_hand[1])  # row 0 + 1 of [left 0, left 1, right 0, right 1]


def test_the_switch_changes_nothing_for_equal_numbers(crowd):
    last = moved(crowd, (0.1, 0)).select([1, 2, 0])
    for fixed, published in zip(
        *(interpolate_poses(crowd, last, [0, 0.3, 1], published_hands=switch) for switch in (False, True)), strict=True
    ):
        assert same(fixed, published, 0) and np.array_equal(fixed.body_visible, published.body_visible)


@pytest.mark.parametrize("published", [False, True])
def test_pictures_without_people(crowd, published):
    nobody = PoseFrame.empty(crowd.canvas)
    assert [len(frame) for frame in interpolate_poses(nobody, nobody, [0, 1], published)] == [0, 0]
    faded = [len(frame) for frame in interpolate_poses(crowd, nobody, [0, 0.5, 1], published)]
    assert faded == ([0, 0, 0] if published else [3, 3, 0])


def test_a_point_one_frame_lacks_stays_where_the_other_has_it(crowd):
    arrays = {name: np.array(value) for name, value in vars(crowd).items() if name != "canvas"}
    arrays["body"][0, 4], arrays["body_score"][0, 4] = 0, 0
    arrays["left_hand"][:], arrays["left_hand_score"][:] = 0, 0
    lacking = PoseFrame(**arrays, canvas=crowd.canvas)
    (frame,) = interpolate_poses(lacking, moved(crowd, (0.2, 0)), [0.5])
    assert np.allclose(frame.body[0, 4], crowd.body[0, 4] + (0.2, 0))
    assert np.allclose(frame.body_score[0, 4], crowd.body_score[0, 4] / 2)
    assert np.allclose(frame.left_hand, crowd.left_hand + (0.2, 0))
    (both,) = interpolate_poses(lacking, lacking, [0.5])
    assert not both.body_visible[0, 4] and both.body_visible[1].all()


def test_missing_joints_do_not_mislead_the_pairing(crowd):
    arrays = {name: np.array(value) for name, value in vars(crowd).items() if name != "canvas"}
    arrays["body"][:, 8:14], arrays["body_score"][:, 8:14] = 0, 0
    assert pair_people(PoseFrame(**arrays, canvas=crowd.canvas), crowd) == [(0, 0), (1, 1), (2, 2)]


def test_poses_are_finite_read_only_copies(crowd):
    with pytest.raises(ValueError):
        crowd.body[0] = 0
    with pytest.raises(ValueError, match="NaN"):
        interpolate_poses(crowd, moved(crowd, (0.1, 0)), [float("nan")])


def test_another_aspect_is_refused(crowd):
    crowd.require_aspect(288, 512, "poses")
    crowd.require_aspect(1080, 1920 + 16, "poses")
    with pytest.raises(BetwixtError, match="1024x576.*512x512"):
        crowd.require_aspect(512, 512, "poses")
