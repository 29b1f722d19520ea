"""Small networks with the operators of the published detectors and pose networks, in the ways exporters write them."""

from functools import cache

import numpy as np


def _constant(name: str, values, kind=np.int64):
    from onnx import numpy_helper

    return numpy_helper.from_array(np.asarray(values, kind), name)


def _model(nodes, constants, size, outputs, opset: int) -> bytes:
    from onnx import TensorProto, checker, helper

    free = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()]
    declared = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, size, size])
    graph = helper.make_graph(nodes, "g", [declared], free, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    checker.check_model(model)
    return model.SerializeToString()


@cache
def detector() -> bytes:
    """As YOLOX: picture cut into four, convolutions with SiLU, pooling pyramid, up-sampling, reshaped heads."""
    from onnx import helper

    draws = np.random.default_rng(54)
    node = helper.make_node
    kernels = {"k1": (8, 12, 3, 3), "k2": (4, 8, 1, 1), "k3": (8, 1, 3, 3)}
    constants = [_constant(name, draws.normal(size=shape) * 0.2, np.float32) for name, shape in kernels.items()]
    constants += [_constant("b1", np.zeros(8), np.float32), _constant("scales", [1, 1, 2, 2], np.float32)]
    constants += [_constant("roi", [], np.float32), _constant("rows", [1, 13, -1])]
    constants += [_constant(f"begin{n}", [n]) for n in (0, 1)]
    constants += [
        _constant("end", [2**63 - 1]),
        _constant("two", [2]),
        _constant("down", [2]),
        _constant("across", [3]),
    ]
    nodes = []
    for number, (row, column) in enumerate(((0, 0), (1, 0), (0, 1), (1, 1))):
        nodes.append(node("Slice", ["x", f"begin{row}", "end", "down", "two"], [f"r{number}"]))
        nodes.append(node("Slice", [f"r{number}", f"begin{column}", "end", "across", "two"], [f"s{number}"]))
    nodes += [
        node("Concat", ["s0", "s1", "s2", "s3"], ["focus"], axis=1),
        node("Conv", ["focus", "k1", "b1"], ["c1"], kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[1, 1], group=1),
        node("Sigmoid", ["c1"], ["g1"]),
        node("Mul", ["c1", "g1"], ["a1"]),
        node("MaxPool", ["a1"], ["p1"], kernel_shape=[5, 5], pads=[2, 2, 2, 2], strides=[1, 1], ceil_mode=0),
        node("Conv", ["p1", "k3"], ["c3"], kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2], group=8),
        node("Resize", ["c3", "roi", "scales"], ["up"], mode="nearest", nearest_mode="floor",
             coordinate_transformation_mode="asymmetric"),
        node("Add", ["up", "a1"], ["sum"]),
        node("Conv", ["sum", "k2"], ["c2"], kernel_shape=[1, 1], dilations=[1, 1]),
        node("LeakyRelu", ["c2"], ["l2"], alpha=0.1),
        node("Sigmoid", ["c2"], ["g2"]),
        node("Concat", ["l2", "g2", "c2", "s0"], ["heads"], axis=1),
        node("Slice", ["heads", "begin0", "across4", "channel"], ["few"]),
        node("Reshape", ["few", "rows"], ["flat"]),
        node("Transpose", ["flat"], ["y"], perm=[0, 2, 1]),
    ]  # fmt: skip
    constants += [_constant("across4", [13]), _constant("channel", [1])]
    return _model(nodes, constants, 32, {"y": [1, 256, 13]}, 11)


