"""Drawing and fusing conditions, tracks, previews, chains."""

import numpy as np
import pytest
import torch
from betwixt.common.errors import BetwixtError
from betwixt.fcvg_core.poses.drawing import draw_poses
from betwixt.fcvg_core.poses.pose import PoseFrame
from betwixt.fcvg_core.tweening.condition_chain import chain_conditions
from betwixt.fcvg_core.tweening.condition_frames import draw_conditions, fuse_conditions, pose_sequence
from betwixt.fcvg_core.tweening.condition_preview import SHADE, overlay_conditions
from betwixt.fcvg_core.tweening.line_interpolation import interpolate_segments
from betwixt.fcvg_core.tweening.timing import eased_fractions, published_fractions
from betwixt.fcvg_core.tweening.tracks import host_tracks, joint_tracks, line_tracks

CANVAS = (60, 80)
NOBODY = PoseFrame.empty(CANVAS)


def one_person(x):
    arrays = {
        "body": np.linspace((x, 0.2), (x + 0.2, 0.8), 18)[None],
        "body_score": np.linspace(0.2, 1, 18)[None],
        "body_visible": np.ones((1, 18)),
    }
    for part, count in (("left_hand", 21), ("right_hand", 21), ("face", 68)):
        arrays |= {part: np.zeros((1, count, 2)), f"{part}_score": np.zeros((1, count))}
    return PoseFrame(**arrays, canvas=CANVAS)


def test_fusion_is_per_channel():
    lines = np.uint8([[[0, 0, 200], [10, 20, 30]]])
    poses = np.uint8([[[150, 0, 0], [0, 0, 0]]])
    assert fuse_conditions(lines, poses).tolist() == [[[150, 0, 200], [10, 20, 30]]]
    assert lines.tolist() == [[[0, 0, 200], [10, 20, 30]]]


def test_frames_are_the_fused_pictures_in_float():
    segments = np.tile(np.float32([[[5, 30], [70, 30]]]), (2, 1, 1, 1))
    colours = np.uint8([[7, 8, 9]])
    people = [one_person(0.3), NOBODY]
    frames = draw_conditions(segments, colours, people, CANVAS)
    assert frames.dtype == torch.float32 and frames.shape == (2, *CANVAS, 3)
    lines_only = draw_conditions(segments, colours, None, CANVAS)
    assert (frames[1] == lines_only[1]).all()
    assert torch.unique(lines_only).tolist() == pytest.approx([0, 7 / 255, 8 / 255, 9 / 255])
    drawn = draw_poses(people, *CANVAS)
    poses_only = draw_conditions(None, None, people, CANVAS)
    assert (poses_only.mul(255).round().numpy() == drawn).all() and drawn[0].any()
    expected = fuse_conditions(lines_only.mul(255).round().numpy().astype(np.uint8), drawn)
    assert (frames.mul(255).round().numpy() == expected).all()


def test_progress_is_told_and_may_stop_the_work():
    told = []
    draw_conditions(
        np.zeros((4, 0, 2, 2)), np.zeros((0, 3), np.uint8), None, CANVAS, progress=lambda s, _: told.append(s)
    )
    assert told == [0.25, 0.5, 0.75, 1]

    def cancel(share, text):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draw_conditions(None, None, [NOBODY] * 3, CANVAS, progress=cancel)


def test_key_frames_show_their_own_poses():
    first, last, between = one_person(0.1), one_person(0.6), one_person(0.3)
    moved = [between] * 4
    published = pose_sequence(moved, first, last, published_fractions(4))
    assert [frame is key for frame, key in zip(published, (first, between, between, last), strict=True)] == [True] * 4
    assert all(frame is between for frame in pose_sequence(moved, first, last, [0.1, 0, 1, 0.9]))


def test_line_tracks_follow_the_chosen_points():
    segments = np.arange(2 * 3 * 4, dtype=np.float32).reshape(2, 3, 2, 2)
    assert line_tracks(segments).tolist() == segments.mean(axis=2).tolist()
    assert line_tracks(segments, "endpoints").shape == (2, 6, 2)
    assert line_tracks(segments, "midpoints and endpoints")[:, 3:6].tolist() == segments[:, :, 0].tolist()


def test_endpoint_tracks_do_not_swap_ends_at_the_last_key_frame():
    start, end = np.float32([[[0, 0], [9, 0]]]), np.float32([[[9, 4], [0, 4]]])
    path = line_tracks(interpolate_segments(start, end, [0, 0.5, 1]), "endpoints")
    assert path.tolist() == [[[0, 0], [9, 0]], [[0, 2], [9, 2]], [[0, 4], [9, 4]]]


