"""Poses between two key frames: who is who, and where everybody is in between
(docs/methods/poses.md, Pairing and interpolation)."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..poses.pose import PoseFrame

_PARTS = ("body", "left_hand", "right_hand", "face")


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
    only one key frame has stays where that frame has it while its score fades. As published, every joint counts as
    visible in between, so joints hidden in the key frames appear as dim dots (see ``joint_threshold``).

    Args:
        first, last: poses of the key frames. The results carry the first one's canvas.
        fractions: 0 = first, 1 = last, one per frame to make. Published: ``i / 22`` for i = 0..22.
        published_hands: matters only when the numbers of people differ. True: FCVG as published: with n the smaller
            number, only the first n people of either frame take part, and hands are paired by an index that is wrong
            then (a right hand may travel to a left one). False: the frame with fewer people chooses among all people
            of the other, hands stay with their side, and people without a partner stay in place and fade.
        joint_threshold: joints scoring at most this much get no dot in between; None = all get one, as published.

    Returns:
        One frame per fraction: paired people in the first frame's order, then those who fade out, then those who
        fade in.
    """
    if published_hands:
        count = min(len(first), len(last))
        chosen = closest_people(first.select(range(count)), last.select(range(count)))
        start = _published_selection(first, range(count), range(2 * count))
        end = _published_selection(last, chosen, [*chosen, *(j + count for j in chosen)])
        leaving, arriving = first.select([]), last.select([])
    else:
        pairs = pair_people(first, last)
        start, end = first.select([i for i, _ in pairs]), last.select([j for _, j in pairs])
        leaving = first.select(sorted(set(range(len(first))) - {i for i, _ in pairs}))
        arriving = last.select(sorted(set(range(len(last))) - {j for _, j in pairs}))
    start, end = _without_gaps(start, end)
    frames = [
        PoseFrame.joined([_between(start, end, t), _faded(leaving, 1 - t), _faded(arriving, t)]) for t in fractions
    ]
    if joint_threshold is None:
        return frames
    return [replace(frame, body_visible=frame.body_visible & (frame.body_score > joint_threshold)) for frame in frames]


def pair_people(first: PoseFrame, last: PoseFrame) -> list[tuple[int, int]]:
    """(index in first, index in last) of the same person; the frame with fewer people chooses, on a tie the first."""
    if len(first) <= len(last):
        return list(enumerate(closest_people(first, last)))
    return sorted((i, j) for j, i in enumerate(closest_people(last, first)))


def closest_people(choosing: PoseFrame, offered: PoseFrame) -> list[int]:
    """For each person in turn, the person of ``offered`` not yet taken whose body is nearest on average."""
    taken: list[int] = []
    for person in range(len(choosing)):
        free = [other for other in range(len(offered)) if other not in taken]
        taken.append(free[int(np.argmin([_distance(choosing, person, offered, other) for other in free]))])
    return taken


def _distance(first: PoseFrame, i: int, last: PoseFrame, j: int) -> float:
    """Between the mean positions of the joints that both people have, seen or guessed (no aspect correction)."""
    common = _reported(first, "body")[i] & _reported(last, "body")[j]
    if not common.any():
        return float("inf")
    return float(np.linalg.norm(first.body[i][common].mean(axis=0) - last.body[j][common].mean(axis=0)))


def _reported(frame: PoseFrame, part: str) -> np.ndarray:
    """bool (P, points): False where a producer left the point out. Estimators always give all."""
    return (getattr(frame, part) != 0).any(axis=-1) | (getattr(frame, f"{part}_score") != 0)


def _published_selection(frame: PoseFrame, bodies: Sequence[int], hand_rows: Sequence[int]) -> PoseFrame:
    """Bodies and faces of some people with the hands at rows of the published list [all left, all right]."""
    people, rows = frame.select(list(bodies)), np.array(hand_rows, np.intp).reshape(2, -1)
    hands = np.concatenate([frame.left_hand, frame.right_hand])
    scores = np.concatenate([frame.left_hand_score, frame.right_hand_score])
    return replace(
        people,
        left_hand=hands[rows[0]],
        left_hand_score=scores[rows[0]],
        right_hand=hands[rows[1]],
        right_hand_score=scores[rows[1]],
    )


def _without_gaps(start: PoseFrame, end: PoseFrame) -> tuple[PoseFrame, PoseFrame]:
    """Points that one side lacks get the other side's position and keep score 0, or they would slide in from a corner.
    A joint that both lack is invisible."""
    filled: tuple[dict, dict] = ({}, {})
    for part in _PARTS:
        present = [_reported(side, part)[..., None] for side in (start, end)]
        positions = [getattr(side, part) for side in (start, end)]
        for own in (0, 1):
            filled[own][part] = np.where(present[own], positions[own], positions[1 - own])
    known = _reported(start, "body") | _reported(end, "body")
    return replace(start, body_visible=known, **filled[0]), replace(end, body_visible=known, **filled[1])


def _between(start: PoseFrame, end: PoseFrame, fraction: float) -> PoseFrame:
    blended = {}
    for part in _PARTS:
        for name, t in ((part, fraction), (f"{part}_score", min(max(fraction, 0.0), 1.0))):
            a, b = getattr(start, name), getattr(end, name)
            blended[name] = a + (b - a) * t
    return replace(start, **blended)


def _faded(people: PoseFrame, share: float) -> PoseFrame:
    """People without a partner, dimmed; at 0 they are gone, or their black dots would cover others."""
    if share <= 0:
        return people.select([])
    return replace(people, **{f"{part}_score": getattr(people, f"{part}_score") * min(share, 1.0) for part in _PARTS})
