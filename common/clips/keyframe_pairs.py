"""Several key frames: the pairs to be inbetweened one after the other, and closing a joined clip to a loop."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ..errors import BetwixtError


@dataclass(frozen=True)
class Gap:
    """Two neighbouring key frames by index, the length of the clip between them, and its condition strength."""

    start: int
    end: int
    frames: int
    strength: float


def gaps(count: int, loop: bool, frames: Sequence[float], strengths: Sequence[float]) -> list[Gap]:
    """The pairs of ``count`` key frames.

    Args:
        loop: add the gap from the last key frame back to the first.
        frames, strengths: one value per gap, or one for all.

    Raises:
        BetwixtError: one key frame, a wrong number of values, a gap of fewer than two frames.
    """
    if count < 2:
        raise BetwixtError(
            f"There is {count} key frame.",
            "At least two are needed.",
            "Connect a batch of key frames, e.g. from 'Batch Images'.",
        )
    number = count if loop else count - 1
    values = {}
    for name, given in (("frames_per_gap", frames), ("strength_per_gap", strengths)):
        if len(given) not in (1, number):
            raise BetwixtError(
                f"'{name}' has {len(given)} values, and there are {number} gaps between {count} key frames.",
                "One value per gap or one for all is needed.",
                f"Write {number} numbers into '{name}', or leave it empty.",
            )
        values[name] = list(given) * number if len(given) == 1 else list(given)
    short = [value for value in values["frames_per_gap"] if value < 2 or value != int(value)]
    if short:
        raise BetwixtError(
            f"A gap has {short[0]:g} frames.",
            "Each gap is a clip of at least two whole frames, its key frames.",
            "Raise it in 'frame_count' or 'frames_per_gap'; 14 to 25 is what the models were trained on.",
        )
    return [
        Gap(i, (i + 1) % count, int(length), float(strength))
        for i, (length, strength) in enumerate(zip(*values.values(), strict=True))
    ]


def closed_loop(clip: torch.Tensor, published_timing: bool) -> torch.Tensor:
    """A clip that ends with the frame it begins with, without the frames that would stand twice when it repeats.

    Args:
        clip: [F, ...].
        published_timing: the key frames stand for two frames at either end
            (docs/methods/conditions.md, Published timing), four in a row where the loop closes: three of them go.
    """
    if published_timing and len(clip) >= 4:
        return torch.cat([clip[:1], clip[2:-2]])
    return clip[:-1]
