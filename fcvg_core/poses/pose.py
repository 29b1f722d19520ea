"""Whole-body poses of the people in one picture: the value every pose function of this core takes and returns."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...common.errors import BetwixtError

BODY_POINTS, HAND_POINTS, FACE_POINTS = 18, 21, 68  # docs/methods/poses.md, SimCC and OpenPose order
SCORE_THRESHOLD = 0.3  # above it a joint counts as seen
ASPECT_TOLERANCE = 0.02  # how far width / height may be off: sizes get rounded to multiples of 8 and the like

_SHAPES = {
    "body": (BODY_POINTS, 2),
    "body_score": (BODY_POINTS,),
    "body_visible": (BODY_POINTS,),
    "left_hand": (HAND_POINTS, 2),
    "left_hand_score": (HAND_POINTS,),
    "right_hand": (HAND_POINTS, 2),
    "right_hand_score": (HAND_POINTS,),
    "face": (FACE_POINTS, 2),
    "face_score": (FACE_POINTS,),
}


@dataclass(frozen=True)
class PoseFrame:
    """The poses of P people in one picture; P may be 0. Arrays are copied and read-only.

    Positions are (x, y) divided by the canvas' (width, height): 0..1 inside the picture, beyond it outside. Scores are
    raw network values: usually 0..1, but negative ones and ones above 1 occur and are kept. A point that a producer
    did not report stands at (0, 0) with score 0.

    Attributes:
        body: float64 (P, 18, 2), OpenPose order: nose, neck, right shoulder, elbow, wrist, left shoulder, elbow, wrist,
            right hip, knee, ankle, left hip, knee, ankle, right eye, left eye, right ear, left ear.
        body_score: float64 (P, 18).
        body_visible: bool (P, 18), whether the joint's dot is drawn (the "subset" table of DWPose, -1 = False).
        left_hand, right_hand: float64 (P, 21, 2).
        left_hand_score, right_hand_score: float64 (P, 21).
        face: float64 (P, 68, 2).
        face_score: float64 (P, 68).
        canvas: (height, width) in pixels of the picture the poses belong to.
    """

    body: np.ndarray
    body_score: np.ndarray
    body_visible: np.ndarray
    left_hand: np.ndarray
    left_hand_score: np.ndarray
    right_hand: np.ndarray
    right_hand_score: np.ndarray
    face: np.ndarray
    face_score: np.ndarray
    canvas: tuple[int, int]

    def __post_init__(self):
        people = len(self.body)
        for name, shape in _SHAPES.items():
            kind = bool if name == "body_visible" else np.float64
            value = np.array(getattr(self, name), dtype=kind).reshape(people, *shape)
            if not np.isfinite(value).all():
                raise ValueError(f"PoseFrame.{name} holds NaN or infinite values")
            value.setflags(write=False)
            object.__setattr__(self, name, value)
        object.__setattr__(self, "canvas", (int(self.canvas[0]), int(self.canvas[1])))

    def __len__(self) -> int:
        """Number of people."""
        return len(self.body)

    @classmethod
    def empty(cls, canvas: tuple[int, int]) -> "PoseFrame":
        """A picture without people."""
        return cls(**{name: np.zeros((0, *shape)) for name, shape in _SHAPES.items()}, canvas=canvas)

    @classmethod
    def joined(cls, parts: "list[PoseFrame]") -> "PoseFrame":
        """The people of several frames in one; the canvas is the first frame's."""
        return cls(
            **{name: np.concatenate([getattr(part, name) for part in parts]) for name in _SHAPES},
            canvas=parts[0].canvas,
        )

    def select(self, people: np.ndarray | Sequence[int]) -> "PoseFrame":
        """The people at an index array or boolean mask, in that order."""
        people = np.asarray(people) if len(people) else np.zeros(0, np.intp)
        return replace(self, **{name: getattr(self, name)[people] for name in _SHAPES})

    def require_aspect(self, height: int, width: int, name: str) -> None:
        """Refuse a canvas whose shape differs from the picture the poses are to be drawn on.

        Raises:
            BetwixtError: width / height differ by more than 2 %.
        """
        own = self.canvas[1] / self.canvas[0]
        if abs(own / (width / height) - 1) > ASPECT_TOLERANCE:
            raise BetwixtError(
                f"The poses of '{name}' belong to a {self.canvas[1]}x{self.canvas[0]} canvas, the picture is "
                f"{width}x{height}.",
                "Both must have the same aspect ratio, or the figures would be squashed.",
                f"Extract the poses from the pictures used here, or correct the canvas size of '{name}'.",
            )
