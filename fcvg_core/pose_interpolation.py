"""Poses between two key frames: who is who, and where everybody is in between (spec dwpose.md 6, fcvg.md 5.2)."""

from collections.abc import Sequence

import numpy as np

from .pose import PoseFrame

_POINTS = ("body", "left_hand", "right_hand", "face")


def interpolate_poses(
    first: PoseFrame,
    last: PoseFrame,
    fractions: Sequence[float],
    published_hands: bool = False,
    joint_threshold: float | None = None,
) -> list[PoseFrame]:
    """Move every person linearly from the first key frame to the last one.

    People are paired greedily by the mean of their body points. Positions and scores are interpolated linearly;
    outside 0..1 (easings that overshoot) positions are extrapolated and scores stay at the nearer end. A point that
    only one key frame has stays where that frame has it and its score fades. As published, every joint counts as
    visible in between, so joints hidden in the key frames appear as dim dots (see ``joint_threshold``).

    Args:
        first, last: poses of the key frames. The results carry the first one's canvas.
        fractions: 0 = first, 1 = last, one per frame to make. Published: ``i / 22`` for i = 0..22.
        published_hands: matters only when the numbers of people differ. True: FCVG as published: with n the smaller
            number, only the first n people of either frame take part, and hands are paired by an index that is wrong
            then (a right hand may travel to a left one). False: the frame with fewer people chooses among all people
            of the other, hands stay with their side, and people without partner stay in place and fade.
        joint_threshold: joints scoring at most this much get no dot in between; None = all get one, as published.

    Returns:
        One frame per fraction, people in the first frame's order.
    """
    raise RuntimeError("under construction")
