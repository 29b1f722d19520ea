"""Optical flow of frame pairs: the value on FLOW wires, what every estimator offers, and estimation over a clip."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from ...common.errors import BetwixtError
from ...common.finite import all_finite
from ...common.helpers import Helpers
from ...common.number_lists import parse_whole_numbers
from ...common.progress import Progress, silent
from .warping import occlusion


@dataclass(frozen=True)
class Flow:
    """Flow of T frame pairs (source, target) of one clip.

    Attributes:
        forward: float32 [T, H, W, 2], pixels (x, y); lives on the source frame and points into the target frame.
        backward: the same, lives on the target frame and points into the source frame. Warping something of the
            source to the target reads it at ``p + backward(p)``.
        occlusion: bool [T, H, W], pixels of the target frame without a counterpart in the source frame.
        pairs: the T pairs of frame numbers (source, target), counted from 0.
    """

    forward: Tensor
    backward: Tensor
    occlusion: Tensor
    pairs: tuple[tuple[int, int], ...]

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.forward.shape[1], self.forward.shape[2]

    def check(
        self, pairs: Sequence[tuple[int, int]], height: int, width: int, frames: str, needed: str, remedy: str
    ) -> None:
        """Refuse flow that cannot serve.

        Args:
            pairs: that are needed.
            frames, needed, remedy: for the messages: what the flow belongs to, what it must hold, what to change.

        Raises:
            BetwixtError: flow of another size, without one of the pairs, or with NaN or infinity.
        """
        if self.size != (height, width):
            raise BetwixtError(
                f"The flow is {self.size[1]}x{self.size[0]} and {frames} are {width}x{height}.",
                "Both must have the same size.",
                f"Estimate the flow on {frames}.",
            )
        missing = [pair for pair in pairs if pair not in self.pairs]
        if missing:
            raise BetwixtError(
                f"The flow lacks the pair {missing[0][0]}-{missing[0][1]} "
                f"({len(missing)} of {len(pairs)} are missing).",
                needed,
                remedy,
            )
        if not all(map(all_finite, (self.forward, self.backward))):
            raise BetwixtError(
                "The flow contains NaN or infinite values.", "All of it must be finite.", "Estimate it again."
            )

    def channels_first(self, index: int | None = None) -> tuple[Tensor, Tensor]:
        """Forward and backward flow as networks and :func:`.warping.warp` take it, [T, 2, H, W]; views.

        Args:
            index: of the only pair that is wanted.
        """
        part = slice(None) if index is None else slice(index, index + 1)
        return self.forward[part].movedim(-1, 1), self.backward[part].movedim(-1, 1)

    def source_occlusion(self, index: int) -> Tensor:
        """bool [H, W]: pixels of the source frame of one pair without a counterpart in the target frame."""
        return occlusion(*self.channels_first(index))[0]


class FlowModel(Protocol):
    """What stands behind a FLOW_MODEL wire."""

    name: str  # shown to the user

    def pairs_at_once(self, height: int, width: int) -> int:
        """How many pairs of this size one call may hold in memory; at least 1."""
        ...

    def estimate(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """(forward, backward) float32 [B, 2, H, W] on the CPU for float32 RGB 0..255 frames [B, 3, H, W]."""
        ...


class DenseInverseSearch:
    """DIS (Kroeger et al., ECCV 2016) from OpenCV: no weights, a fraction of a second per pair.

    Args:
        preset: "ultrafast", "fast" or "medium" (OpenCV's names; medium is the most accurate).
    """

    PRESETS = {
        "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
        "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
        "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
    }
    SMALLEST = 16  # DIS fails on smaller pictures

    def __init__(self, preset: str = "medium"):
        self.name = f"DIS ({preset})"
        self._preset = self.PRESETS[preset]

    def pairs_at_once(self, height: int, width: int) -> int:
        return 1

    def estimate(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        height, width = first.shape[-2:]
        if min(height, width) < self.SMALLEST:
            raise BetwixtError(
                f"The frames are {width}x{height}.",
                f"DIS needs at least {self.SMALLEST} pixels in both directions.",
                "Use larger frames.",
            )
        solver = cv2.DISOpticalFlow_create(self._preset)
        grey = [_grey(frames) for frames in (first, second)]
        flows = (
            [solver.calc(a, b, None) for a, b in zip(*grey, strict=True)],
            [solver.calc(b, a, None) for a, b in zip(*grey, strict=True)],
        )
        forward, backward = (
            rearrange(torch.from_numpy(np.stack(flow)), "b h w xy -> b xy h w").contiguous() for flow in flows
        )
        return forward, backward


def _grey(frames: Tensor) -> list[np.ndarray]:
    pictures = rearrange(frames.round().clamp(0, 255).to(torch.uint8), "b c h w -> b h w c").contiguous().cpu().numpy()
    return [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in pictures]


def neighbour_pairs(count: int) -> list[tuple[int, int]]:
    """(0, 1), (1, 2), ... of a clip of ``count`` frames."""
    return [(index, index + 1) for index in range(count - 1)]


def pairs_from(key: int, count: int) -> list[tuple[int, int]]:
    """(key, j) for every other frame j of a clip of ``count`` frames."""
    return [(key, index) for index in range(count) if index != key]


def parse_pairs(text: str, count: int) -> list[tuple[int, int]]:
    """Pairs written as ``0-5, 5-10`` (frame numbers from 0).

    Raises:
        BetwixtError: malformed text, the same frame twice in a pair, a number outside the clip.
    """
    pairs = []
    for position, item in enumerate((part for part in re.split("[\n,;]", text) if part.strip()), start=1):
        numbers = parse_whole_numbers(re.sub("[->]", " ", item), "pairs")
        if len(numbers) != 2:
            raise BetwixtError(
                f"Entry {position} of the pair list is '{item.strip()}'.",
                "Each entry is two frame numbers joined by '-', e.g. '0-5, 5-10'.",
                "Correct 'pairs'.",
            )
        source, target = numbers
        if source == target or max(source, target) >= count:
            raise BetwixtError(
                f"Entry {position} of the pair list is '{item.strip()}'.",
                f"The two frames must differ and lie within 0..{count - 1}.",
                "Correct 'pairs'.",
            )
        pairs.append((source, target))
    if not pairs:
        raise BetwixtError("The pair list is empty.", "At least one pair such as '0-5' is needed.", "Fill in 'pairs'.")
    return pairs


def estimate_flow(
    frames: Tensor,
    pairs: Sequence[tuple[int, int]],
    model: FlowModel,
    progress: Progress = silent,
    store: Callable[[tuple[int, ...], torch.dtype], Tensor] = lambda shape, dtype: torch.empty(shape, dtype=dtype),
) -> Flow:
    """Flow of the given pairs of a clip, both directions and the occlusion of every target frame.

    Args:
        frames: float32 [T, H, W, 3], 0..1.
        pairs: (source, target) frame numbers.
        model: the estimator; called with as many pairs at once as it says fit.
        progress: called with the share of pairs done; may raise to cancel.
        store: makes the result's tensors, of a shape and a type.
    """
    height, width = frames.shape[1:3]
    shape = (len(pairs), height, width)
    forward, backward = (store((*shape, 2), torch.float32) for _ in range(2))
    occluded = store(shape, torch.bool)
    step = max(1, model.pairs_at_once(height, width))
    for begin in range(0, len(pairs), step):
        progress(begin / len(pairs), f"flow of pair {begin + 1} of {len(pairs)}")
        chunk = pairs[begin : begin + step]
        first, second = (
            255 * rearrange(frames[[pair[side] for pair in chunk]], "b h w c -> b c h w") for side in (0, 1)
        )
        there, back = model.estimate(first, second)
        part = slice(begin, begin + len(chunk))
        forward[part], backward[part] = (rearrange(field, "b xy h w -> b h w xy") for field in (there, back))
        occluded[part] = _occlusion(back, there)
    progress(1.0, "")
    return Flow(forward, backward, occluded, tuple((int(a), int(b)) for a, b in pairs))


def _occlusion(back: Tensor, there: Tensor) -> Tensor:
    with Helpers(back.device) as helpers:
        return torch.cat(helpers.each(lambda part: occlusion(back[part], there[part]), helpers.slices(len(back))))
