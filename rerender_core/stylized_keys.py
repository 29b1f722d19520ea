"""The value on STYLIZED_KEYS wires: stylised key frames and where they belong in the clip."""

from dataclasses import dataclass

import torch

from ..common.errors import BetwixtError


@dataclass(frozen=True)
class StylizedKeys:
    """Key frames of a clip in their new style.

    Attributes:
        frames: float32 [K, H, W, 3], 0..1.
        numbers: their frame numbers in the clip, counted from 0, ascending.
    """

    frames: torch.Tensor
    numbers: tuple[int, ...]

    def __post_init__(self):
        if len(self.numbers) != self.frames.shape[0]:
            raise BetwixtError(
                f"There are {self.frames.shape[0]} key frames and {len(self.numbers)} frame numbers.",
                "Every key frame needs its number.",
                "Connect 'key_numbers' of 'Select Key Frames', or correct the list.",
            )

    def __len__(self) -> int:
        return len(self.numbers)
