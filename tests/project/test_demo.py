import json

import av
import cv2
import numpy as np
import pytest
from betwixt.demo.contact_sheet import Row, contact_sheet
from betwixt.demo.scene import draw_frame, draw_matte, write_inputs
from betwixt.demo.street import moved, shapes
from betwixt.demo.walker import joints


def test_every_shape_moves_rigidly():
    for shape in shapes():
        before, after = moved(shape, 0.0), moved(shape, 1.0)
        lengths = [np.linalg.norm(np.diff(points, axis=0), axis=1) for points in (before, after)]
        np.testing.assert_allclose(*lengths, atol=1e-9)
        np.testing.assert_allclose(before, shape.points, atol=1e-9)


def test_the_camera_move_is_seen_in_the_picture():
    first, last = (cv2.cvtColor(draw_frame(t), cv2.COLOR_RGB2GRAY)[225:420, 60:240] for t in (0.0, 1.0))
    (shift_x, shift_y), _ = cv2.phaseCorrelate(first.astype(np.float64), last.astype(np.float64))
    assert abs(shift_x + 0.6 * 36) < 1 and abs(shift_y) < 0.5  # the houses' layer


def test_inputs_are_pictures_poses_a_clip_and_painted_frames(tmp_path):
    names = [path.name for path in write_inputs(tmp_path)]
    assert names[:4] == ["betwixt_start.png", "betwixt_start_pose.json", "betwixt_end.png", "betwixt_end_pose.json"]
    assert names[4:6] == ["betwixt_clip.mp4", "betwixt_matte.mp4"]
    assert names[6:] == ["betwixt_key_00.png", "betwixt_key_05.png", "betwixt_key_10.png"]
    pose = json.loads((tmp_path / "betwixt_end_pose.json").read_text())
    points = np.array(pose[0]["people"][0]["pose_keypoints_2d"]).reshape(18, 3)
    np.testing.assert_allclose(points[:, :2], joints(1.0))
    assert cv2.imread(str(tmp_path / "betwixt_start.png")).shape == (576, 1024, 3)
    with av.open(str(tmp_path / "betwixt_clip.mp4")) as video:
        clip = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    assert len(clip) == 11 and clip[0].shape == (216, 384, 3)
    assert (
        np.abs(clip[10].astype(int) - cv2.resize(draw_frame(1.0), (384, 216), interpolation=cv2.INTER_AREA)).mean() < 3
    )


@pytest.mark.parametrize("time", [0.0, 0.7])
def test_the_matte_covers_the_figure_and_nothing_else(time):
    matte = draw_matte(time)[..., 0] > 127
    x, y = np.round(joints(time)[[1, 8]].mean(axis=0)).astype(int)  # the middle of the body
    assert matte[y, x] and 0.005 < matte.mean() < 0.05
    rows, columns = np.nonzero(matte)
    points = joints(time)
    reach = 40  # the hat and half a limb's width
    assert points[:, 0].min() - reach < columns.min() and columns.max() < points[:, 0].max() + reach
    assert points[:, 1].min() - reach < rows.min() and rows.max() < points[:, 1].max() + reach


def test_contact_sheet_scales_rows_to_one_width():
    frames = [np.full((40, 80, 3), value, np.uint8) for value in (10, 200)]
    sheet = contact_sheet("title", [Row("two", frames), Row("one", frames[:1])], width=400)
    assert sheet.shape[1] == 400 and (sheet == 10).any() and (sheet == 200).any()
