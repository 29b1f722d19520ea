"""A whole clip from a few key frames: propagation, blending, masks, streamed interval by interval."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

import cv2
import numpy as np
import torch
from torch import Tensor

from ...common.errors import BetwixtError
from ...common.helpers import Helpers, pair_of
from ...common.progress import Progress, silent
from ..flow.estimation import Flow, FlowModel
from .blending.interval import Blended, BlendOptions, blends
from .plan import frames_of_part, plan_intervals
from .propagation import PropagatedInterval, PropagationOptions, propagate
from .stylised_keys import StylisedKeys
from .synthesis.float_voting import lost_precision
from .synthesis.solver import SynthesisOptions

FRAMES_AT_ONCE = 2  # blended beside each other; each takes memory


@dataclass(frozen=True)
class Region:
    """Which pixels are stylised; the others keep the clip's own.

    Attributes:
        masks: float [T, H, W], 0..1, above 0.5 = stylised; empty ones are legal.
        before: leave the other pixels out of the synthesis (quicker) instead of laying the clip over the result.
        feather: softness of the region's edge in pixels.
    """

    masks: Tensor
    before: bool = True
    feather: float = 4.0

    @classmethod
    def of(cls, masks: Tensor, frame_count: int, height: int, width: int, before: bool, feather: float) -> "Region":
        """A MASK batch for a clip; one mask serves all frames.

        Raises:
            BetwixtError: another number of masks than of frames, or another size.
        """
        if masks.shape[0] not in (1, frame_count) or tuple(masks.shape[1:]) != (height, width):
            raise BetwixtError(
                f"'mask' holds {masks.shape[0]} masks of {masks.shape[2]}x{masks.shape[1]}, the clip {frame_count} "
                f"frames of {width}x{height}.",
                "One mask for all frames or one per frame is needed, in the clip's size.",
                "Resize or repeat the masks.",
            )
        return cls(masks.float().expand(frame_count, -1, -1), before, feather)

    def wanted(self) -> Tensor | None:
        """bool [T, H, W] of what is synthesised; None = everything."""
        return self.masks > 0.5 if self.before else None

    def weight(self, number: int) -> Tensor:
        """[H, W, 1], how far frame ``number`` is replaced."""
        mask = (self.masks[number] > 0.5).float().numpy()
        if self.feather > 0:  # inwards only: nothing is known outside
            radius = int(np.ceil(self.feather))
            mask = cv2.erode(mask, np.ones((2 * radius + 1, 2 * radius + 1), np.uint8))
            mask = cv2.GaussianBlur(mask, (0, 0), self.feather / 2)
        return torch.from_numpy(mask)[..., None]


@dataclass(frozen=True)
class ClipOptions:
    """How a whole clip is made from its key frames.

    Attributes:
        propagation, blend: see there.
        cuts: frames at which a new scene begins.
        keep_precision: give 16-bit and float key frames back what 8-bit synthesis loses.
        together: intervals worked on at once.
        part: positions of the intervals to make, among all of :func:`.plan.plan_intervals`; None = all.
    """

    propagation: PropagationOptions = PropagationOptions()
    blend: BlendOptions = BlendOptions()
    cuts: Sequence[int] = ()
    keep_precision: bool = True
    together: int = 1
    part: range | None = None


def stylise_clip(
    frames: Tensor,
    keys: StylisedKeys,
    flow: FlowModel | Flow,
    options: ClipOptions = ClipOptions(),
    region: Region | None = None,
    device: torch.device | str = "cpu",
    progress: Progress = silent,
) -> Iterator[tuple[int, Tensor]]:
    """Finished frames, interval by interval; key frames come out as they were given.

    Yields:
        (frame number, float32 [H, W, 3] 0..1, or beyond for key frames beyond); every frame of the clip once, or every
        one of :func:`.plan.frames_of_part`.
    """
    keys.check_clip(len(frames), *frames.shape[1:3])
    intervals = plan_intervals(len(frames), keys.numbers, options.cuts)
    chosen = range(len(intervals)) if options.part is None else options.part
    wanted_frames = frames_of_part(intervals, chosen, len(frames))
    for index, number in enumerate(keys.numbers):
        if number in wanted_frames:
            yield number, _composited(frames, number, keys.frames[index].float(), region)
    intervals = intervals[chosen.start : chosen.stop]
    wanted = None if region is None else region.wanted()
    made = propagate(frames, keys, intervals, flow, options.propagation, device, options.together, wanted, progress)
    for interval in made:
        for number, frame, _ in finish_interval(interval, frames, keys, options, region):
            yield number, frame


def finish_interval(
    part: PropagatedInterval, frames: Tensor, keys: StylisedKeys, options: ClipOptions, region: Region | None
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Blend a propagated interval.

    Yields:
        (frame number, frame as :func:`stylise_clip` gives it, bool [H, W] of the pixels from the right key frame).
    """

    def finished(at: tuple[int, tuple[int, Callable[[], Blended]]]) -> tuple[int, Tensor, Tensor]:
        index, (number, blend) = at
        picture, mask = blend()
        frame = torch.from_numpy(np.ascontiguousarray(picture)).float() / 255
        from_right = torch.from_numpy(mask)
        if options.keep_precision:
            lost = pair_of(partial(_lost, part, keys, options.propagation.synthesis, index))
            frame = frame + torch.where(from_right[..., None], lost[1], lost[0])
        return number, _composited(frames, number, frame, region), from_right

    waiting = enumerate(zip(part.interval.frames, blends(part, options.blend), strict=True))
    while group := list(islice(waiting, FRAMES_AT_ONCE)):
        with Helpers() as helpers:
            done = helpers.each(finished, group)
        yield from done


def _lost(part: PropagatedInterval, keys: StylisedKeys, synthesis: SynthesisOptions, index: int, number: int) -> Tensor:
    """What to add to frame ``index`` of side ``number``, 0 = left, 1 = right; nothing where there is no such side."""
    side, key = ((part.left, part.interval.left), (part.right, part.interval.right))[number]
    if side is None or key is None:
        return torch.zeros(())
    matched = side.matches[index], side.errors[index], side.pictures[index]
    return lost_precision(_key(keys, key), *matched, synthesis.last_patch, synthesis.voting)


def _key(keys: StylisedKeys, number: int) -> Tensor:
    return keys.frames[keys.numbers.index(number)]


def _composited(frames: Tensor, number: int, made: Tensor, region: Region | None) -> Tensor:
    if region is None:
        return made
    return torch.lerp(frames[number].float(), made, region.weight(number))
