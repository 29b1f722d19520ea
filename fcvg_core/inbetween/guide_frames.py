"""Guide frames for video models: pictures on frame numbers, and masks that say what the model is free to make.

Masks are 1 where the model is free and 0 where the guide holds; free parts of the control video are grey (0.5), as VACE
(Jiang et al. 2025) was trained on, or show conditions.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from ...common.errors import BetwixtError

FREE_GREY = 0.5


def guide_numbers(numbers: Sequence[int], pictures: int, frame_count: int) -> list[int]:
    """The frame that each of ``pictures`` key frames stands on, counted from 0.

    Args:
        numbers: as the user gives them, negative ones count from the end; none = spread evenly from first to last.

    Raises:
        BetwixtError: another number of entries than pictures, a frame outside the clip or named twice.
    """
    if not numbers:
        last = frame_count - 1
        numbers = [round(index * last / max(pictures - 1, 1)) for index in range(pictures)]
    if len(numbers) != pictures:
        raise BetwixtError(
            f"'frame_numbers' has {len(numbers)} entries for {pictures} key frames.",
            "Each key frame stands on one frame.",
            "Write one number for each key frame into 'frame_numbers', or leave it empty to spread them evenly.",
        )
    placed = [number + frame_count if number < 0 else number for number in numbers]
    for given, number in zip(numbers, placed, strict=True):
        if not 0 <= number < frame_count:
            raise BetwixtError(
                f"'frame_numbers' names frame {given} of a clip of {frame_count} frames.",
                f"Frames are counted from 0 to {frame_count - 1}, or from the end with -1 to -{frame_count}.",
                "Correct 'frame_numbers' or raise 'frame_count'.",
            )
    if len(set(placed)) < len(placed):
        twice = next(number for number in placed if placed.count(number) > 1)
        raise BetwixtError(
            f"Two key frames stand on frame {twice}.",
            "Each frame can hold one key frame.",
            "Correct 'frame_numbers' or raise 'frame_count'.",
        )
    return placed


def place_guides(
    keys: torch.Tensor,
    numbers: Sequence[int],
    frame_count: int,
    inbetweens: torch.Tensor | None = None,
    confidence: torch.Tensor | None = None,
    least: float = 0.9,
    every: int = 1,
    conditions: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Control video and masks.

    Args:
        keys: float [K, H, W, 3], 0..1.
        numbers: frame of each key frame.
        inbetweens: [frame_count, H, W, 3]; what of them is sure is held as well; None: key frames only.
        confidence: [frame_count, H, W] of the inbetweens.
        least: confidence from which a pixel is held.
        every: only every so many inbetweens are held, counted from frame 0; the others are free.
        conditions: [frame_count, H, W, 3], shown where the model is free in place of grey.

    Returns:
        float32 [frame_count, H, W, 3] and [frame_count, H, W].
    """
    height, width = keys.shape[1:3]
    video = torch.full((frame_count, height, width, 3), FREE_GREY) if conditions is None else conditions.clone()
    mask = torch.ones(frame_count, height, width)
    if inbetweens is not None and confidence is not None:
        for number in range(0, frame_count, every):
            held = confidence[number] >= least
            mask[number][held] = 0.0
            video[number] = torch.where(held[..., None], inbetweens[number], video[number])
    for key, number in zip(keys, numbers, strict=True):
        video[number], mask[number] = key, 0.0
    return video, mask


def latent_mask(mask: torch.Tensor, stride: int, block: int) -> torch.Tensor:
    """A noise mask of a video latent: a latent frame or cell is as free as the freest pixel in it.

    Args:
        mask: [F, H, W], 1 = free.
        stride: pictures per latent frame, the first of which stands for itself (1 = SVD, 4 = Wan, 8 = LTX).
        block: pixels per latent cell.

    Returns:
        float32 [1 + (F - 1) / stride rounded up, ceil(H / block), ceil(W / block)].
    """
    free = F.max_pool2d(mask[:, None], block, ceil_mode=True)[:, 0]
    if stride == 1 or len(free) == 1:
        return free
    rest = free[1:]
    missing = -len(rest) % stride
    rest = torch.cat([rest, rest[-1:].expand(missing, -1, -1)])
    return torch.cat([free[:1], rest.unflatten(0, (-1, stride)).amax(dim=1)])
