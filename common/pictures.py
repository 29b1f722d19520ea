"""Checks and conversions of ComfyUI pictures (float32 [B, H, W, C], 0..1) at the border between nodes and cores."""

import numpy as np
import torch

from .errors import BetwixtError
from .finite import all_finite


def rgb_frames(images: torch.Tensor, name: str) -> torch.Tensor:
    """The colour channels of an IMAGE batch, checked.

    Args:
        images: [B, H, W, C] with C = 1 (grey, repeated), 3 or 4 (alpha is dropped), any float dtype, values 0..1.
        name: the input's name as the user sees it.

    Returns:
        float32 [B, H, W, 3] on the same device; a view where nothing had to change.

    Raises:
        BetwixtError: no frames, no pixels, another number of dimensions or channels, NaN or infinity.
    """
    if images.ndim != 4 or images.numel() == 0 or images.shape[-1] not in (1, 3, 4):
        raise BetwixtError(
            f"'{name}' has the shape {list(images.shape)}.",
            "A batch [frames, height, width, channels] with at least one frame, one pixel, and 1, 3 or 4 channels is "
            "needed.",
            f"Connect an IMAGE output to '{name}'.",
        )
    frames = images[..., :3].expand(-1, -1, -1, 3) if images.shape[-1] == 1 else images[..., :3]
    frames = frames.float()
    # frame by frame: a check of a long clip at once takes twice its memory
    bad = next((number for number, frame in enumerate(frames) if not all_finite(frame)), None)
    if bad is not None:
        raise BetwixtError(
            f"Frame {bad} of '{name}' contains NaN or infinite values.",
            "All pixel values must be finite.",
            "Look for the node upstream that produced them (often a VAE decode in half precision).",
        )
    return frames


def single_frame(images: torch.Tensor, name: str) -> torch.Tensor:
    """As :func:`rgb_frames` for an input that takes exactly one picture; returns [H, W, 3].

    Raises:
        BetwixtError: in addition, when the batch holds more than one frame.
    """
    frames = rgb_frames(images, name)
    if frames.shape[0] != 1:
        raise BetwixtError(
            f"'{name}' is a batch of {frames.shape[0]} frames.",
            "Exactly one picture is allowed here.",
            "Pick one, e.g. with 'Get Image from Batch', or use the node's multi-key-frame input.",
        )
    return frames[0]


def same_size(first: torch.Tensor, second: torch.Tensor, first_name: str, second_name: str) -> tuple[int, int]:
    """Height and width that two [..., H, W, C] pictures share.

    Raises:
        BetwixtError: the sizes differ.
    """
    (h0, w0), (h1, w1) = first.shape[-3:-1], second.shape[-3:-1]
    if (h0, w0) != (h1, w1):
        raise BetwixtError(
            f"'{first_name}' is {w0}x{h0} and '{second_name}' is {w1}x{h1}.",
            "Both must have the same size.",
            "Resize one of them, e.g. with 'Upscale Image'.",
        )
    return h0, w0


def to_uint8(frames: torch.Tensor) -> np.ndarray:
    """Float pictures 0..1 (clamped) rounded to uint8, same shape, contiguous, on the CPU."""
    return np.ascontiguousarray(frames.detach().float().clamp(0, 1).mul(255).round().to(torch.uint8).cpu().numpy())


def to_float(pictures: np.ndarray) -> torch.Tensor:
    """uint8 pictures as float32 0..1, same shape."""
    return torch.from_numpy(np.ascontiguousarray(pictures)).float().div_(255)


def grey(pictures: np.ndarray) -> np.ndarray:
    """uint8 RGB [..., 3] to uint8 luma with Pillow's integer rule (docs/methods/lines.md, Grey values)."""
    r, g, b = (pictures[..., i].astype(np.uint32) for i in range(3))
    return ((19595 * r + 38470 * g + 7471 * b + 32768) >> 16).astype(np.uint8)


def nearest_size(width: int, height: int, step: int) -> tuple[int, int]:
    """The nearest width and height that are multiples of ``step`` pixels, at least one step each."""
    return max(step, round(width / step) * step), max(step, round(height / step) * step)
