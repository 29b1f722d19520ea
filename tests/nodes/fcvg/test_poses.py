"""The pose nodes in process, with the host's own pose nodes on the other end of the wires."""

import json
import os
import shutil

import numpy as np
import pytest
import torch
from betwixt.common.errors import BetwixtError
from betwixt.fcvg_core.poses.drawing import draw_poses
from betwixt.fcvg_core.poses.pose_keypoint import read_pose_keypoints, write_pose_keypoints

from support.golden import STORED, Case
from support.pictures.random_poses import random_pose

GOLDEN = Case(STORED / "dwpose" / "end_to_end_standin54_90x160.safetensors")
PRODUCERS = json.loads((STORED / "dwpose" / "pose_keypoint_two_people.json").read_text())
FILES = {"yolox_l.onnx": "standin_det.onnx", "dw-ll_ucoco_384.onnx": "standin_pose.onnx"}


@pytest.fixture
def folders(host, tmp_path, monkeypatch):
    """The host with empty model, input and output folders; the published ONNX names hold stand-ins."""
    import folder_paths

    for name in ("models", "input", "output"):
        (tmp_path / name).mkdir()
    dwpose = tmp_path / "models" / "dwpose"
    dwpose.mkdir()
    for published, stored in FILES.items():
        shutil.copyfile(STORED / "dwpose" / stored, dwpose / published)
    known = {**folder_paths.folder_names_and_paths, "dwpose": ([str(dwpose)], {".onnx"})}
    monkeypatch.setattr(folder_paths, "folder_names_and_paths", known)
    monkeypatch.setattr(folder_paths, "filename_list_cache", {})
    monkeypatch.setattr(folder_paths, "input_directory", str(tmp_path / "input"))
    monkeypatch.setattr(folder_paths, "output_directory", str(tmp_path / "output"))
    return tmp_path


@pytest.fixture
def nodes(folders):
    from betwixt.nodes.fcvg import poses

    return poses


def run(node, **inputs):
    from comfy_api.latest import io

    return node.PREPARE_CLASS_CLONE({"hidden_inputs": {io.Hidden.unique_id: "1"}}).execute(**inputs)


def estimator(nodes):
    return run(nodes.LoadDWPose, detector="yolox_l.onnx", pose_model="dw-ll_ucoco_384.onnx")[0]


def picture(count=1):
    return torch.from_numpy(GOLDEN.array("in.image").copy()).float().div(255).expand(count, -1, -1, -1).clone()


def test_extracting_gives_the_golden_poses_and_drawing_the_golden_picture(nodes):
    images = picture(2)
    before = images.clone()
    poses, preview = run(nodes.ExtractPoses, pose_estimator=estimator(nodes), images=images, require_detection=False)
    assert torch.equal(images, before)
    assert len(poses) == 2 and poses[0] == poses[1] and json.loads(json.dumps(poses)) == poses
    (pose, _) = read_pose_keypoints(poses)
    assert np.abs(pose.body.reshape(-1, 2) - GOLDEN.array("out.body_candidate")).max() < 1e-5
    (drawn,) = run(nodes.DrawPoses, poses=poses[:1], width=0, height=0)
    expected = GOLDEN.png("out.canvas_png")
    assert (drawn[0].mul(255).round().numpy() != expected).any(axis=-1).sum() <= 8
    assert preview.shape == (2, 90, 160, 3) and preview.dtype == torch.float32
    figure = expected.any(axis=-1)
    assert figure.any() and np.abs(preview[0].mul(255).round().numpy() - expected)[figure].mean() < 1


def test_alpha_is_ignored_and_nan_refused(nodes):
    model, image = estimator(nodes), picture()
    rgba = torch.cat([image, torch.zeros(1, 90, 160, 1)], dim=-1)
    plain, with_alpha = (
        run(nodes.ExtractPoses, pose_estimator=model, images=entry, require_detection=False)[0]
        for entry in (image, rgba)
    )
    assert plain == with_alpha
    image[0, 3, 4, 1] = float("nan")
    with pytest.raises(BetwixtError, match="Frame 0 of 'images' contains NaN"):
        run(nodes.ExtractPoses, pose_estimator=model, images=image, require_detection=False)


