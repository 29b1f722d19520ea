"""ONNX files before OpenCV reads them: sound ones pass and give onnxruntime's numbers, contradictions are told."""

import dataclasses
import logging
import sys
import types

import numpy as np
import onnx
import pytest
from betwixt.common.errors import BetwixtError
from betwixt.common.files import onnx_windows
from betwixt.common.files.file_hash import sha256_of
from betwixt.common.files.onnx_operators import OPERATORS
from betwixt.common.files.onnx_structure import check_structure
from betwixt.fcvg_core.poses import onnx_session
from betwixt.fcvg_core.poses.onnx_session import OpenCVSession, open_session, run_network

from support.models import onnx_networks

NETWORKS = {"detector": (onnx_networks.detector, 32), "pose": (onnx_networks.pose, 16)}


@pytest.mark.parametrize("kind", NETWORKS)
def test_both_engines_give_the_same_numbers(tmp_path, kind, caplog):
    write, side = NETWORKS[kind]
    (tmp_path / "net.onnx").write_bytes(write())
    path, picture = str(tmp_path / "net.onnx"), np.random.default_rng(1).normal(size=(1, 3, side, side))
    check_structure(path)
    with caplog.at_level(logging.INFO):
        results = [
            run_network(open_session(path, runtime), picture.astype(np.float32), "net")
            for runtime in ("onnxruntime", "opencv")
        ]
    for left, right in zip(*results, strict=True):
        np.testing.assert_allclose(left, right.reshape(left.shape), atol=1e-4)
    assert "net.onnx runs through onnxruntime on CPU" in caplog.text
    assert "net.onnx runs through OpenCV" in caplog.text


def test_the_operators_of_detectors_and_pose_networks_are_taken():
    used = {node.op_type for write, _ in NETWORKS.values() for node in onnx.load_from_string(write()).graph.node}
    assert len(used) > 30 and used <= set(OPERATORS)


def without(sequence, index):
    del sequence[index]


def reordered(graph):
    nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes[1:], nodes[0]])


def node_of(graph, operator):
    return next(node for node in graph.node if node.op_type == operator)


def set_attribute(graph, operator, name, value):
    attribute = next(item for item in node_of(graph, operator).attribute if item.name == name)
    attribute.CopyFrom(onnx.helper.make_attribute(name, value))


def kernel(graph):
    return next(tensor for tensor in graph.initializer if tensor.name == "k1")


CONTRADICTIONS = {
    "which nothing before it produces": reordered,
    "Conv has 1 inputs": lambda graph: without(node_of(graph, "Conv").input, slice(1, None)),
    "Concat has 4 inputs, 1 of them empty": lambda graph: node_of(graph, "Concat").input.__setitem__(1, ""),
    "kernel_shape": lambda graph: set_attribute(graph, "Conv", "kernel_shape", [5, 5]),
    "strides is": lambda graph: set_attribute(graph, "Conv", "strides", [0, 1]),
    "group is": lambda graph: set_attribute(graph, "Conv", "group", 0),
    "7 groups for a kernel": lambda graph: set_attribute(graph, "Conv", "group", 7),
    "pads \\[": lambda graph: set_attribute(graph, "MaxPool", "pads", [9, 9, 9, 9]),
    "another type": lambda graph: set_attribute(graph, "MaxPool", "ceil_mode", 1.5),
    "MaxPool has the attribute 'odd'": lambda graph: node_of(graph, "MaxPool").attribute.append(
        onnx.helper.make_attribute("odd", 1)
    ),
    "860 values|863 values|values for the sizes": lambda graph: kernel(graph).dims.__setitem__(0, 9),
    "values of another type": lambda graph: kernel(graph).int64_data.append(3),
    "in another file": lambda graph: setattr(kernel(graph), "data_location", 1),
    "'k1'": lambda graph: graph.initializer.append(kernel(graph)),
    "2 inputs instead of one": lambda graph: graph.input.append(
        onnx.helper.make_tensor_value_info("more", 1, [1, 3, 8, 8])
    ),
    "has the size 0": lambda graph: setattr(graph.input[0].type.tensor_type.shape.dim[2], "dim_value", 0),
    "produced twice": lambda graph: graph.node.append(node_of(graph, "MaxPool")),
    "an output that nothing produces": lambda graph: setattr(graph.output[0], "name", "nowhere"),
    "the order": lambda graph: set_attribute(graph, "Transpose", "perm", [0, 2, 2]),
    "the operator 'GridSample'": lambda graph: setattr(node_of(graph, "MaxPool"), "op_type", "GridSample"),
    "the operator 'com.other.MaxPool'": lambda graph: setattr(node_of(graph, "MaxPool"), "domain", "com.other"),
}


