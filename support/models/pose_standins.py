"""Small ONNX files with the inputs and outputs of DWPose's two networks, built from a seed.

They compute the same numbers as the golden folder's ``standin_det.onnx`` and ``standin_pose.onnx`` of that seed. The
detector is built from matrix products here, because OpenCV lacks the scatter operation of the golden file.
"""

from pathlib import Path

import numpy as np

GRIDS = {8: (0, 80), 16: (6400, 40), 32: (8000, 20)}  # stride -> first row, cells per side
# stride, cell x, cell y, width, height, objectness, class, class score
PROPOSALS = (
    (32, 6, 10, 200.0, 420.0, 0.93, 0, 0.95),
    (32, 7, 10, 205.0, 410.0, 0.90, 0, 0.90),  # nearly the first
    (16, 27, 20, 150.0, 330.0, 0.80, 0, 0.85),
    (16, 28, 21, 160.0, 340.0, 0.88, 0, 0.80),  # nearly the third
    (8, 40, 62, 60.0, 90.0, 0.50, 0, 0.45),  # a candidate, not a person
    (32, 15, 4, 130.0, 120.0, 0.95, 16, 0.97),  # another class
    (8, 70, 70, 40.0, 40.0, 0.20, 0, 0.30),  # no candidate
)
SENSITIVITY = np.array([0.06, 0.06, 0.02, 0.02, 0.004], np.float32)


def build_standins(folder: Path, seed: int) -> tuple[Path, Path]:
    """Write ``standin_det.onnx`` and ``standin_pose.onnx`` of a seed; returns their paths."""
    import onnx

    paths = (folder / "standin_det.onnx", folder / "standin_pose.onnx")
    for path, model in zip(paths, (_detector(seed), _pose(seed)), strict=True):
        onnx.save(model, path)
    return paths


def _detector(seed: int):
    """[1, 3, 640, 640] -> [1, 8400, 85]: seven proposals that depend on the picture's 8x8 averages, zeros elsewhere."""
    count = len(PROPOSALS)
    base, fixed = np.zeros((count, 5), np.float32), np.zeros((count, 85), np.float32)
    place = np.zeros((GRIDS[32][0] + 400, count), np.float32)
    for index, (stride, x, y, w, h, objectness, kind, score) in enumerate(PROPOSALS):
        first, cells = GRIDS[stride]
        place[first + y * cells + x, index] = 1
        base[index] = (0.5, 0.5, np.log(w / stride), np.log(h / stride), objectness)
        fixed[index, 5 + kind] = score
    sensitivity = np.random.default_rng(seed).standard_normal((192, count * 5)).astype(np.float32)
    constants = {
        "flat": np.array([1, 192], np.int64),
        "scale": np.array(1 / 255, np.float32),
        "half": np.array(0.5, np.float32),
        "sensitivity": sensitivity * np.tile(SENSITIVITY, count),
        "base": base.reshape(1, -1),
        "table": np.array([count, 5], np.int64),
        "widen": np.eye(5, 85, dtype=np.float32),
        "fixed": fixed,
        "place": place,
        "batch": np.array([1, 8400, 85], np.int64),
    }
    steps = (
        ("Reshape", "pooled", "flat"),
        ("Mul", "", "scale"),
        ("Sub", "", "half"),
        ("MatMul", "", "sensitivity"),
        ("Add", "", "base"),
        ("Reshape", "", "table"),
        ("MatMul", "", "widen"),
        ("Add", "", "fixed"),
        ("MatMul", "place", ""),
        ("Reshape", "", "batch"),
    )
    nodes, previous = [_node("AveragePool", ["images"], "pooled", kernel_shape=[80, 80], strides=[80, 80])], "pooled"
    for index, (operation, left, right) in enumerate(steps):
        name = "output" if index == len(steps) - 1 else f"step{index}"
        nodes.append(_node(operation, [left or previous, right or previous], name))
        previous = name
    return _model(nodes, {"images": [1, 3, 640, 640]}, {"output": [1, 8400, 85]}, constants)


def _pose(seed: int):
    """[N, 3, 384, 288] -> [N, 133, 576] and [N, 133, 768]: low-rank functions of the crop's 8x8 averages."""
    random = np.random.default_rng(seed + 1000)
    project = (random.standard_normal((192, 16)) * 0.08).astype(np.float32)
    gain = 10.0 ** random.uniform(-0.9, 0.35, (133, 1))
    points = (random.standard_normal((133, 16)) * gain).astype(np.float32)
    along_x = (random.standard_normal((16, 576)) * 0.06).astype(np.float32)
    along_y = (random.standard_normal((16, 768)) * 0.06).astype(np.float32)
    constants = {
        "flat": np.array([-1, 192], np.int64),
        "lift": np.array([-1, 1, 16], np.int64),
        "project": project,
        "points": points[None],
        "along_x": along_x,
        "along_y": along_y,
    }
    nodes = [
        _node("AveragePool", ["input"], "pooled", kernel_shape=[48, 36], strides=[48, 36]),
        _node("Reshape", ["pooled", "flat"], "averages"),
        _node("MatMul", ["averages", "project"], "mixed"),
        _node("Tanh", ["mixed"], "features"),
        _node("Reshape", ["features", "lift"], "lifted"),
        _node("Mul", ["lifted", "points"], "weighted"),
        _node("MatMul", ["weighted", "along_x"], "simcc_x"),
        _node("MatMul", ["weighted", "along_y"], "simcc_y"),
    ]
    outputs = {"simcc_x": ["batch", 133, 576], "simcc_y": ["batch", 133, 768]}
    return _model(nodes, {"input": ["batch", 3, 384, 288]}, outputs, constants)


def _node(operation: str, inputs: list[str], output: str, **attributes):
    from onnx import helper

    return helper.make_node(operation, inputs, [output], **attributes)


def _model(nodes: list, inputs: dict[str, list], outputs: dict[str, list], constants: dict[str, np.ndarray]):
    from onnx import TensorProto, checker, helper, numpy_helper

    ends = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in end.items()]
        for end in (inputs, outputs)
    ]
    weights = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    model = helper.make_model(
        helper.make_graph(nodes, "standin", *ends, weights), opset_imports=[helper.make_opsetid("", 13)]
    )
    model.ir_version = 8
    checker.check_model(model)
    return model
