"""What a server answers, checked before anything relies on it: whoever runs it may mean something else, or ill."""

import json
from collections.abc import Mapping

from .failures import ServerRefused

# A shape: a type, [shape] for lists, {str: shape} for mappings of any names, {"name": shape} for single entries, which
# may be left out or null unless their name ends in "!".
Shape = type | tuple | list | dict

OBJECT_INFO: Shape = {str: dict}
UPLOAD: Shape = {"name!": str, "subfolder": str}
PROMPT: Shape = {"prompt_id!": str}
NODE_ERRORS: Shape = {str: {"class_type": str, "errors": [dict]}}
QUEUE: Shape = {"queue_running!": [list], "queue_pending!": [list]}
HISTORY: Shape = {str: {"outputs": {str: dict}, "status": {"messages": [list]}}}


def read_answer(body: bytes, url: str, shape: Shape = dict) -> dict:
    """The JSON object in an answer.

    Raises:
        ServerRefused: it is none, or not of that shape.
    """
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        raise ServerRefused(url, 200, body) from None
    if not isinstance(answer, dict) or not has_shape(answer, shape):
        raise ServerRefused(url, 200, body)
    return answer


def has_shape(value: object, shape: Shape) -> bool:
    """Whether a value of parsed JSON is what ``shape`` says."""
    if isinstance(shape, list):
        return isinstance(value, list) and all(has_shape(one, shape[0]) for one in value)
    if not isinstance(shape, dict):
        return isinstance(value, shape)
    if not isinstance(value, Mapping):
        return False
    if str in shape:
        return all(has_shape(one, shape[str]) for one in value.values())
    for name, part in shape.items():
        found = value.get(name.rstrip("!"))
        if (found is not None or name.endswith("!")) and not has_shape(found, part):
            return False
    return True