def test_boxes_of_the_host_say_who_is_there(nodes):
    model, images = estimator(nodes), picture(2)
    box = {"x": 40, "y": 10, "width": 60, "height": 70}
    inputs = {"pose_estimator": model, "images": images, "require_detection": True}
    assert [len(frame["people"]) for frame in run(nodes.ExtractPoses, bboxes=box, **inputs)[0]] == [1, 1]
    per_frame = [[box, {**box, "label": "person"}, {**box, "label": "dog"}], []]
    assert [len(frame["people"]) for frame in run(nodes.ExtractPoses, bboxes=per_frame, **inputs)[0]] == [2, 0]


def test_required_detection_stops_only_when_nobody_is_in_any_picture(nodes):
    inputs = {"pose_estimator": estimator(nodes), "images": picture(), "bboxes": []}
    with pytest.raises(BetwixtError, match="No person was found"):
        run(nodes.ExtractPoses, require_detection=True, **inputs)
    assert len(run(nodes.ExtractPoses, require_detection=False, **inputs)[0][0]["people"]) == 1


def test_extraction_can_be_cancelled(nodes):
    import comfy.model_management as management

    inputs = {"pose_estimator": estimator(nodes), "images": picture(3), "require_detection": False}
    management.interrupt_current_processing()
    with pytest.raises(management.InterruptProcessingException):
        run(nodes.ExtractPoses, **inputs)


def test_missing_swapped_and_damaged_files_are_named(nodes, folders):
    dwpose = folders / "models" / "dwpose"
    with pytest.raises(BetwixtError, match=r"'dw-ll_ucoco_384.onnx' is a whole-body pose network.*Swap"):
        run(nodes.LoadDWPose, detector="dw-ll_ucoco_384.onnx", pose_model="yolox_l.onnx")
    (dwpose / "yolox_l.onnx").write_bytes((dwpose / "yolox_l.onnx").read_bytes()[:20000])
    with pytest.raises(BetwixtError, match=r"'yolox_l.onnx' is truncated"):
        estimator(nodes)
    os.unlink(dwpose / "yolox_l.onnx")
    with pytest.raises(BetwixtError, match=r"'yolox_l.onnx' was not found.*dwpose.*yzd-v/DWPose"):
        estimator(nodes)
    combo = nodes.LoadDWPose.define_schema().inputs[0]
    assert combo.options == ["dw-ll_ucoco_384.onnx"] and combo.default == "yolox_l.onnx"


def test_other_packs_and_the_hosts_folders_are_searched(host, folders, monkeypatch):
    import folder_paths
    from betwixt.nodes.host.services.model_files import register_model_folders

    monkeypatch.setattr(folder_paths, "models_dir", str(folders / "models"))
    packs = folders / "custom_nodes"
    known = {**folder_paths.folder_names_and_paths, "custom_nodes": ([str(packs)], set())}
    monkeypatch.setattr(folder_paths, "folder_names_and_paths", known)
    places = [folders / "models" / "detection" / "a.onnx", folders / "models" / "onnx" / "sub" / "b.onnx"]
    places.append(packs / "comfyui_controlnet_aux" / "ckpts" / "yzd-v" / "DWPose" / "c.onnx")
    for place in places:
        place.parent.mkdir(parents=True)
        place.touch()
    (folders / "models" / "detection" / "face.pt").touch()
    register_model_folders()
    listed = folder_paths.get_filename_list("dwpose")
    assert {"a.onnx", os.path.join("sub", "b.onnx"), "c.onnx", *FILES} == set(listed)
    assert folder_paths.get_full_path("dwpose", "c.onnx") == str(places[2])


def test_drawing_fits_another_size_of_the_same_aspect_only(nodes):
    pose = random_pose(3, 2)
    poses = write_pose_keypoints([pose, pose])
    (drawn,) = run(nodes.DrawPoses, poses=poses, width=512, height=288)
    assert np.array_equal(drawn[1].mul(255).round().numpy(), draw_poses([pose], 288, 512)[0])
    with pytest.raises(BetwixtError, match="512x512"):
        run(nodes.DrawPoses, poses=poses, width=512, height=512)


