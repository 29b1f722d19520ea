"""What every measure returns, and the checks that clips share before they are measured."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from ..errors import BetwixtError
from ..finite import all_finite
from ..pictures import rgb_frames, same_size

BRIGHTEST = 1000.0  # far beyond any picture, and small enough for squares in float32


@dataclass(frozen=True)
class Measurement:
    """One measure of one clip.

    Attributes:
        name: as the field calls it.
        value: the number for the whole clip; may be infinite (PSNR of identical clips).
        per_frame: one number per frame or per pair of neighbours, as the measure says; NaN where it is not defined.
        unit: of all these numbers, "" where they have none.
        higher_is_better: None where neither direction is better.
        heat: float32 (H, W), where the measure sees most (always: more = worse), mean over the clip; None where the
            measure has no place in the picture.
        note: what a reader of the numbers must know, a clause without a full stop, or "".
    """

    name: str
    value: float
    per_frame: tuple[float, ...]
    unit: str
    higher_is_better: bool | None
    heat: np.ndarray | None = None
    note: str = ""


class MeanMap:
    """Mean of maps (H, W) that come one after another; holds one map."""

    def __init__(self, height: int, width: int):
        self._sum, self._count = np.zeros((height, width), np.float32), np.zeros((height, width), np.float32)

    def add(self, values: np.ndarray, valid: np.ndarray | None = None) -> None:
        """Add a map; ``valid`` (bool, same shape) leaves out pixels."""
        if valid is None:
            self._sum += values
            self._count += 1
        else:
            self._sum += np.where(valid, values, 0)
            self._count += valid

    def mean(self) -> np.ndarray:
        """float32 (H, W); 0 where nothing was added."""
        return self._sum / np.maximum(self._count, 1)


def checked_clip(frames: torch.Tensor, name: str, least: int = 1) -> torch.Tensor:
    """float32 [T, H, W, 3] of an IMAGE batch.

    Args:
        name: of the input, for errors.
        least: frames that the measure needs.

    Raises:
        BetwixtError: as :func:`.pictures.rgb_frames`; values whose squares are no measure of anything; fewer frames
            than ``least``.
    """
    frames = rgb_frames(frames, name)
    far = next((number for number, frame in enumerate(frames) if float(frame.abs().amax()) > BRIGHTEST), None)
    if far is not None:
        raise BetwixtError(
            f"Frame {far} of '{name}' holds values beyond {BRIGHTEST:g}.",
            "Pictures hold values from 0 to 1.",
            f"Bring '{name}' into that range first.",
        )
    if frames.shape[0] < least:
        raise BetwixtError(
            f"'{name}' holds {frames.shape[0]} frame{'s' if frames.shape[0] > 1 else ''}.",
            f"This measure needs at least {least} frames.",
            f"Connect a clip to '{name}' or choose another measure.",
        )
    return frames


def checked_pair(
    first: torch.Tensor, second: torch.Tensor, first_name: str, second_name: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Two clips of one size and length, each as :func:`checked_clip`; of two batches one may be a single picture.

    Raises:
        BetwixtError: which of the two is longer, or how large each is.
    """
    one, two = checked_clip(first, first_name), checked_clip(second, second_name)
    same_size(one, two, first_name, second_name)
    if len(one) != len(two):
        raise BetwixtError(
            f"'{first_name}' has {len(one)} frames and '{second_name}' {len(two)}.",
            "Both clips must have the same number of frames.",
            "Cut the longer one with 'Get Image from Batch' or bring one to the other's length with 'Retime Clip'.",
        )
    return one, two


def selected(masks: torch.Tensor | None, count: int, height: int, width: int, name: str) -> np.ndarray | None:
    """MASK [B, H, W] with B = 1 or ``count`` as bool (B, H, W); None stays None: everything counts.

    Raises:
        BetwixtError: another size or count, NaN, a mask that selects no pixel (which frame).
    """
    if masks is None:
        return None
    masks = masks if masks.ndim == 3 else masks[None]
    if tuple(masks.shape[1:]) != (height, width) or masks.shape[0] not in (1, count):
        raise BetwixtError(
            f"'{name}' holds {masks.shape[0]} masks of {masks.shape[2]}x{masks.shape[1]}.",
            f"One mask or {count}, each {width}x{height} as the frames, are needed.",
            f"Make '{name}' from the frames that are measured.",
        )
    if not all_finite(masks):
        raise BetwixtError(
            f"'{name}' contains NaN or infinite values.", "All of it must be finite.", f"Check what makes '{name}'."
        )
    chosen = (masks > 0.5).cpu().numpy()
    empty = ~chosen.any(axis=(1, 2))
    if empty.any():
        raise BetwixtError(
            f"Mask {int(np.argmax(empty))} of '{name}' is empty.",
            "Every mask must select at least one pixel (above 0.5).",
            f"Disconnect '{name}' to measure whole frames.",
        )
    return chosen


def pictures(frames: torch.Tensor) -> Iterator[np.ndarray]:
    """The frames one by one, contiguous float32 (H, W, 3) on the CPU."""
    for frame in frames:
        yield np.ascontiguousarray(frame.detach().cpu().numpy())


def luma(picture: np.ndarray) -> np.ndarray:
    """float32 RGB (H, W, 3) -> luma of ITU-R BT.601, same range, (H, W)."""
    return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)


def grey8(frame: torch.Tensor) -> np.ndarray:
    """uint8 (H, W): a float frame [H, W, 3], clamped to 0..1 and rounded, in OpenCV's grey."""
    (picture,) = pictures(frame[None])
    return cv2.cvtColor(cv2.convertScaleAbs(cv2.max(picture, 0), alpha=255), cv2.COLOR_RGB2GRAY)


def channel_mean(picture: np.ndarray) -> np.ndarray:
    """Mean of the three channels of float32 (H, W, 3): (H, W). Five times as fast as NumPy's along the last axis."""
    return cv2.transform(picture, np.full((1, 3), 1 / 3, np.float32))


def mean(values: Sequence[float]) -> float:
    """Arithmetic mean; infinite as soon as one value is."""
    return math.fsum(values) / len(values) if all(map(math.isfinite, values)) else float(np.mean(values))
