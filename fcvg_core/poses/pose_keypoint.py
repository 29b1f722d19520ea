"""POSE_KEYPOINT, the ecosystem's list of OpenPose-style dictionaries, to and from :class:`PoseFrame`
(docs/methods/poses.md, POSE_KEYPOINT).

Read: controlnet_aux' DWPose (pixels, scores lost), its OpenPose (positions 0..1), ComfyUI's SDPose (pixels, real
scores), the files of other programs (:mod:`.pose_dialects`), and what :func:`write_pose_keypoints` makes: pixels with
1 / 0 in the place of the score, which both other readers understand, and the real scores beside them under "scores".
"""

import math
import numbers
from collections.abc import Mapping, Sequence

import numpy as np

from ...common.errors import BetwixtError
from .pose import BODY_POINTS, FACE_POINTS, HAND_POINTS, SCORE_THRESHOLD, PoseFrame
from .pose_dialects import standard_frame

EYES = (14, 15)  # body points that POSE_KEYPOINT repeats at the end of the face
# PoseFrame's part -> key in the person's dictionary, key in "scores", points kept, points allowed
PARTS = {
    "body": ("pose_keypoints_2d", "pose", BODY_POINTS, BODY_POINTS),
    "left_hand": ("hand_left_keypoints_2d", "hand_left", HAND_POINTS, HAND_POINTS),
    "right_hand": ("hand_right_keypoints_2d", "hand_right", HAND_POINTS, HAND_POINTS),
    "face": ("face_keypoints_2d", "face", FACE_POINTS, FACE_POINTS + len(EYES)),
}
PRODUCER = "Connect the POSE_KEYPOINT output of a pose node"


def read_pose_keypoints(value: object, name: str = "poses", canvas: tuple[int, int] | None = None) -> list[PoseFrame]:
    """The poses in a POSE_KEYPOINT value.

    Args:
        value: a list of frame dictionaries or a single one. Parts of a person that are absent, null or short are
            filled with points at (0, 0) of score 0.
        name: the input's name as the user sees it.
        canvas: (height, width) for frames that do not say the size of their picture.

    Returns:
        One :class:`PoseFrame` per frame dictionary; without people where the list of people is empty.

    Raises:
        BetwixtError: not a POSE_KEYPOINT value, animal poses, no or an impossible canvas size, too many points in a
            part (another skeleton), or numbers that are NaN or infinite.
    """
    return [
        _read_frame(frame, f"frame {index} of '{name}'", canvas) for index, frame in enumerate(_frames(value, name))
    ]


def standard_pose_keypoints(value: object, name: str, canvas: tuple[int, int] | None = None) -> list[Mapping]:
    """The frames of a POSE_KEYPOINT value as every reader takes them (:mod:`.pose_dialects`), checked.

    Frames that do not say the size of their picture get ``canvas``, or stay without where there is none.
    """
    frames = _frames(value, name)
    read_pose_keypoints(frames, name, canvas or (1, 1))
    return [standard_frame(frame, canvas) for frame in frames]


def _frames(value: object, name: str) -> Sequence:
    frames = [value] if isinstance(value, Mapping) else value
    if not isinstance(frames, Sequence) or isinstance(frames, str | bytes) or not frames:
        kind = "is empty" if isinstance(frames, Sequence) and not frames else f"holds a {type(value).__name__}"
        raise BetwixtError(f"'{name}' {kind}.", "A list with one dictionary per frame is needed.", f"{PRODUCER}.")
    return frames


def write_pose_keypoints(poses: Sequence[PoseFrame]) -> list[dict]:
    """The POSE_KEYPOINT value of some poses, plain numbers throughout: ready for ``json.dump``.

    Positions are canvas pixels, also of points that are not seen. Reading the result again gives the positions of
    poses that came from pixels exactly, and those of others (interpolated ones) within one unit in the last place.
    """
    return [
        {
            "people": [_write_person(pose, person) for person in range(len(pose))],
            "canvas_height": pose.canvas[0],
            "canvas_width": pose.canvas[1],
        }
        for pose in poses
    ]


def _read_frame(entry: object, where: str, canvas: tuple[int, int] | None = None) -> PoseFrame:
    if not isinstance(entry, Mapping) or not ("people" in entry or "animals" in entry):
        raise BetwixtError(
            f"There is no 'people' in {where}.", "It must be a dictionary with a list of people.", f"{PRODUCER}."
        )
    if entry.get("animals") or "people" not in entry:
        raise BetwixtError(
            f"There are animal poses (AP10K) in {where}.",
            "Only human poses can be drawn for FCVG.",
            "Use a human pose estimator, e.g. 'Extract Poses'.",
        )
    entry = standard_frame(entry, canvas)
    canvas = _read_canvas(entry, where)
    people = entry["people"] or []
    if not isinstance(people, Sequence) or not all(isinstance(person, Mapping) for person in people):
        raise BetwixtError(
            f"'people' in {where} is no list of people.", "It must be a list of dictionaries.", f"{PRODUCER}."
        )
    if not people:
        return PoseFrame.empty(canvas)
    points = {
        part: np.stack([_read_part(person, part, f"person {index} in {where}") for index, person in enumerate(people)])
        for part in PARTS
    }
    if not _is_normalised(people, points):
        points = {part: value / (canvas[1], canvas[0], 1) for part, value in points.items()}
    scores = {part: _read_scores(people, part, value[..., 2], where) for part, value in points.items()}
    frame = PoseFrame(
        **{part: value[..., :2] for part, value in points.items()},
        **{f"{part}_score": value for part, value in scores.items()},
        body_visible=scores["body"] > SCORE_THRESHOLD,
        canvas=canvas,
    )
    somebody = np.asarray(np.concatenate(list(points.values()), axis=1).any(axis=(1, 2)))  # some emit people of nulls
    return frame if somebody.all() else frame.select(somebody)


