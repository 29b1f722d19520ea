"""Checks an ONNX file as a whole before OpenCV reads it, whose importer trusts what it reads and may crash.

Everything a file says about itself must agree: names refer to what exists, tensors have the bytes that their shapes
ask for, attributes have the type and range of their operator (onnx.proto3, the ONNX operator list). Operators are
those of :data:`OPERATORS`, which OpenCV 4.9 and newer import and which person detectors and pose networks use.
"""

import mmap
import os
import struct
from dataclasses import dataclass, field

import numpy as np

from ..errors import BetwixtError
from .onnx_operators import FLOAT, FLOATS, INT, INTS, OPERATORS, STRING, STRINGS, TENSOR
from .protobuf import BYTES, FIXED32, FIXED64, VARINT, read_varint, typed_fields

MAX_ELEMENTS = 1 << 28
MAX_SIDE = 1 << 16
OPSETS = range(7, 27)
DOMAINS = ("", "ai.onnx")

# Field number -> (name, wire types that protobuf allows for it); all other fields are refused.
_PACKED_INTS, _PACKED_FLOATS = (VARINT, BYTES), (FIXED32, BYTES)
MODEL = {
    1: ("ir_version", (VARINT,)), 2: ("producer", (BYTES,)), 3: ("producer_version", (BYTES,)), 4: ("domain", (BYTES,)),
    5: ("version", (VARINT,)), 6: ("text", (BYTES,)), 7: ("graph", (BYTES,)), 8: ("opsets", (BYTES,)),
    14: ("metadata", (BYTES,)),
}  # fmt: skip
OPSET = {1: ("domain", (BYTES,)), 2: ("version", (VARINT,))}
GRAPH = {
    1: ("nodes", (BYTES,)), 2: ("name", (BYTES,)), 5: ("tensors", (BYTES,)), 10: ("text", (BYTES,)),
    11: ("inputs", (BYTES,)), 12: ("outputs", (BYTES,)), 13: ("values", (BYTES,)), 16: ("metadata", (BYTES,)),
}  # fmt: skip
NODE = {
    1: ("inputs", (BYTES,)), 2: ("outputs", (BYTES,)), 3: ("name", (BYTES,)), 4: ("operator", (BYTES,)),
    5: ("attributes", (BYTES,)), 6: ("text", (BYTES,)), 7: ("domain", (BYTES,)), 9: ("metadata", (BYTES,)),
}  # fmt: skip
ATTRIBUTE = {
    1: ("name", (BYTES,)), 2: ("f", (FIXED32,)), 3: ("i", (VARINT,)), 4: ("s", (BYTES,)), 5: ("t", (BYTES,)),
    7: ("floats", _PACKED_FLOATS), 8: ("ints", _PACKED_INTS), 9: ("strings", (BYTES,)), 13: ("text", (BYTES,)),
    20: ("type", (VARINT,)),
}  # fmt: skip
TENSOR_FIELDS = {
    1: ("dims", _PACKED_INTS), 2: ("type", (VARINT,)), 4: ("floats", _PACKED_FLOATS), 5: ("int32s", _PACKED_INTS),
    7: ("int64s", _PACKED_INTS), 8: ("name", (BYTES,)), 9: ("raw", (BYTES,)), 10: ("doubles", (FIXED64, BYTES)),
    12: ("text", (BYTES,)), 14: ("location", (VARINT,)),
}  # fmt: skip
VALUE = {1: ("name", (BYTES,)), 2: ("type", (BYTES,)), 3: ("text", (BYTES,)), 4: ("metadata", (BYTES,))}
TYPE = {1: ("tensor", (BYTES,)), 6: ("denotation", (BYTES,))}
TENSOR_TYPE = {1: ("type", (VARINT,)), 2: ("shape", (BYTES,))}
SHAPE = {1: ("dims", (BYTES,))}
DIMENSION = {1: ("value", (VARINT,)), 2: ("param", (BYTES,)), 3: ("denotation", (BYTES,))}
# Element type -> (bytes, the field that may hold the values instead of raw bytes, numpy's type).
ELEMENTS = {
    1: (4, "floats", "<f4"), 6: (4, "int32s", "<i4"), 7: (8, "int64s", "<i8"), 9: (1, "int32s", "?"),
    10: (2, "int32s", "<f2"), 11: (8, "doubles", "<f8"),
}  # fmt: skip
ATTRIBUTE_FIELDS = {FLOAT: "f", INT: "i", STRING: "s", TENSOR: "t", FLOATS: "floats", INTS: "ints", STRINGS: "strings"}


