"""Condition clips of consecutive key frame pairs as one continuous clip."""

from collections.abc import Sequence

import torch

from ...common.errors import BetwixtError


def chain_conditions(parts: Sequence[torch.Tensor], published_timing: bool) -> torch.Tensor:
    """Put clips in sequence that share a key frame, which then stands at every joint exactly once.

    The last frame of a clip and the first one of the next show the same key frame: the latter is dropped. Published
    timing shows each key frame's geometry in two frames at either end of a clip
    (docs/methods/conditions.md, Published timing), four in a row at a joint; then the interpolated copies, the last but
    one frame before the joint and the second one after it, are dropped too, so that motion goes on at the same speed.
    The ends of the whole clip stay as they are.

    Args:
        parts: (F, H, W, C) each, of equal H, W, C.
        published_timing: whether the parts have doubled key frames. A part of fewer than four frames never has.

    Returns:
        (sum of kept frames, H, W, C): ``sum F - joints``, or ``sum F - 3 joints`` with published timing.

    Raises:
        BetwixtError: parts of different size.
    """
    kept = []
    for number, part in enumerate(parts):
        if part.shape[1:] != parts[0].shape[1:]:
            (h0, w0), (h1, w1) = parts[0].shape[1:3], part.shape[1:3]
            raise BetwixtError(
                f"Part 1 is {w0}x{h0} and part {number + 1} is {w1}x{h1}.",
                "All parts must have the same size.",
                "Make all parts from key frames of one size.",
            )
        doubled = 1 if published_timing and len(part) >= 4 else 0
        if number > 0:
            part = part[1 + doubled :]
        if number < len(parts) - 1 and doubled:
            kept += [part[:-2], part[-1:]]
        else:
            kept.append(part)
    return torch.cat(kept)