@pytest.mark.parametrize("producer", ["controlnet_aux", "comfyui_core_sdpose"])
def test_poses_of_other_packs_are_drawn(nodes, producer):
    (drawn,) = run(nodes.DrawPoses, poses=PRODUCERS[producer], width=0, height=0)
    assert drawn.shape == (1, 90, 160, 3) and drawn.max() > 0.5


def test_the_hosts_sdpose_nodes_accept_our_poses(nodes):
    from comfy_extras.nodes_sdpose import SDPoseDrawKeypoints, SDPoseFaceBBoxes

    poses = write_pose_keypoints([random_pose(1, 2, canvas=(288, 512)), random_pose(2, 1, canvas=(288, 512))])
    settings = {"draw_body": True, "draw_hands": True, "draw_face": True, "draw_feet": True, "draw_head": True}
    (drawn,) = SDPoseDrawKeypoints.execute(poses, **settings, stick_width=4, face_point_size=3, score_threshold=0.3)
    assert drawn.shape == (2, 288, 512, 3) and (drawn.amax(dim=(1, 2, 3)) == 1).all()
    boxes = SDPoseFaceBBoxes.execute(poses, scale=1.5, force_square=False)[0]
    assert [len(frame) for frame in boxes] == [2, 1]


def test_saved_poses_are_loaded_again(nodes, folders):
    import folder_paths

    poses = write_pose_keypoints([random_pose(1, 2)])
    for number in (1, 2):
        saved = run(nodes.SavePoseKeypoints, poses=poses, filename_prefix="clips/pose")
        name = os.path.join("clips", f"pose_{number:05}.json")
        assert saved.ui.as_dict()["text"] == (name,)
    assert sorted(os.listdir(folders / "output" / "clips")) == ["pose_00001.json", "pose_00002.json"]
    assert json.loads((folders / "output" / name).read_text()) == poses
    assert run(nodes.LoadPoseKeypoints, file=f"{name} [output]")[0] == poses
    shutil.copyfile(folders / "output" / name, folders / "input" / "p.json")
    assert nodes.LoadPoseKeypoints.define_schema().inputs[0].options == ["p.json"]
    assert nodes.LoadPoseKeypoints.validate_inputs("p.json") is True
    assert "no file" in nodes.LoadPoseKeypoints.validate_inputs("q.json")
    before = nodes.LoadPoseKeypoints.fingerprint_inputs("p.json")
    os.utime(folder_paths.get_annotated_filepath("p.json"), ns=(1, 1))
    assert nodes.LoadPoseKeypoints.fingerprint_inputs("p.json") != before


def test_numpy_values_of_other_packs_are_saved_as_numbers(nodes, folders):
    values = np.float32([0.5, 0.25, 1])
    frame = {"canvas_width": np.int64(8), "canvas_height": 4, "people": [{"pose_keypoints_2d": values}]}
    run(nodes.SavePoseKeypoints, poses=frame, filename_prefix="pose")
    saved = json.loads((folders / "output" / "pose_00001.json").read_text())
    assert saved == [{"canvas_width": 8, "canvas_height": 4, "people": [{"pose_keypoints_2d": [0.5, 0.25, 1.0]}]}]


def test_what_cannot_be_saved_leaves_no_file(nodes, folders):
    frame = {"canvas_width": 8, "canvas_height": 4, "people": [], "note": object()}
    with pytest.raises(BetwixtError, match="cannot be written as JSON"):
        run(nodes.SavePoseKeypoints, poses=[frame], filename_prefix="pose")
    assert os.listdir(folders / "output") == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{not json", "not valid JSON"),
        ("[]", "is empty"),
        ('{"people": 3}', "no list of people"),
        ("\xff", "not valid JSON"),
    ],
)
def test_unusable_json_files_are_told(nodes, folders, text, message):
    (folders / "input" / "bad.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(BetwixtError, match=message):
        run(nodes.LoadPoseKeypoints, file="bad.json")