@pytest.mark.parametrize("message", CONTRADICTIONS)
def test_contradictions_are_told(tmp_path, message):
    model = onnx.load_from_string(onnx_networks.detector())
    CONTRADICTIONS[message](model.graph)
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(BetwixtError, match=f"'net.onnx'.*({message})"):
        open_session(str(tmp_path / "net.onnx"), "opencv")


def test_the_published_files_need_no_check(tmp_path, monkeypatch):
    helper = onnx.helper
    ends = [helper.make_tensor_value_info(name, 1, [1, 3]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Sin", ["x"], ["y"])], "g", ends[:1], ends[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]), tmp_path / "sin.onnx")
    path = str(tmp_path / "sin.onnx")
    with pytest.raises(BetwixtError, match="(?s)'Sin'.*pip install onnxruntime"):
        open_session(path, "opencv")
    monkeypatch.setattr(onnx_session, "DWPOSE", dataclasses.replace(onnx_session.DWPOSE, sha256=sha256_of(path)))
    assert isinstance(open_session(path, "opencv"), OpenCVSession)


def test_an_onnxruntime_that_cannot_be_used_is_told(tmp_path, monkeypatch, caplog):
    (tmp_path / "net.onnx").write_bytes(onnx_networks.detector())
    broken = types.ModuleType("onnxruntime")  # what is left when its CPU and GPU packages overwrote each other
    broken.__spec__ = types.SimpleNamespace(name="onnxruntime")
    monkeypatch.setitem(sys.modules, "onnxruntime", broken)
    assert isinstance(open_session(str(tmp_path / "net.onnx")), OpenCVSession)
    assert "onnxruntime is installed but cannot be used" in caplog.text


def test_a_network_that_cannot_take_the_tensor_is_told(tmp_path):
    (tmp_path / "net.onnx").write_bytes(onnx_networks.detector())
    for runtime in ("onnxruntime", "opencv"):
        with pytest.raises(BetwixtError, match=r"'net' cannot be run on a tensor \[1, 3, 31, 4\]"):
            run_network(open_session(str(tmp_path / "net.onnx"), runtime), np.zeros((1, 3, 31, 4), np.float32), "net")


@pytest.mark.parametrize(("sizes", "taken"), [({}, False), ({"strides": [2, 3]}, True), ({"strides": [1, 3]}, False)])
def test_windows_that_take_minutes_are_refused(tmp_path, sizes, taken):
    model = onnx.load_from_string(onnx_networks.detector())
    pool = node_of(model.graph, "MaxPool")
    pool.CopyFrom(onnx.helper.make_node("MaxPool", pool.input, pool.output, kernel_shape=[64, 64], **sizes))
    onnx.save(model, tmp_path / "net.onnx")
    assert onnx_windows.MOST_OVERLAP == 1024
    if taken:
        onnx_windows.check_windows(str(tmp_path / "net.onnx"))
        return
    for runtime in ("onnxruntime", "opencv"):
        with pytest.raises(BetwixtError, match="'net.onnx' has a pooling window of 64x64 that moves by 1x"):
            open_session(str(tmp_path / "net.onnx"), runtime)
