"""Clips of other lengths than the model was trained on: resampled, held, trimmed at joints."""

import torch
from torch import Tensor

METHODS = ("nearest", "blend")


def resampled(frames: Tensor, count: int, method: str = "nearest") -> Tensor:
    """A clip of ``count`` frames with the same ends.

    Args:
        frames: [T, H, W, C].
        count: at least 1; 1 gives the first frame.
        method: "nearest" takes existing frames (a tie goes to the earlier one), "blend" mixes neighbours linearly.
    """
    if count == len(frames):
        return frames
    places = torch.linspace(0, len(frames) - 1, count, dtype=torch.float64)
    if method == "nearest":
        return frames[torch.ceil(places - 0.5).long()]
    before = places.floor().long()
    after = (before + 1).clamp_max(len(frames) - 1)
    share = (places - before).to(frames).view(-1, 1, 1, 1)
    return torch.lerp(frames[before], frames[after], share)


def held(frames: Tensor, hold: int) -> Tensor:
    """Every drawing stands for ``hold`` frames; the last frame stays the last frame, the number of frames too."""
    if hold == 1:
        return frames
    shown = torch.arange(len(frames)) // hold * hold
    shown[-1] = len(frames) - 1
    return frames[shown]


def without_still_ends(frames: Tensor, threshold: float) -> Tensor:
    """The clip without the frames next to its ends that hardly differ from them.

    Args:
        frames: [T, H, W, C], 0..1.
        threshold: mean absolute difference below which a frame counts as still; 0 keeps all.

    Returns:
        [t, H, W, C], 2 <= t <= T (for T >= 2), with the same first and last frame.
    """
    if threshold <= 0 or len(frames) < 3:
        return frames
    first = (frames - frames[0]).abs().flatten(1).mean(dim=1)
    last = (frames - frames[-1]).abs().flatten(1).mean(dim=1)
    moved = (first >= threshold) & (last >= threshold)
    inner = torch.nonzero(moved).flatten()
    inner = inner[(inner > 0) & (inner < len(frames) - 1)]
    if len(inner) == 0:
        return frames[[0, -1]]
    return torch.cat([frames[:1], frames[inner[0] : inner[-1] + 1], frames[-1:]])
