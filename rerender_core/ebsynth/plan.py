"""Which frames of a clip are made from which key frames."""

from collections.abc import Sequence
from dataclasses import dataclass

from ...common.errors import BetwixtError


@dataclass(frozen=True)
class Interval:
    """Frames between two neighbouring key frames, or before the first or after the last one.

    Attributes:
        left, right: number of the key frame on each side, None where there is none (or a cut lies between).
        frames: the numbers of the frames to make, ascending, without the key frames.
    """

    left: int | None
    right: int | None
    frames: range

    @property
    def ends(self) -> tuple[int, int]:
        """First and last frame of all that motion is needed between, key frames included."""
        return (
            self.frames[0] if self.left is None else self.left,
            self.frames[-1] if self.right is None else self.right,
        )


def plan_intervals(frame_count: int, keys: Sequence[int], cuts: Sequence[int] = ()) -> list[Interval]:
    """All intervals of a clip in the order of time; empty ones are left out.

    Args:
        keys: key frame numbers, ascending.
        cuts: frames at which a new scene begins; nothing is carried across.

    Raises:
        BetwixtError: a scene without a key frame.
    """
    intervals = []
    scenes = [0, *sorted(cut for cut in set(cuts) if 0 < cut < frame_count), frame_count]
    for begin, end in zip(scenes, scenes[1:], strict=False):
        inside = [key for key in keys if begin <= key < end]
        if not inside:
            raise BetwixtError(
                f"The scene of the frames {begin}..{end - 1} holds no key frame.",
                "Every scene needs at least one.",
                "Add a key frame there; or, if this is no scene of its own, set 'scene_cuts' to 'none'.",
            )
        edges = [(None, inside[0]), *zip(inside, inside[1:], strict=False), (inside[-1], None)]
        for left, right in edges:
            frames = range(begin if left is None else left + 1, end if right is None else right)
            if frames:
                intervals.append(Interval(left, right, frames))
    return intervals


def frames_of_part(intervals: Sequence[Interval], part: range, frame_count: int) -> range:
    """The frames that some neighbouring intervals stand for: key frames belong to the interval that follows, those at
    the end to the last one. The frames of all intervals, one after the other, are the clip.

    Args:
        intervals: all of the clip; part: positions among them.
    """
    if not intervals:
        return range(frame_count)
    begin = 0 if part.start == 0 else intervals[part.start - 1].frames.stop
    end = frame_count if part.stop == len(intervals) else intervals[part.stop - 1].frames.stop
    return range(begin, end)
