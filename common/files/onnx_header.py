"""The inputs and outputs an ONNX file declares, read without any ONNX package."""

import mmap
import os
from dataclasses import dataclass

from ..errors import BetwixtError
from .foreign_files import ONNX, recognised
from .protobuf import fields

# Field numbers of onnx.proto3.
_MODEL_GRAPH = 7
_GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_OUTPUT = 5, 11, 12
_TENSOR_NAME = 8
_VALUE_NAME, _VALUE_TYPE = 1, 2
_TYPE_TENSOR, _TENSOR_SHAPE, _SHAPE_DIM, _DIM_VALUE, _DIM_PARAM = 1, 2, 1, 1, 2


@dataclass(frozen=True)
class TensorInfo:
    """A declared input or output. ``shape``: numbers, names of free dimensions, or None where nothing is said."""

    name: str
    shape: tuple[int | str | None, ...]


def read_onnx_header(path: str) -> tuple[list[TensorInfo], list[TensorInfo]]:
    """Declared inputs (without weights) and outputs of an ONNX file.

    Raises:
        BetwixtError: empty, truncated or not an ONNX file.
    """
    with open(path, "rb") as file:
        try:
            inputs, outputs = _declared(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)))
        except (IndexError, TypeError, ValueError):  # ends too early; other types than ONNX's; empty, or no text
            inputs, outputs = [], []
    if not inputs or not outputs:
        raise _not_onnx(path)
    return inputs, outputs


def _declared(model: memoryview) -> tuple[list[TensorInfo], list[TensorInfo]]:
    graph = [body for field, body in fields(model) if field == _MODEL_GRAPH][0]
    parts = list(fields(_message(graph)))
    weights = {_text(_message(body), _TENSOR_NAME) for field, body in parts if field == _GRAPH_INITIALIZER}
    inputs = [_value(_message(body)) for field, body in parts if field == _GRAPH_INPUT]
    outputs = [_value(_message(body)) for field, body in parts if field == _GRAPH_OUTPUT]
    return [entry for entry in inputs if entry.name not in weights], outputs


def _not_onnx(path: str) -> BetwixtError:
    found = recognised(path)
    looks = "truncated or not an ONNX file" if found in (None, ONNX) else found.kind
    return BetwixtError(
        f"'{os.path.basename(path)}' is {looks} ({os.path.getsize(path)} bytes).",
        "A complete .onnx file is needed.",
        f"Download it again and compare its size with the one in the README's table: {path}",
    )


def _message(body: memoryview | int) -> memoryview:
    """A field's content that has fields of its own. TypeError: it is a number."""
    if isinstance(body, int):
        raise TypeError("a number where a message belongs")
    return body


def _first(message: memoryview, number: int) -> memoryview | int | None:
    return next((body for field, body in fields(message) if field == number), None)


def _text(message: memoryview, number: int) -> str:
    body = _first(message, number)
    return "" if body is None else bytes(body).decode()


def _value(message: memoryview) -> TensorInfo:
    """A ValueInfoProto."""
    shape = _first(message, _VALUE_TYPE)
    for field in (_TYPE_TENSOR, _TENSOR_SHAPE):
        shape = None if shape is None else _first(_message(shape), field)
    parts = () if shape is None else fields(_message(shape))
    dimensions = tuple(_dimension(_message(body)) for field, body in parts if field == _SHAPE_DIM)
    return TensorInfo(_text(message, _VALUE_NAME), dimensions)


def _dimension(message: memoryview) -> int | str | None:
    value = _first(message, _DIM_VALUE)
    if isinstance(value, memoryview):
        raise TypeError("a message where a number belongs")
    return value if value is not None else _text(message, _DIM_PARAM) or None
