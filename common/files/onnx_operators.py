"""The ONNX operators that OpenCV's importer is given: their inputs, outputs and attributes with their ranges."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

# AttributeProto.AttributeType
FLOAT, INT, STRING, TENSOR, FLOATS, INTS, STRINGS = 1, 2, 3, 4, 6, 7, 8


@dataclass(frozen=True)
class Attribute:
    """``low`` and ``high`` hold for every number; ``most``: how many numbers; ``words``: which texts."""

    kind: int
    low: float = -math.inf
    high: float = math.inf
    most: int = 8
    words: tuple[str, ...] = ()

    def allows(self, value) -> bool:
        if self.kind in (INT, FLOAT):
            return math.isfinite(value) and self.low <= value <= self.high
        if self.kind in (INTS, FLOATS):
            return len(value) <= self.most and all(math.isfinite(n) and self.low <= n <= self.high for n in value)
        return not self.words or value in self.words


@dataclass(frozen=True)
class Operator:
    """``check``: (attributes, constant inputs or None) -> what is wrong, or None.

    ``gaps``: inputs after the needed ones may be left out by an empty name.
    """

    inputs: tuple[int, int] = (1, 1)
    outputs: int = 1
    attributes: dict[str, Attribute] = field(default_factory=dict)
    check: Callable[[dict, list], str | None] | None = None
    gaps: bool = False


def _axis(**options) -> Attribute:
    return Attribute(INT, -8, 7, **options)


SWITCH = Attribute(INT, 0, 1)
AXES = Attribute(INTS, -8, 7)
FACTOR = Attribute(FLOAT, -1e6, 1e6)
WINDOW = {
    "auto_pad": Attribute(STRING, words=("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")),
    "kernel_shape": Attribute(INTS, 1, 1024, 3),
    "strides": Attribute(INTS, 1, 1024, 3),
    "dilations": Attribute(INTS, 1, 1024, 3),
    "pads": Attribute(INTS, 0, 1024, 6),
}
POOL = {**WINDOW, "ceil_mode": SWITCH, "count_include_pad": SWITCH, "storage_order": Attribute(INT, 0, 0)}
REDUCE = {"axes": AXES, "keepdims": SWITCH, "noop_with_empty_axes": SWITCH}
NORM = {"epsilon": Attribute(FLOAT, 0, 1), "momentum": Attribute(FLOAT, 0, 1), "spatial": Attribute(INT, 1, 1)}


def _window(attributes: dict, rank: int) -> str | None:
    """Kernel, strides, dilations and padding have one or two numbers per axis of the picture."""
    lengths = {"kernel_shape": rank, "strides": rank, "dilations": rank, "pads": 2 * rank}
    wrong = [name for name, length in lengths.items() if name in attributes and len(attributes[name]) != length]
    return f"{wrong[0]} {attributes[wrong[0]]}" if wrong else None


def _pool(attributes: dict, constants: list) -> str | None:
    kernel = attributes.get("kernel_shape")
    if not kernel:
        return "no kernel_shape"
    pads = attributes.get("pads", [])
    if any(pad >= size for pad, size in zip(pads, kernel * 2, strict=False)):
        return f"pads {pads} for the kernel {kernel}"
    return _window(attributes, len(kernel))


def _convolution(attributes: dict, constants: list) -> str | None:
    weight, bias, group = constants[1], constants[2] if len(constants) > 2 else None, attributes.get("group", 1)
    if weight is None or weight.element != 1 or not 3 <= len(weight.dims) <= 5 or 0 in weight.dims:
        return "no constant kernel"
    if list(attributes.get("kernel_shape", weight.dims[2:])) != list(weight.dims[2:]):
        return f"kernel_shape {attributes['kernel_shape']} and a kernel {list(weight.dims)}"
    if weight.dims[0] % group:
        return f"{group} groups for a kernel {list(weight.dims)}"
    if len(constants) > 2 and (bias is None or bias.element != 1 or bias.dims != weight.dims[:1]):
        return "a bias of another size than its kernel"
    return _window(attributes, len(weight.dims) - 2)


def _normalisation(attributes: dict, constants: list) -> str | None:
    sizes = {None if each is None or each.element != 1 else each.dims for each in constants[1:]}
    return None if len(sizes) == 1 and len(next(iter(sizes)) or ()) == 1 else "parameters of different sizes"


def _gemm(attributes: dict, constants: list) -> str | None:
    weight, bias = constants[1], constants[2] if len(constants) > 2 else None
    if weight is None or weight.element != 1 or len(weight.dims) != 2 or 0 in weight.dims:
        return "no constant matrix"
    width = weight.dims[0 if attributes.get("transB") else 1]
    if len(constants) > 2 and (bias is None or bias.element != 1 or math.prod(bias.dims) not in (1, width)):
        return "a bias of another size than its matrix"
    return "a transposed input" if attributes.get("transA") else None


def _integers(place: int, low: int = -(1 << 31), optional: bool = False) -> Callable:
    """The input at a place is one list of integers, where it is constant."""

    def check(attributes: dict, constants: list) -> str | None:
        given = constants[place] if place < len(constants) else None
        if given is None:
            return None
        if given.element not in (6, 7) or len(given.dims) > 1 or given.values is None:
            return "a shape that is no list of integers"
        # "To the end" is written as the largest integer.
        wrong = [int(n) for n in given.values if n < low and n > -(1 << 62)]
        return f"the number {wrong[0]} in its shape" if wrong else None

    return check


def _reshape(attributes: dict, constants: list) -> str | None:
    shape = constants[1]
    if shape is None or (reason := _integers(1, -1)(attributes, constants)):
        return None if shape is None else reason
    numbers = [int(n) for n in shape.values]
    if len(numbers) > 8 or numbers.count(-1) > 1 or math.prod(abs(n) or 1 for n in numbers) > 1 << 28:
        return f"the shape {numbers[:8]}"
    return None


def _transpose(attributes: dict, constants: list) -> str | None:
    order = attributes.get("perm", [])
    return None if sorted(order) == list(range(len(order))) else f"the order {order}"


def _operators(names: Iterable[str], **values) -> dict[str, Operator]:
    return {name: Operator(**values) for name in names}


OPERATORS: dict[str, Operator] = {
    **_operators(
        ("Sigmoid", "Relu", "Tanh", "Exp", "Log", "Sqrt", "Abs", "Neg", "Identity", "Floor", "Ceil", "Erf", "HardSwish",
         "Softplus", "Reciprocal", "GlobalAveragePool", "GlobalMaxPool"),
    ),
    **_operators(("Add", "Sub", "Mul", "Div", "Pow", "MatMul", "Equal", "PRelu"), inputs=(2, 2)),
    **_operators(("Max", "Min"), inputs=(2, 2)),
    **_operators(("LeakyRelu", "Elu"), attributes={"alpha": FACTOR}),
    "HardSigmoid": Operator(attributes={"alpha": FACTOR, "beta": FACTOR}),
    "Clip": Operator((1, 3), 1, {"min": Attribute(FLOAT), "max": Attribute(FLOAT)}, gaps=True),
    "Where": Operator(inputs=(3, 3)),
    "Conv": Operator((2, 3), 1, {**WINDOW, "group": Attribute(INT, 1, 65536)}, _convolution),
    **_operators(("MaxPool", "AveragePool"), attributes=POOL, check=_pool),
    "BatchNormalization": Operator((5, 5), 1, NORM, _normalisation),
    "Concat": Operator((1, 64), 1, {"axis": _axis()}, lambda attributes, _: None if attributes else "no axis"),
    "Split": Operator((1, 2), 64, {"axis": _axis(), "split": Attribute(INTS, 1, 65536, 64),
                                   "num_outputs": Attribute(INT, 1, 64)}, _integers(1, 1)),
    "Slice": Operator((1, 5), 1, {"axes": AXES, "starts": Attribute(INTS), "ends": Attribute(INTS)}),
    "Reshape": Operator((2, 2), 1, {"allowzero": Attribute(INT, 0, 0)}, _reshape),
    "Flatten": Operator(attributes={"axis": _axis()}),
    "Transpose": Operator(attributes={"perm": Attribute(INTS, 0, 7)}, check=_transpose),
    **_operators(("Squeeze", "Unsqueeze"), inputs=(1, 2), attributes={"axes": AXES}, check=_integers(1, -8)),
    "Expand": Operator((2, 2), check=_integers(1, 1)),
    "Gather": Operator((2, 2), 1, {"axis": _axis()}),
    "Shape": Operator(attributes={"start": _axis(), "end": _axis()}),
    "Constant": Operator((0, 0), 1, {"value": Attribute(TENSOR)}),
    "ConstantOfShape": Operator((1, 1), 1, {"value": Attribute(TENSOR)}, _integers(0, 0)),
    "Cast": Operator(attributes={"to": Attribute(INT, 1, 11)}, check=lambda given, _: None if given else "no type"),
    **_operators(("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceSumSquare"),
                 inputs=(1, 2), attributes=REDUCE, check=_integers(1, -8)),
    **_operators(("Softmax", "LogSoftmax"), attributes={"axis": _axis()}),
    "Gemm": Operator((2, 3), 1, {"alpha": FACTOR, "beta": FACTOR, "transA": SWITCH, "transB": SWITCH}, _gemm),
    "Resize": Operator((1, 4), 1, {
        "mode": Attribute(STRING, words=("nearest", "linear")),
        "coordinate_transformation_mode": Attribute(
            STRING, words=("asymmetric", "half_pixel", "align_corners", "pytorch_half_pixel")),
        "nearest_mode": Attribute(STRING, words=("floor", "round_prefer_floor")),
        "cubic_coeff_a": FACTOR, "exclude_outside": SWITCH, "extrapolation_value": FACTOR,
    }, gaps=True),
    "Pad": Operator((1, 3), 1, {"mode": Attribute(STRING, words=("constant", "reflect", "edge")),
                                "pads": Attribute(INTS, 0, 1024, 16), "value": FACTOR}, _integers(1, 0)),
}  # fmt: skip