@cache
def pose() -> bytes:
    """As RTMPose: channel attention, a gated attention unit with scaled norm, two classifiers."""
    from onnx import helper

    draws = np.random.default_rng(55)
    node = helper.make_node
    shapes = {
        "k1": (8, 3, 3, 3), "fc": (8, 8, 1, 1), "scale": (8,), "shift": (8,), "mean": (8,), "kp": (5, 8, 1, 1),
        "mlp": (64, 16), "uv": (16, 40), "o": (16, 16), "cx": (16, 24), "cy": (16, 32),
        "gemm": (12, 24), "bias": (12,),
    }  # fmt: skip
    constants = [_constant(name, draws.normal(size=shape) * 0.2, np.float32) for name, shape in shapes.items()]
    constants += [_constant("variance", np.ones(8), np.float32), _constant("least", 1e-5, np.float32)]
    constants += [
        _constant("root", 0.25, np.float32),
        _constant("half", 2.0, np.float32),
    ]
    constants += [_constant("minus", [-1]), _constant("zero", 0), _constant("five", [5])]
    outputs = {"simcc_x": ["n", 5, 24], "simcc_y": ["n", 5, 32], "so": ["n", 12], "fl": ["n", 392]}
    nodes = [
        node("Conv", ["x", "k1"], ["c1"], kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2]),
        node("BatchNormalization", ["c1", "scale", "shift", "mean", "variance"], ["n1"], epsilon=1e-5),
        node("Relu", ["n1"], ["a1"]),
        node("GlobalAveragePool", ["a1"], ["pool"]),
        node("Conv", ["pool", "fc"], ["f1"], kernel_shape=[1, 1]),
        node("HardSigmoid", ["f1"], ["gate"], alpha=0.1666667, beta=0.5),
        node("Mul", ["a1", "gate"], ["m1"]),
        node("AveragePool", ["m1"], ["ap"], kernel_shape=[2, 2], strides=[1, 1], count_include_pad=1),
        node("Conv", ["m1", "kp"], ["points"], kernel_shape=[1, 1]),
        node("Shape", ["points"], ["size"]),
        node("Gather", ["size", "zero"], ["batch"], axis=0),
        node("Unsqueeze", ["batch"], ["batch1"], axes=[0]),
        node("Concat", ["batch1", "five", "minus"], ["shape"], axis=0),
        node("Reshape", ["points", "shape"], ["p1"]),
        node("ReduceL2", ["p1"], ["norm"], axes=[2], keepdims=1),
        node("Mul", ["norm", "root"], ["norm1"]),
        node("Clip", ["norm1", "least"], ["norm2"]),
        node("Div", ["p1", "norm2"], ["p2"]),
        node("MatMul", ["p2", "mlp"], ["h"]),
        node("MatMul", ["h", "uv"], ["uvb"]),
        node("Sigmoid", ["uvb"], ["uvs"]),
        node("Mul", ["uvb", "uvs"], ["silu"]),
        node("Split", ["silu"], ["u", "v", "base"], axis=2, split=[16, 16, 8]),
        node("Transpose", ["base"], ["key"], perm=[0, 2, 1]),
        node("MatMul", ["base", "key"], ["qk"]),
        node("Relu", ["qk"], ["qk1"]),
        node("Pow", ["qk1", "half"], ["kernel"]),
        node("MatMul", ["kernel", "v"], ["kv"]),
        node("Mul", ["u", "kv"], ["gated"]),
        node("MatMul", ["gated", "o"], ["out"]),
        node("Add", ["out", "h"], ["last"]),
        node("Identity", ["last"], ["same"]),
        node("MatMul", ["same", "cx"], ["simcc_x"]),
        node("MatMul", ["same", "cy"], ["simcc_y"]),
        node("ReduceMean", ["simcc_x"], ["rm"], axes=[1], keepdims=0),
        node("Gemm", ["rm", "gemm", "bias"], ["ge"], transB=1, alpha=1.0, beta=1.0),
        node("Softmax", ["ge"], ["so"], axis=1),
        node("Tanh", ["ap"], ["th"]),
        node("Flatten", ["th"], ["fl"], axis=1),
    ]  # fmt: skip
    return _model(nodes, constants, 16, outputs, 12)
