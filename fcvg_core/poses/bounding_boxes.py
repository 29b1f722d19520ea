"""BOUNDING_BOX, what ComfyUI's detectors emit, as the boxes of people in each frame."""

import math
import numbers
from collections.abc import Mapping, Sequence
from typing import TypeGuard

import numpy as np

from ...common.errors import BetwixtError


def read_person_boxes(value: object, frame_count: int, name: str = "bboxes") -> list[np.ndarray]:
    """The boxes of people in a BOUNDING_BOX value.

    Args:
        value: one {x, y, width, height} in pixels or a list of them, for all frames; or a list of such lists, one
            per frame, the last repeated for the frames that follow. Boxes with a "label" other than "person" are
            left out.
        frame_count: number of frames.
        name: the input's name as the user sees it.

    Returns:
        Per frame float64 (P, 4): x1, y1, x2, y2 in pixels, in the given order; P may be 0.

    Raises:
        BetwixtError: something else, or a box without area.
    """
    boxes = [value] if isinstance(value, Mapping) else value
    if not _is_list(boxes):
        raise _malformed(value, name)
    per_frame = boxes if boxes and all(_is_list(entry) for entry in boxes) else [boxes]
    frames = [[_corners(box, name) for box in frame if _is_person(box)] for frame in per_frame]
    return [np.array(frames[min(index, len(frames) - 1)]).reshape(-1, 4) for index in range(frame_count)]


def _is_list(value: object) -> TypeGuard[Sequence]:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _is_person(box: object) -> bool:
    return not isinstance(box, Mapping) or str(box.get("label", "person")).lower() == "person"


def _corners(box: object, name: str) -> tuple[float, float, float, float]:
    sides = [box.get(key) if isinstance(box, Mapping) else None for key in ("x", "y", "width", "height")]
    finite = [float(side) for side in sides if isinstance(side, numbers.Real) and math.isfinite(side)]
    if len(finite) < len(sides) or min(finite[2:]) <= 0:
        raise _malformed(box, name)
    x, y, width, height = finite
    return x, y, x + width, y + height


def _malformed(value: object, name: str) -> BetwixtError:
    return BetwixtError(
        f"'{name}' contains {str(value)[:100]}.",
        "A box is {x, y, width, height} in pixels with width and height above 0.",
        f"Connect the boxes of a detector, e.g. 'Run Real-Time Detection (RT-DETR)', or disconnect '{name}'.",
    )
