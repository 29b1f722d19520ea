"""Running DWPose: wrong files, runtimes, detection and its absence. The numbers are checked by the golden cases."""

import sys
import types

import cv2
import numpy as np
import pytest
from betwixt.common.errors import BetwixtError
from betwixt.common.files.onnx_header import TensorInfo, read_onnx_header
from betwixt.fcvg_core.poses import dwpose
from betwixt.fcvg_core.poses.estimator import PoseEstimator
from betwixt.fcvg_core.poses.onnx_session import OpenCVSession, open_session
from betwixt.fcvg_core.poses.person_detector import letterbox, suppress

from support.golden import STORED
from support.models.pose_standins import build_standins

STORED_DETECTOR, STORED_POSE = (str(STORED / "dwpose" / f"standin_{name}.onnx") for name in ("det", "pose"))


@pytest.fixture(scope="module")
def picture():
    return np.random.default_rng(0).integers(0, 256, (90, 160, 3), np.uint8)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Stand-ins that OpenCV can run."""
    return [str(path) for path in build_standins(tmp_path_factory.mktemp("onnx"), 3)]


class FakeSession:
    """An inference session that answers with fixed arrays."""

    def __init__(self, size, *answers):
        self.size, self.answers, self.fed = size, answers, []

    def get_inputs(self):
        return [types.SimpleNamespace(name="x", shape=["n", 3, *self.size])]

    def get_outputs(self):
        return [types.SimpleNamespace(name=f"y{index}") for index in range(len(self.answers))]

    def run(self, names, feed):
        assert names == [f"y{index}" for index in range(len(self.answers))]
        self.fed.append(feed["x"])
        return list(self.answers)


def fake_detector(*rows):
    """A detector that finds people with these scores in the first cells of the coarsest grid."""
    raw = np.zeros((1, 84, 85), np.float32)  # 64x64 input: 64 + 16 + 4 cells
    raw[0, :, 2:4] = np.log(0.5)
    for index, score in enumerate(rows):
        raw[0, 80 + index, 4:6] = score, 1
    return FakeSession((64, 64), raw)


def fake_pose(value=0.5):
    simcc = [np.zeros((1, 133, bins), np.float32) for bins in (576, 768)]
    for axis in simcc:
        axis[..., axis.shape[-1] // 2] = value
    return FakeSession((384, 288), *simcc)


def test_any_input_size_and_any_session_will_do(picture):
    estimator = PoseEstimator(fake_detector(0.2, 0.9), fake_pose())
    pose = estimator.estimate(picture)
    assert len(pose) == 1 and pose.canvas == (90, 160)
    assert np.allclose(pose.face * (160, 90), (32 / 0.4, 0), atol=1e-3)  # cell (1, 0) of stride 32, ratio 64 / 160
    assert np.allclose(pose.body_score[:, 1], 1) and np.allclose(pose.face_score, 0.5)


@pytest.mark.parametrize(("required", "people"), [(False, 1), (True, 0)])
def test_without_a_person_the_whole_picture_or_nobody(picture, required, people):
    pose_network = fake_pose()
    pose = PoseEstimator(fake_detector(), pose_network).estimate(picture, require_detection=required)
    assert len(pose) == people == len(pose_network.fed)
    if people:
        assert np.allclose(pose.body, 0.5)


def test_given_boxes_replace_the_detectors(picture):
    detector = fake_detector(0.9)
    estimator = PoseEstimator(detector, fake_pose())
    told = []
    boxes = np.array([[10, 10, 50, 80], [100, 20, 140, 60.0]])
    pose = estimator.estimate(picture, boxes=boxes, progress=lambda share, text: told.append(share))
    assert np.allclose(pose.face[:, 0] * (160, 90), [[30, 45], [120, 40]])
    assert told == [0.5, 1] and detector.fed == []
    assert len(estimator.estimate(picture, require_detection=True, boxes=np.zeros((0, 4)))) == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(picture, bad):
    with pytest.raises(BetwixtError, match="'pose.onnx' returned NaN"):
        PoseEstimator(fake_detector(0.9), fake_pose(bad), "det.onnx", "pose.onnx").estimate(picture)
    with pytest.raises(BetwixtError, match="'det.onnx' returned NaN"):
        PoseEstimator(fake_detector(bad), fake_pose(), "det.onnx", "pose.onnx").estimate(picture)


def test_people_are_posed_alike_in_both_runtimes(files, picture):
    poses = [
        PoseEstimator(*(open_session(path, runtime) for path in files)).estimate(picture)
        for runtime in ("onnxruntime", "opencv")
    ]
    assert len(poses[0]) == len(poses[1]) == 2
    assert np.allclose(poses[0].face_score, poses[1].face_score, atol=1e-5)
    assert np.median(np.abs(poses[0].face - poses[1].face)) < 1e-6  # nearly equal maxima may change places


def test_stored_and_built_stand_ins_compute_the_same(tmp_path, picture):
    built = [str(path) for path in build_standins(tmp_path, 54)]
    tensor = letterbox(picture)[0]
    outputs = [
        open_session(path, "onnxruntime").run(None, {"images": tensor})[0] for path in (built[0], STORED_DETECTOR)
    ]
    assert np.abs(outputs[0] - outputs[1]).max() < 1e-6 and outputs[0].any()


@pytest.mark.parametrize(
    ("names", "wrong", "found"),
    [
        ((1, 0), "d", "a whole-body pose network"),
        ((1, 1), "d", "a whole-body pose network"),
        ((0, 0), "p", "a person detector"),
    ],
)
@pytest.mark.parametrize("runtime", ["onnxruntime", "opencv"])
def test_files_in_the_wrong_place_are_named(files, names, wrong, found, runtime):
    sessions = [open_session(files[index], runtime) for index in names]
    with pytest.raises(BetwixtError, match=f"'{wrong}' is {found}.*Swap the two files"):
        PoseEstimator(*sessions, "d", "p")


def test_another_network_is_described(files):
    other = FakeSession((224, 224), np.zeros((1, 1000), np.float32), np.zeros(1), np.zeros(1))
    with pytest.raises(BetwixtError, match=r"'p' is another network \(x \['n', 3, 224, 224\], y0"):
        PoseEstimator(open_session(files[0]), other, "d", "p")


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html>404</html>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (b"PK\x03\x04" + bytes(100), "PyTorch or zip"),
        (b'\x10\0\0\0\0\0\0\0{"__metadata__":{}}', "safetensors"),
        (b"\x80\x02}q\0.", "pickle"),
        (b"\xff" * 100, "truncated or not an ONNX file"),
    ],
)
def test_what_is_no_onnx_file_is_told(tmp_path, contents, message):
    path = tmp_path / "yolox_l.onnx"
    path.write_bytes(contents)
    with pytest.raises(BetwixtError, match=f"'yolox_l.onnx' is.*{message}|'yolox_l.onnx' {message}"):
        open_session(str(path))


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_truncated_files_are_told(tmp_path, share):
    data = open(STORED_POSE, "rb").read()
    path = tmp_path / "dw.onnx"
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(BetwixtError, match="'dw.onnx' is truncated"):
        open_session(str(path))


@pytest.mark.parametrize(
    ("runtime", "message"),
    [("onnxruntime", "cannot be loaded by onnxruntime"), ("opencv", "uses the operator 'NoSuchOperation'")],
)
def test_a_file_the_runtime_refuses_is_named(tmp_path, runtime, message):
    from onnx import TensorProto, helper, save

    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("NoSuchOperation", ["x"], ["y"])], "g", ends[:1], ends[1:])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]), tmp_path / "odd.onnx")
    with pytest.raises(BetwixtError, match=f"'odd.onnx' {message}"):
        open_session(str(tmp_path / "odd.onnx"), runtime)


def test_the_header_gives_names_and_shapes(files):
    assert read_onnx_header(files[0]) == (
        [TensorInfo("images", (1, 3, 640, 640))],
        [TensorInfo("output", (1, 8400, 85))],
    )
    assert read_onnx_header(STORED_POSE)[1][1] == TensorInfo("simcc_y", ("batch", 133, 768))


def test_without_onnxruntime_opencv_is_used(files, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert isinstance(open_session(files[1]), OpenCVSession)


def fake_onnxruntime(monkeypatch, broken, silent):
    """An onnxruntime that lists CUDA; starting it raises, or the session silently stays on the CPU."""
    started = []

    class InferenceSession:
        def __init__(self, path, options, providers):
            started.append(providers)
            if broken and len(providers) > 1:
                raise RuntimeError("CUDA error: no kernel image")
            self.providers = providers[-1:] if silent else providers

        def get_providers(self):
            return self.providers

    module = types.ModuleType("onnxruntime")
    module.SessionOptions = types.SimpleNamespace
    module.get_available_providers = lambda: ["CPUExecutionProvider", "DmlExecutionProvider", "CUDAExecutionProvider"]
    module.InferenceSession = InferenceSession
    monkeypatch.setitem(sys.modules, "onnxruntime", module)
    return started


@pytest.mark.parametrize(
    ("broken", "silent", "message"),
    [(False, False, ""), (True, False, "CUDAExecutionProvider failed"), (False, True, "could not start")],
)
def test_the_first_accelerator_is_tried_and_the_cpu_takes_over(files, monkeypatch, caplog, broken, silent, message):
    started = fake_onnxruntime(monkeypatch, broken, silent)
    open_session(files[0], "onnxruntime")
    assert started[0] == ["CUDAExecutionProvider", "CPUExecutionProvider"]
    assert started[1:] == ([["CPUExecutionProvider"]] if broken else [])
    assert message in caplog.text and bool(caplog.text) == bool(message)


def test_the_letterbox_fits_slivers():
    tensor, ratio = letterbox(np.full((2, 4000, 3), 7, np.uint8))
    assert tensor.shape == (1, 3, 640, 640) and ratio == 0.16
    assert (tensor[0, :, 0] == 7).all() and (tensor[0, :, 1:] == 114).all()


def test_suppression_counts_whole_pixels():
    boxes = np.array([[0, 0, 9, 9], [0, 0, 9, 3.49], [0, 0, 9, 3.51], [50, 50, 59, 59.0]])
    assert suppress(boxes, np.array([0.9, 0.8, 0.7, 0.95])).tolist() == [3, 0, 1]  # 4.49 and 4.51 of 10 rows


def test_crops_are_scaled_about_the_box(picture):
    centre, size = dwpose.crop_geometry([[10, 20, 40, 60], [0, 0, 160, 90]], 384, 288)
    assert np.allclose(centre, [[25, 40], [80, 45]]) and np.allclose(size, [[37.5, 50], [200, 800 / 3]])
    for c, s in zip(centre, size, strict=True):
        assert np.allclose(dwpose.crop_matrix(c, s, 384, 288) @ (*(c + s / 2), 1), (288, 384), atol=1e-3)
    whole = dwpose.crop(picture, centre[1], size[1], 384, 288)
    inner = cv2.resize(picture, (230, 130), interpolation=cv2.INTER_LINEAR)
    assert not whole[:120].any() and not whole[-120:].any()
    assert abs(float(whole[130:254, 33:255].mean()) - float(inner.mean())) < 2
