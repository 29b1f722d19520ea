"""FCVG's pose dictionaries, as golden files store them
(docs/methods/poses.md, SimCC and OpenPose order), to and from the pack's poses."""

import numpy as np
import torch
from betwixt.fcvg_core.poses.pose import BODY_POINTS, PoseFrame

from support.golden import Case, Check, max_error

# Names of body positions, visibility and scores: golden/dwpose says "body_candidate", golden/fcvg "candidate".
DWPOSE_BODY = ("body_candidate", "body_subset", "body_score")
FCVG_BODY = ("candidate", "subset", "score")


def pose_of(case: Case, prefix: str, size: tuple[int, int], body: tuple[str, str, str] = DWPOSE_BODY) -> PoseFrame:
    """The pose stored under ``prefix``; ``size``: (height, width) of its picture."""
    candidate, subset, score = (case.array(prefix + name) for name in body)
    count = len(score)
    rows = np.where(subset < 0, np.arange(count * BODY_POINTS).reshape(count, BODY_POINTS), subset).astype(int)
    hands, hand_scores = case.array(prefix + "hands"), case.array(prefix + "hands_score")
    return PoseFrame(
        body=candidate[rows],
        body_score=score,
        body_visible=subset >= 0,
        left_hand=hands[:count],
        left_hand_score=hand_scores[:count],
        right_hand=hands[count:],
        right_hand_score=hand_scores[count:],
        face=case.array(prefix + "faces"),
        face_score=case.array(prefix + "faces_score"),
        canvas=size,
    )


def arrays_of(pose: PoseFrame) -> dict[str, np.ndarray]:
    """The dictionary's arrays under the names of golden/dwpose."""
    count = len(pose)
    rows = np.arange(count * BODY_POINTS).reshape(count, BODY_POINTS)
    return {
        "body_candidate": pose.body.reshape(-1, 2),
        "body_subset": np.where(pose.body_visible, rows, -1.0),
        "body_score": pose.body_score,
        "hands": np.concatenate([pose.left_hand, pose.right_hand]),
        "hands_score": np.concatenate([pose.left_hand_score, pose.right_hand_score]),
        "faces": pose.face,
        "faces_score": pose.face_score,
    }


def error(actual, expected) -> float:
    """Largest absolute difference of numbers, arrays or tensors, in double precision."""
    tensors = (v if isinstance(v, torch.Tensor) else torch.from_numpy(np.array(v)) for v in (actual, expected))
    return max_error(*tensors)


def compare(pose: PoseFrame, case: Case, prefix: str, point_tolerance: float, score_tolerance: float) -> list[Check]:
    """A pose with the one stored under ``prefix``; visibility must agree exactly."""
    tolerances = {"body_subset": 0, **dict.fromkeys(("body_score", "hands_score", "faces_score"), score_tolerance)}
    return [
        Check(prefix + name, error(value, case[prefix + name]), tolerances.get(name, point_tolerance))
        for name, value in arrays_of(pose).items()
    ]
