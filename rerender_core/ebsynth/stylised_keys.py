"""The value on STYLIZED_KEYS wires: stylised (or painted) key frames and where they belong in the clip."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from ...common.errors import BetwixtError


@dataclass(frozen=True)
class StylisedKeys:
    """Key frames of a clip in their new style; :meth:`of` sorts them.

    Attributes:
        frames: float32 [K, H, W, 3], 0..1.
        numbers: their frame numbers in the clip, counted from 0, ascending, each once.
    """

    frames: Tensor
    numbers: tuple[int, ...]

    def __post_init__(self):
        numbers = self.numbers
        if not numbers or len(numbers) != len(self.frames):
            raise BetwixtError(
                f"There are {len(self.frames)} key pictures and {len(numbers)} frame numbers.",
                "Each key picture needs the number of the frame it belongs to; at least one is needed.",
                "Make the two lists equally long.",
            )
        doubled = sorted({number for number in numbers if numbers.count(number) > 1})
        if doubled or min(numbers) < 0:
            reason = f"{', '.join(map(str, doubled))} is doubled" if doubled else "one is negative"
            raise BetwixtError(
                f"The key frame numbers are {', '.join(map(str, numbers))}.",
                "They count from 0 and each may occur once.",
                f"Correct the numbers: {reason}.",
            )

    def __len__(self) -> int:
        return len(self.numbers)

    @classmethod
    def of(cls, frames: Tensor, numbers: Sequence[int]) -> "StylisedKeys":
        """Key frames in the order of time; ``numbers`` in the order of ``frames``."""
        if len(numbers) != len(frames):
            return cls(frames, tuple(numbers))  # which refuses them
        order = sorted(range(len(numbers)), key=numbers.__getitem__)
        return cls(frames[order], tuple(int(numbers[index]) for index in order))

    def check_clip(self, frame_count: int, height: int, width: int) -> None:
        """Refuse, by a BetwixtError, numbers outside the clip and pictures of another size than its frames."""
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