def test_joint_tracks_are_pixels_with_the_estimators_confidence():
    path, seen = joint_tracks([one_person(0.25), one_person(0.5)], 1, CANVAS)
    assert path.shape == (2, 18, 2) and path[0, 0].tolist() == [20, 12] and path[1, 0].tolist() == [40, 12]
    assert seen[0].tolist() == (np.linspace(0.2, 1, 18) > 0.3).tolist()
    assert joint_tracks([NOBODY], 0, CANVAS)[0].shape == (1, 0, 2)


def test_points_outside_the_picture_are_invisible_in_tracks():
    tracks = host_tracks(
        np.float32([[[0, 0], [79.9, 59.9], [80, 5], [-0.1, 5], [5, 5]]]), np.array([[1] * 4 + [0]], bool), CANVAS
    )
    assert tracks["track_path"].dtype == torch.float32 and tracks["track_path"].shape == (1, 5, 2)
    assert tracks["track_visibility"].tolist() == [[True, True, False, False, False]]


def test_the_overlay_shows_conditions_over_the_cross_fade():
    conditions = torch.zeros(3, 9, 9, 3)
    conditions[1, 4, 4] = torch.tensor([0.5, 0, 0])
    start, end = torch.full((9, 9, 3), 0.2), torch.full((9, 9, 3), 0.8)
    preview = overlay_conditions(conditions, start, end, [0, 0.5, 1.2])
    assert preview[0] == pytest.approx(0.2 * SHADE, abs=1e-6) and preview[2] == pytest.approx(0.8 * SHADE, abs=1e-6)
    assert preview[1, 4, 4].tolist() == preview[1, 5, 3].tolist() == [0.5, 0, 0]
    assert preview[1, 6, 4].tolist() == pytest.approx([0.5 * SHADE] * 3, abs=1e-6)
    assert conditions.sum() == 0.5 and start.unique().tolist() == pytest.approx([0.2])


def clip(fractions, offset):
    """Frames of one pixel that holds the fraction plus the number of its first key frame."""
    return torch.tensor(fractions, dtype=torch.float32).reshape(-1, 1, 1, 1) + offset


def test_a_chain_has_every_key_frame_once():
    parts = [clip(eased_fractions(count), k) for k, count in enumerate((5, 3, 2))]
    chained = chain_conditions(parts, published_timing=False).flatten()
    assert chained.tolist() == [0, 0.25, 0.5, 0.75, 1, 1.5, 2, 3]
    assert (chain_conditions(parts[:1], False) == parts[0]).all()


def test_a_published_chain_moves_on_evenly_through_its_joints():
    parts = [clip(published_fractions(6), k) for k in range(3)]
    chained = chain_conditions(parts, published_timing=True).flatten()
    thirds = (np.arange(10) / 3).tolist()
    assert chained.tolist() == pytest.approx([0, *thirds, 3])  # doubled at the outer ends only
    assert len(chained) == 3 * 6 - 3 * 2
    assert [float(part[0]) for part in parts] == [0, 1, 2]


def test_short_published_parts_have_nothing_doubled():
    parts = [clip(published_fractions(3), 0), clip(published_fractions(2), 1), clip(published_fractions(4), 2)]
    assert chain_conditions(parts, published_timing=True).flatten().tolist() == [0, 0.5, 1, 2, 3, 3]


def test_the_kept_joint_is_the_key_frame_itself():
    """Not the interpolated copy beside it: with poses the two differ."""
    first, second = clip([0, 0.01, 0.5, 0.99, 1], 0), clip([0, 0.01, 0.5, 0.99, 1], 1)
    assert chain_conditions([first, second], True).flatten().tolist() == pytest.approx([0, 0.01, 0.5, 1, 1.5, 1.99, 2])


def test_parts_of_other_sizes_are_refused():
    with pytest.raises(BetwixtError, match="Part 1 is 80x60 and part 3 is 64x60"):
        chain_conditions([torch.zeros(4, 60, 80, 3)] * 2 + [torch.zeros(4, 60, 64, 3)], False)


def test_a_moving_line_is_where_its_fraction_says():
    segments = interpolate_segments(
        np.float32([[[10, 5], [10, 50]]]), np.float32([[[70, 5], [70, 50]]]), eased_fractions(4)
    )
    frames = draw_conditions(segments, np.uint8([[255, 255, 255]]), None, CANVAS)
    assert [int(frame[20, :, 0].argmax()) for frame in frames] == [10, 30, 50, 70]
