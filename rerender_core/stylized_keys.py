"""Stylised key frames and where they stand in the clip: the value on STYLIZED_KEYS wires."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from ..common.errors import BetwixtError


@dataclass(frozen=True)
class StylizedKeys:
    """K stylised (or painted) key frames in the order of time.

    Attributes:
        frames: float32 [K, H, W, 3], 0..1.
        numbers: the frame of the clip each belongs to, counted from 0, ascending.
    """

    frames: Tensor
    numbers: tuple[int, ...]

    @classmethod
    def of(cls, frames: Tensor, numbers: Sequence[int]) -> "StylizedKeys":
        """Sorted by frame number.

        Raises:
            BetwixtError: no key frame, another number of pictures than of frame numbers, a negative or doubled number.
        """
        numbers = [int(number) for number in numbers]
        if not numbers or len(numbers) != len(frames):
            raise BetwixtError(
                f"There are {len(frames)} key pictures and {len(numbers)} frame numbers.",
                "Each key picture needs the number of the frame it belongs to; at least one is needed.",
                "Make the two lists equally long.",
            )
        doubled = sorted({number for number in numbers if numbers.count(number) > 1})
        if doubled or min(numbers) < 0:
            raise BetwixtError(
                f"The key frame numbers are {', '.join(map(str, numbers))}.",
                "They count from 0 and each may occur once.",
                f"Correct the numbers: {', '.join(map(str, doubled)) + ' is doubled' if doubled else 'one is negative'}.",
            )
        order = sorted(range(len(numbers)), key=numbers.__getitem__)
        return cls(frames[order], tuple(numbers[index] for index in order))

    def check_clip(self, frame_count: int, height: int, width: int) -> None:
        """Raises:
        BetwixtError: a number outside the clip, or pictures of another size than its frames.
        """
        if self.numbers[-1] >= frame_count:
            raise BetwixtError(
                f"A key picture belongs to frame {self.numbers[-1]}.",
                f"The clip has the frames 0..{frame_count - 1}.",
                "Correct the key frame numbers or connect the whole clip.",
            )
        if tuple(self.frames.shape[1:3]) != (height, width):
            raise BetwixtError(
                f"The key pictures are {self.frames.shape[2]}x{self.frames.shape[1]}, the clip {width}x{height}.",
                "They must have the same size.",
                "Resize the key pictures or the clip, e.g. with 'Upscale Image'.",
            )
