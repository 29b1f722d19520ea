"""Pose files of other programs, turned into the one form that POSE_KEYPOINT has here
(docs/methods/poses.md, POSE_KEYPOINT).

Told apart by what the files say and by how many numbers a body has: OpenPose's own program writes no canvas size and
25 body points (BODY_25), editors write ``width`` and ``height`` and -1 for points that are not there, others leave the
scores out or list the points in the order of COCO or COCO-WholeBody.
"""

from collections.abc import Mapping, Sequence

import numpy as np

BODY, FACE, LEFT, RIGHT = (
    "pose_keypoints_2d",
    "face_keypoints_2d",
    "hand_left_keypoints_2d",
    "hand_right_keypoints_2d",
)
SIZE_KEYS = (("canvas_height", "height"), ("canvas_width", "width"))
NECK, SHOULDERS = 1, (2, 5)  # of OpenPose's 18 points
# Rows of OpenPose's 18 points in other orders; None: the neck, half-way between the shoulders
FROM_BODY_25 = (*range(8), *range(9, 19))
FROM_COCO = (0, None, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)
WHOLE_BODY = {FACE: (23, 91), LEFT: (91, 112), RIGHT: (112, 133)}  # rows of COCO-WholeBody's 133 points
# Points of a body -> rows of the 18 in it. COCO-WholeBody begins with COCO's 17; DWPose's 134 have a neck among them.
ORDERS = {25: FROM_BODY_25, 17: FROM_COCO, 133: FROM_COCO, 134: tuple(range(18))}


def standard_frame(entry: Mapping, canvas: tuple[int, int] | None = None) -> Mapping:
    """A frame with ``canvas_height`` and ``canvas_width`` and people of OpenPose's 18 points with scores.

    Args:
        entry: a frame's dictionary with a list of people.
        canvas: (height, width) of the picture, for frames that do not say it. Without it such frames stay as they are.

    Returns:
        ``entry`` itself where it has that form already. What cannot be made out stays as it is.
    """
    changed: dict[str, object] = {}
    for index, (key, other) in enumerate(SIZE_KEYS):
        if entry.get(key) is None:
            size = entry.get(other, None if canvas is None else canvas[index])
            changed |= {} if size is None else {key: size}
    people = entry.get("people")
    if isinstance(people, Sequence) and all(isinstance(person, Mapping) for person in people):
        standard = [_standard_person(person) for person in people]
        if any(new is not old for new, old in zip(standard, people, strict=True)):
            changed["people"] = standard
    return {**entry, **changed} if changed else entry


def _standard_person(person: Mapping) -> Mapping:
    if isinstance(person.get("scores"), Mapping):  # written here
        return person
    body = _flat(person.get(BODY))
    if body is None:
        return person
    without_scores = len(body) in {2 * count for count in (18, *ORDERS)}
    parts = {key: _points(person.get(key), without_scores) for key in (BODY, FACE, LEFT, RIGHT)}
    points = parts[BODY]
    if points is None:
        return person
    changed = {key: value for key, value in parts.items() if value is not None} if without_scores else {}
    if len(points) in ORDERS:
        if len(points) >= 133:
            shift = len(points) - 133
            changed |= {key: points[first + shift : end + shift] for key, (first, end) in WHOLE_BODY.items()}
        changed[BODY] = _reordered(points, ORDERS[len(points)])
    for key, value in parts.items():
        if value is None or key in changed:
            continue
        absent = np.asarray((value == (-1, -1, 0)).all(axis=1))
        if absent.any():
            changed[key] = np.where(absent[:, None], 0, value)
    return {**person, **{key: value.reshape(-1).tolist() for key, value in changed.items()}} if changed else person


def _flat(values: object) -> np.ndarray | None:
    """The numbers of a part as a row; None where there are none."""
    try:
        row = np.array([] if values is None else values, np.float64).reshape(-1)
    except (TypeError, ValueError):
        return None
    return row if len(row) else None


def _points(values: object, without_scores: bool) -> np.ndarray | None:
    """(points, 3); points of x and y alone count as seen unless they stand at (0, 0) or below."""
    row = _flat(values)
    if row is None or len(row) % (2 if without_scores else 3):
        return None
    if not without_scores:
        return row.reshape(-1, 3)
    places = row.reshape(-1, 2)
    seen = np.asarray((places > 0).any(axis=1))
    return np.column_stack([np.where(seen[:, None], places, 0), seen])


def _reordered(points: np.ndarray, rows: Sequence[int | None]) -> np.ndarray:
    result = np.stack([np.zeros(3) if row is None else points[row] for row in rows])
    if None in rows:
        shoulders = result[list(SHOULDERS)]
        score = shoulders[:, 2].min()
        result[NECK] = (*shoulders[:, :2].mean(axis=0), score) if score > 0 else 0
    return result
