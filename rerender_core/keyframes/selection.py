"""Which frames of a clip become key frames: every K (published), by hand, at scene cuts, by what flow can reach."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ...common.clips.scene_cuts import USUAL, find_cuts
from ...common.errors import BetwixtError
from ...common.number_lists import parse_whole_numbers
from ...common.progress import Progress, silent
from ..flow.estimation import FlowModel, estimate_flow
from ..flow.warping import warp_picture

SIDE = 256  # pixels of the long side that coverage is judged at: quick, and flow of flat areas is steadier
UNRELIABLE = 0.15  # mean colour difference of a warped pixel, 0..1, above which its flow is not trusted


def every(count: int, interval: int) -> list[int]:
    """0, K, 2K, ... of a clip of ``count`` frames."""
    return list(range(0, count, interval))


def with_last(numbers: list[int], count: int) -> list[int]:
    """The same with the clip's last frame, so that nothing is left after the last key frame."""
    return numbers if numbers[-1] == count - 1 else [*numbers, count - 1]


def parse_key_numbers(text: str, name: str, count: int | None = None) -> list[int]:
    """Frame numbers written as ``0, 10, 25``.

    Args:
        name: of the text field, for errors.
        count: number of frames of the clip, where it is known.

    Raises:
        BetwixtError: not numbers, not ascending, twice the same, outside the clip, none at all.
    """
    numbers, remedy = parse_whole_numbers(text, name), f"Correct '{name}'."
    if not numbers:
        raise BetwixtError(f"'{name}' is empty.", "Frame numbers counted from 0 are needed, e.g. '0, 10, 25'.", remedy)
    for before, after in zip(numbers, numbers[1:], strict=False):
        if after <= before:
            fault = f"has {after} twice" if after == before else f"goes from {before} back to {after}"
            raise BetwixtError(
                f"'{name}' {fault}.",
                "The numbers must ascend, each once.",
                remedy,
            )
    if count is not None and numbers[-1] >= count:
        raise BetwixtError(
            f"Key frame {numbers[-1]} is not in the clip.", f"The clip has the frames 0..{count - 1}.", remedy
        )
    return numbers


def cuts_of(frames: Tensor, threshold: float) -> list[int]:
    """Frames at which a new shot begins, without the first one.

    Args:
        frames: float32 [T, H, W, 3], 0..1.
        threshold: 0.5 finds what the EbSynth nodes find, lower values more.
    """
    return find_cuts(frames, 2 * threshold * USUAL)


def beginning_shots(numbers: list[int], cuts: list[int]) -> list[int]:
    """The key frames that are the first one of a shot, without the clip's first."""
    return sorted({min(number for number in numbers if number >= cut) for cut in cuts if cut <= numbers[-1]})


def no_further_than(numbers: list[int], count: int, longest: int) -> list[int]:
    """Key frames with more of them put in wherever two are further apart than ``longest``."""
    result: list[int] = []
    for number, following in zip(numbers, [*numbers[1:], count], strict=True):
        result += range(number, following, longest)
    return result


def uncovered_share(source: Tensor, target: Tensor, model: FlowModel) -> float:
    """Share of a frame [H, W, 3] that cannot be had from another: occluded, or unlike it after warping."""
    source, target = (_small(frame) for frame in (source, target))
    flow = estimate_flow(torch.stack([source, target]), [(0, 1)], model)
    warped = warp_picture(source, flow.backward[0])
    unlike = (warped - target).abs().mean(dim=-1) > UNRELIABLE
    return float((flow.occlusion[0] | unlike).float().mean())


def _small(frame: Tensor) -> Tensor:
    height, width = frame.shape[:2]
    shrink = SIDE / max(height, width)
    if shrink >= 1:
        return frame
    size = (round(height * shrink), round(width * shrink))
    return F.interpolate(frame.movedim(-1, 0)[None], size, mode="area")[0].movedim(0, -1)


def by_coverage(
    frames: Tensor,
    model: FlowModel,
    limit: float,
    longest: int,
    progress: Progress = silent,
) -> list[int]:
    """Each key frame is the last one that the one before it still explains well enough.

    Args:
        frames: float32 [T, H, W, 3], 0..1.
        limit: largest share of a frame that may be occluded or unreliable, 0..1.
        longest: largest distance of two key frames.
        progress: called with the share of the clip done; may raise to cancel.
    """
    numbers, count = [0], frames.shape[0]
    for number in range(1, count):
        progress(number / count, f"flow to frame {number} of {count}")
        key = numbers[-1]
        reached = number - key <= longest and uncovered_share(frames[key], frames[number], model) <= limit
        if not reached:
            numbers.append(max(key + 1, number - 1))
            if numbers[-1] < number and uncovered_share(frames[number - 1], frames[number], model) > limit:
                numbers.append(number)
    progress(1.0, "")
    return numbers
