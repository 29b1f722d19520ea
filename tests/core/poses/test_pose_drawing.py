import numpy as np
import pytest
from betwixt.common.errors import BetwixtError
from betwixt.fcvg_core.poses.drawing import draw_poses, overlay_poses
from betwixt.fcvg_core.poses.pose import PoseFrame

from support.pictures.published_pose_drawing import draw_as_published
from support.pictures.random_poses import random_pose


@pytest.mark.parametrize(
    ("height", "width"), [(576, 1024), (333, 517), (500, 281), (535, 700), (2160, 2200), (2400, 2300), (40, 100)]
)
@pytest.mark.parametrize("spread", [0.15, 0.8])
def test_every_byte_is_that_of_the_published_procedure(height, width, spread):
    poses = [random_pose(seed, people, spread) for seed, people in enumerate((1, 3))]
    drawn = draw_poses(poses, height, width)
    for picture, pose in zip(drawn, poses, strict=True):
        assert picture.any()
        assert np.array_equal(picture, draw_as_published(pose, height, width))


def test_frames_do_not_leave_traces_in_each_other():
    busy, nobody = random_pose(5, 2), PoseFrame.empty((96, 128))
    drawn = draw_poses([busy, nobody, random_pose(6, 1)], 96, 128)
    assert not drawn[1].any()
    assert np.array_equal(drawn[2], draw_poses([random_pose(6, 1)], 96, 128)[0])
    one_dot = PoseFrame(**{**vars(busy), "body_score": busy.body_score * 0})
    for size in ((96, 128), (24, 60)):
        poses = [random_pose(seed, 1 + seed % 2, spread) for seed, spread in enumerate((0.02, 2, 0.1, 40, 0.5, 1e5))]
        poses += [one_dot, random_pose(9, 1, 0.01)]
        together = draw_poses(poses, *size)
        for picture, pose in zip(together, poses, strict=True):
            assert np.array_equal(picture, draw_poses([pose], *size)[0])


def test_absurd_positions_and_scores_are_drawn_as_far_as_they_can_be():
    pose = random_pose(7, 1)
    body, scores = pose.body.copy(), pose.body_score.copy()
    body[0, 4], scores[0, :] = (1e300, -1e300), 1e300
    drawn = draw_poses([PoseFrame(**{**vars(pose), "body": body, "body_score": scores})], 96, 128)
    assert drawn.max() == 255


def test_progress_counts_frames_and_can_cancel():
    told = []
    draw_poses([random_pose(0, 1)] * 4, 64, 64, lambda share, text: told.append(share))
    assert told == [0.25, 0.5, 0.75, 1]

    def cancel(share, text):
        raise InterruptedError

    with pytest.raises(InterruptedError):
        draw_poses([random_pose(0, 1)] * 4, 64, 64, cancel)


def test_a_sliver_is_refused_instead_of_taking_gigabytes():
    with pytest.raises(BetwixtError, match="4096x8"):
        draw_poses([random_pose(0, 1)], 8, 4096)


def test_the_overlay_shows_figures_over_the_darkened_picture():
    frame = np.full((1, 96, 128, 3), 200, np.uint8)
    pose = random_pose(1, 1)
    shown, drawn = overlay_poses(frame, [pose]), draw_poses([pose], 96, 128)
    figure = drawn.any(axis=-1)
    assert np.array_equal(shown[figure], drawn[figure])
    assert (shown[~figure] == 100).all()
    assert (frame == 200).all()