class DamagedNetwork(Exception):
    """The file contradicts itself or ONNX."""


class UnknownOperator(Exception):
    """The file uses an operator outside :data:`OPERATORS`."""


@dataclass
class Tensor:
    """Weights; ``values`` only of integers, which shape other tensors."""

    dims: tuple[int, ...]
    element: int
    values: np.ndarray | None = None


@dataclass
class Node:
    operator: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, object] = field(default_factory=dict)


def check_structure(path: str) -> None:
    """Compare everything an ONNX file says with everything else in it.

    Raises:
        BetwixtError: it contradicts itself, is truncated, or uses an operator that OpenCV may not know.
    """
    name = os.path.basename(path)
    try:
        with open(path, "rb") as file:
            _check_model(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)))
    except UnknownOperator as error:
        raise BetwixtError(
            f"'{name}' uses the operator '{error}', which OpenCV does not run reliably.",
            f"OpenCV takes networks of these operators: {', '.join(sorted(OPERATORS))}.",
            "Install onnxruntime ('pip install onnxruntime'), which runs all of them.",
        ) from error
    except (DamagedNetwork, IndexError, ValueError, OverflowError, struct.error) as error:
        raise BetwixtError(
            f"'{name}' is damaged: {error}.",
            "A complete ONNX file whose parts agree is needed.",
            f"Download it again and compare its size with the one in the README's table: {path}",
        ) from error


def _read(message: memoryview, known: dict, what: str) -> dict[str, list]:
    """Contents by field name; repeated fields in their order."""
    found: dict[str, list] = {}
    for number, wire, content in typed_fields(message):
        name, wires = known.get(number, ("", ()))
        if wire not in wires:
            raise DamagedNetwork(f"a {what} has the unknown field {number}")
        found.setdefault(name, []).append(content)
    return found


def _one(found: dict[str, list], name: str, default=None):
    values = found.get(name, [])
    if len(values) > 1:
        raise DamagedNetwork(f"'{name}' is given twice")
    return values[0] if values else default


def _text(content) -> str:
    return bytes(content or b"").decode()


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _ints(contents: list) -> list[int]:
    """A repeated integer, packed or not."""
    values = []
    for content in contents:
        if isinstance(content, int):
            values.append(_signed(content))
            continue
        at = 0
        while at < len(content):
            value, at = read_varint(content, at)
            values.append(_signed(value))
    return values