def _read_canvas(entry: Mapping, where: str) -> tuple[int, int]:
    """(height, width)."""
    sizes = [entry.get(key) for key in ("canvas_height", "canvas_width")]
    if sizes == [None, None]:
        raise BetwixtError(
            f"There is no size of the picture in {where}; OpenPose's own program writes none.",
            "Points in pixels need the size of the picture they were found in.",
            "Set 'width' and 'height' of 'Load Pose Keypoints', or connect the key frames to 'start_image'.",
        )
    whole = []
    for size in sizes:
        if isinstance(size, bool) or not isinstance(size, numbers.Real) or not math.isfinite(size) or float(size) < 1:
            raise BetwixtError(
                f"The canvas in {where} is canvas_width = {sizes[1]!r}, canvas_height = {sizes[0]!r}.",
                "Both must be the size in pixels, at least 1, of the picture the poses were found in.",
                "Write that size into the POSE_KEYPOINT data or extract the poses again.",
            )
        whole.append(int(float(size)))
    return whole[0], whole[1]


def _read_part(person: Mapping, part: str, where: str) -> np.ndarray:
    """float64 (points, 3): x, y, score as they stand in the dictionary."""
    key, _, kept, allowed = PARTS[part]
    values = _numbers(person.get(key), f"'{key}' of {where}")
    if values.size % 3 or values.size > 3 * allowed:
        raise BetwixtError(
            f"'{key}' of {where} has {values.size} numbers.",
            f"x, y, score of at most {allowed} points are allowed (OpenPose's 18 body, 21 hand or 70 face points).",
            "Use a pose estimator that makes this skeleton, or OpenPose's BODY_25 or COCO's 17 body points.",
        )
    points = np.zeros((allowed, 3))
    points[: values.size // 3] = values.reshape(-1, 3)
    return points[:kept]


def _numbers(values: object, where: str) -> np.ndarray:
    try:
        array = np.array([] if values is None else values, dtype=np.float64).reshape(-1)
    except (TypeError, ValueError):
        array = np.array([np.nan])
    if not np.isfinite(array).all():
        raise BetwixtError(
            f"{where} contains something that is no finite number.",
            "It must be a flat list x0, y0, score0, x1, y1, score1, ... of finite numbers, or null.",
            "Correct the data or extract the poses again.",
        )
    return array


def _is_normalised(people: Sequence[Mapping], points: dict[str, np.ndarray]) -> bool:
    """Whether positions are 0..1: no point with a positive score lies farther out. Our own are always pixels."""
    if any("scores" in person for person in people):
        return False
    flat = np.concatenate([value.reshape(-1, 3) for value in points.values()])
    scored = flat[flat[:, 2] > 0]
    return bool((np.abs((scored if len(scored) else flat)[:, :2]) <= 1).all())


def _read_scores(people: Sequence[Mapping], part: str, written: np.ndarray, where: str) -> np.ndarray:
    """The scores (P, points): those kept beside the points, unless 1 or 0 has been edited to say otherwise."""
    result = written.copy()
    for index, person in enumerate(people):
        if not isinstance(person.get("scores"), Mapping):
            continue
        kept = _numbers(person["scores"].get(PARTS[part][1]), f"'scores' of person {index} in {where}")[
            : written.shape[1]
        ]
        own = result[index, : len(kept)]
        agree = (kept > SCORE_THRESHOLD) == (own > SCORE_THRESHOLD)
        own[agree] = kept[agree]
    return result


def _write_person(pose: PoseFrame, person: int) -> dict:
    size = np.array(pose.canvas[::-1], np.float64)
    written, scores = {}, {}
    for part, (key, score_key, _, _) in PARTS.items():
        score = getattr(pose, f"{part}_score")[person]
        seen = score > SCORE_THRESHOLD
        points = np.column_stack([_in_pixels(getattr(pose, part)[person], size), seen])
        written[key] = points
        scores[score_key] = score.tolist()
    written["face_keypoints_2d"] = np.concatenate(
        [written["face_keypoints_2d"], written["pose_keypoints_2d"][list(EYES)]]
    )
    return {**{key: points.reshape(-1).tolist() for key, points in written.items()}, "scores": scores}


def _in_pixels(points: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Positions times size, rounded so that dividing by the size gives the position back where any number does."""
    pixels = points * size
    for neighbour in (np.nextafter(pixels, np.inf), np.nextafter(pixels, -np.inf)):
        better = (pixels / size != points) & (neighbour / size == points)
        pixels = np.where(better, neighbour, pixels)
    return pixels
