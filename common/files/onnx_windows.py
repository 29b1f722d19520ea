"""Refuses ONNX files whose pooling asks for so much work that a picture would take minutes and could not be cancelled.

A convolution's work is bounded by the weights in the file; a pooling window has none, and a single damaged byte (a
stride that is lost) multiplies it by thousands. Engines do not look for a cancel within a node.
"""

import math
import mmap
import os

from ..errors import BetwixtError
from .protobuf import fields, read_varint

POOLS = ("AveragePool", "MaxPool", "LpPool")
MOST_OVERLAP = 1024  # values that are read for each place of the input; 169 in windows of 13x13
# Field numbers of onnx.proto3.
_MODEL_GRAPH, _GRAPH_NODE, _NODE_OPERATOR, _NODE_ATTRIBUTE, _ATTRIBUTE_NAME, _ATTRIBUTE_INTS = 7, 1, 4, 5, 1, 8


def check_windows(path: str) -> None:
    """Compare the windows of all poolings with their strides.

    Raises:
        BetwixtError: windows overlap more than :data:`MOST_OVERLAP` times. What cannot be read is left to the engine.
    """
    with open(path, "rb") as file:
        model = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    try:
        nodes = [body for graph in _all(model, _MODEL_GRAPH) for body in _all(graph, _GRAPH_NODE)]
        windows = [_window(node) for node in nodes if _text(node, _NODE_OPERATOR) in POOLS]
    except (IndexError, TypeError, ValueError):  # truncated, or of other types than ONNX's
        return
    for kernel, strides in windows:
        if math.prod(kernel) > MOST_OVERLAP * math.prod(strides):
            raise BetwixtError(
                f"'{os.path.basename(path)}' has a pooling window of {'x'.join(map(str, kernel))} that moves by "
                f"{'x'.join(map(str, strides))}.",
                f"Windows may overlap {MOST_OVERLAP} times.",
                f"Download it again and compare its size with the one in the README's table: {path}",
            )


def _all(message: memoryview, number: int) -> list[memoryview]:
    """The messages and texts in a field."""
    return [body for field, body in fields(message) if field == number and isinstance(body, memoryview)]


def _text(message: memoryview, number: int) -> str:
    return bytes(next(iter(_all(message, number)), b"")).decode()


def _window(node: memoryview) -> tuple[list[int], list[int]]:
    """Kernel and strides; strides that are left out are 1."""
    sizes = {_text(each, _ATTRIBUTE_NAME): _ints(each) for each in _all(node, _NODE_ATTRIBUTE)}
    kernel = sizes.get("kernel_shape", [])
    return kernel, sizes.get("strides") or [1] * len(kernel)


def _ints(attribute: memoryview) -> list[int]:
    """A repeated integer, packed or not."""
    values = []
    for content in (content for field, content in fields(attribute) if field == _ATTRIBUTE_INTS):
        if isinstance(content, int):
            values.append(content)
            continue
        at = 0
        while at < len(content):
            value, at = read_varint(content, at)
            values.append(value)
    return values