def _count(contents: list, size: int) -> int:
    """How many numbers of fixed size a repeated field holds."""
    if any(len(content) % size for content in contents):
        raise DamagedNetwork("a list of numbers ends within a number")
    return sum(len(content) // size for content in contents)


def _check_model(message: memoryview) -> None:
    model = _read(message, MODEL, "model")
    opsets = [_read(content, OPSET, "version") for content in model.get("opsets", [])]
    domains = [_text(_one(opset, "domain")) for opset in opsets]
    versions = [_one(opset, "version", 0) for opset, domain in zip(opsets, domains, strict=True) if domain in DOMAINS]
    if len(versions) != 1 or versions[0] not in OPSETS or len(set(domains)) != len(domains):
        raise DamagedNetwork(f"operator set {versions or 'none'}, and {OPSETS[0]} to {OPSETS[-1]} are known")
    content = _one(model, "graph")
    if content is None:
        raise DamagedNetwork("there is no graph")
    _check_graph(_read(content, GRAPH, "graph"))


def _check_graph(graph: dict[str, list]) -> None:
    constants: dict[str, Tensor] = {}
    for content in graph.get("tensors", []):
        name, tensor = _tensor(content)
        if not name or name in constants:
            raise DamagedNetwork(f"weights without a name or with one twice ('{name}')")
        constants[name] = tensor
    known = set(constants)
    inputs = 0
    for content in graph.get("inputs", []):
        name, element, dims = _value(content)
        if name in constants:
            if constants[name].element != element or (dims and constants[name].dims != dims):
                raise DamagedNetwork(f"'{name}' is declared with another shape or type than its weights")
            continue
        if not name or name in known or element != 1 or not dims:
            raise DamagedNetwork(f"the input '{name}' has no shape or no floating point numbers")
        known.add(name)
        inputs += 1
    if inputs != 1:
        raise DamagedNetwork(f"{inputs} inputs instead of one")
    for content in graph.get("values", []):
        _value(content)
    nodes = [_node(content) for content in graph.get("nodes", [])]
    for node in nodes:
        _check_node(node, known, constants)
    outputs = [_value(content)[0] for content in graph.get("outputs", [])]
    produced = {name for node in nodes for name in node.outputs}
    if not outputs or not set(outputs) <= produced or len(set(outputs)) != len(outputs):
        raise DamagedNetwork("an output that nothing produces")


def _value(content: memoryview) -> tuple[str, int, tuple[int, ...]]:
    """Name, element type and sizes of a declared value; free sizes count as 1."""
    value = _read(content, VALUE, "value")
    name = _text(_one(value, "name"))
    if "type" not in value:
        return name, 0, ()
    kind = _one(_read(_one(value, "type"), TYPE, "type"), "tensor")
    if kind is None:
        raise DamagedNetwork(f"'{name}' is no tensor")
    tensor = _read(kind, TENSOR_TYPE, "type")
    dims = []
    if "shape" in tensor:
        for dimension in _read(_one(tensor, "shape"), SHAPE, "shape").get("dims", []):
            parts = _read(dimension, DIMENSION, "size")
            _text(_one(parts, "param"))
            size = _one(parts, "value", 1)
            if not 0 < size <= MAX_SIDE or ("value" in parts and "param" in parts):
                raise DamagedNetwork(f"'{name}' has the size {size}")
            dims.append(size)
    if len(dims) > 8 or np.prod([float(size) for size in dims]) > MAX_ELEMENTS:
        raise DamagedNetwork(f"'{name}' has the sizes {dims}")
    return name, _one(tensor, "type", 0), tuple(dims)


def _tensor(content: memoryview) -> tuple[str, Tensor]:
    found = _read(content, TENSOR_FIELDS, "tensor")
    name = _text(_one(found, "name"))
    dims = tuple(_ints(found.get("dims", [])))
    element = _one(found, "type", 0)
    if _one(found, "location", 0) or element not in ELEMENTS:
        raise DamagedNetwork(f"'{name}' has its values in another file or in numbers of type {element}")
    size, place, kind = ELEMENTS[element]
    count = (
        int(np.prod([float(n) for n in dims])) if all(0 <= n <= MAX_ELEMENTS for n in dims) and len(dims) <= 8 else -1
    )
    if not 0 <= count <= MAX_ELEMENTS:
        raise DamagedNetwork(f"'{name}' has the sizes {list(dims)[:8]}")
    places = [key for key in ("raw", "floats", "int32s", "int64s", "doubles") if key in found]
    if places not in ([], ["raw"], [place]) or (count and not places):
        raise DamagedNetwork(f"'{name}' has no values, or values of another type")
    values = None
    if "raw" in found:
        given = len(_one(found, "raw")) / size
        values = np.frombuffer(_one(found, "raw"), kind) if element in (6, 7) and given == count else None
    elif place in ("floats", "doubles"):
        given = _count(found.get(place, []), size)
    else:
        values = np.array(_ints(found.get(place, [])), np.int64)
        given = len(values)
    if given != count:
        raise DamagedNetwork(f"'{name}' has {given:g} values for the sizes {list(dims)}")
    return name, Tensor(dims, element, values.copy() if values is not None and count <= 64 else None)


def _node(content: memoryview) -> Node:
    found = _read(content, NODE, "node")
    operator, domain = _text(_one(found, "operator")), _text(_one(found, "domain"))
    _text(_one(found, "name"))
    if domain not in DOMAINS or operator not in OPERATORS:
        raise UnknownOperator(f"{domain}.{operator}".lstrip("."))
    node = Node(operator, [_text(n) for n in found.get("inputs", [])], [_text(n) for n in found.get("outputs", [])])
    known = OPERATORS[operator].attributes
    for part in found.get("attributes", []):
        attribute = _read(part, ATTRIBUTE, "attribute")
        name = _text(_one(attribute, "name"))
        if name not in known or name in node.attributes:
            raise DamagedNetwork(f"{operator} has the attribute '{name}'")
        node.attributes[name] = _attribute(attribute, known[name].kind, f"{operator}.{name}")
        if not known[name].allows(node.attributes[name]):
            raise DamagedNetwork(f"{operator}.{name} is {str(node.attributes[name])[:60]}")
    return node


def _attribute(attribute: dict[str, list], kind: int, name: str):
    place = ATTRIBUTE_FIELDS[kind]
    given = set(attribute) - {"name", "text", "type"}
    if not given <= {place} or _one(attribute, "type", kind) != kind:
        raise DamagedNetwork(f"{name} has another type")
    if kind == INTS:
        return _ints(attribute.get(place, []))
    if kind == FLOATS:
        return [number for content in attribute.get(place, []) for (number,) in struct.iter_unpack("<f", content)]
    if kind == STRINGS:
        return [_text(content) for content in attribute.get(place, [])]
    content = _one(attribute, place)
    if kind == INT:
        return _signed(content or 0)
    if kind == FLOAT:
        return struct.unpack("<f", content)[0] if content is not None else 0.0
    if kind == STRING:
        return _text(content)
    if content is None:
        raise DamagedNetwork(f"{name} is empty")
    return _tensor(content)[1]


def _check_node(node: Node, known: set[str], constants: dict[str, Tensor]) -> None:
    """Names, counts and constant inputs of a node; adds what it produces to ``known`` and ``constants``."""
    operator = OPERATORS[node.operator]
    fewest, most = operator.inputs
    if not fewest <= len(node.inputs) <= most or not all(node.inputs[: fewest if operator.gaps else most]):
        raise DamagedNetwork(f"{node.operator} has {len(node.inputs)} inputs, {node.inputs.count('')} of them empty")
    missing = [name for name in node.inputs if name and name not in known]
    if missing:
        raise DamagedNetwork(f"{node.operator} uses '{missing[0]}', which nothing before it produces")
    if not 1 <= len(node.outputs) <= operator.outputs or not all(node.outputs):
        raise DamagedNetwork(f"{node.operator} has {len(node.outputs)} outputs")
    for name in node.outputs:
        if name in known:
            raise DamagedNetwork(f"'{name}' is produced twice")
        known.add(name)
    if node.operator == "Constant":
        if len(node.attributes) != 1:
            raise DamagedNetwork("a Constant without a value")
        value = next(iter(node.attributes.values()))
        if isinstance(value, Tensor):
            constants[node.outputs[0]] = value
    if operator.check is not None:
        reason = operator.check(node.attributes, [constants.get(name) for name in node.inputs])
        if reason:
            raise DamagedNetwork(f"{node.operator} has {reason}")
