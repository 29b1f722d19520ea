"""Measures along optical flow: what changes beside the motion, and how evenly the motion is spread over the frames."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch.nn.functional import grid_sample

from ..errors import BetwixtError
from .measurement import MeanMap, Measurement, channel_mean, mean, pictures


def warped(frame: torch.Tensor, flow: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """``out(p) = frame(p + flow(p))``, bilinear.

    Args:
        frame: float32 [H, W, 3].
        flow: float32 [H, W, 2], pixels (x, y).

    Returns:
        float32 (H, W, 3), and bool (H, W): which pixels were read inside the frame.
    """
    height, width = flow.shape[:2]
    across, down = flow[..., 0].numpy(), flow[..., 1].numpy()
    at = np.empty((height, width, 2), np.float32)
    x = np.add(across, np.arange(width, dtype=np.float32), out=at[..., 0])
    y = np.add(down, np.arange(height, dtype=np.float32)[:, None], out=at[..., 1])
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    to_unit = [[2 / max(width - 1, 1), 0, -1], [0, 2 / max(height - 1, 1), -1]]  # as align_corners places -1 and 1
    grid = torch.from_numpy(cv2.transform(at, np.array(to_unit, np.float32)))
    moved = grid_sample(frame.movedim(-1, 0)[None], grid[None], padding_mode="border", align_corners=True)
    return cv2.merge(list(moved[0].numpy())), inside


def _squared_error(
    frames: torch.Tensor, backward: torch.Tensor, occluded: torch.Tensor, masks: np.ndarray | None
) -> tuple[list[float], np.ndarray]:
    """Mean over seen pixels of the squared difference (mean of three channels) per pair, and the mean map."""
    height, width = frames.shape[1:3]
    heat, values = MeanMap(height, width), []
    if len(backward) != len(frames) - 1 or tuple(backward.shape[1:3]) != (height, width):
        raise BetwixtError(
            f"The flow has {len(backward)} pairs of {backward.shape[2]}x{backward.shape[1]}.",
            f"{len(frames) - 1} pairs of neighbours, {width}x{height}, are needed.",
            "Estimate the flow on a clip of the same length and size, between 'neighbours'.",
        )
    for number, target in enumerate(pictures(frames[1:])):
        rebuilt, seen = warped(frames[number], backward[number])
        seen = seen & ~occluded[number].numpy()
        if masks is not None:
            seen = seen & masks[min(number + 1, len(masks) - 1)]
        if not seen.any():
            raise BetwixtError(
                f"No pixel of frame {number + 1} has a counterpart in frame {number}.",
                "The measure needs pixels that both frames show.",
                "Measure the shots of the clip one by one, or use another flow model.",
            )
        squared = channel_mean(cv2.pow(cv2.subtract(target, rebuilt, rebuilt), 2))
        values.append(float(squared[seen].mean(dtype=np.float64)))
        heat.add(squared, seen)
    return values, heat.mean()


def warp_error(
    frames: torch.Tensor, backward: torch.Tensor, occluded: torch.Tensor, masks: np.ndarray | None = None
) -> Measurement:
    """E_warp of Lai et al. (ECCV 2018), along the clip's own flow.

    Squared length of the RGB difference (sum of three channels) between a frame and its predecessor warped onto it,
    mean over pixels that both show.

    Args:
        frames: float32 [T, H, W, 3] 0..1, T >= 2.
        backward: float32 [T - 1, H, W, 2], pixels (x, y), from each frame t + 1 into frame t.
        occluded: bool [T - 1, H, W], pixels of frame t + 1 that frame t does not show.
        masks: bool (1 or T, H, W), pixels that count.

    Raises:
        BetwixtError: flow of another length or size; a pair without a common pixel.
    """
    values, heat = _squared_error(frames, backward, occluded, masks)
    values = [3 * value for value in values]
    return Measurement("Warp error", mean(values), tuple(values), "", False, 3 * heat)


def pixel_mse(
    frames: torch.Tensor, backward: torch.Tensor, occluded: torch.Tensor, masks: np.ndarray | None = None
) -> Measurement:
    """Pixel-MSE as published for video-to-video translation: the same along the flow of the *source* clip.

    Mean of the three channels, so it is a third of :func:`warp_error` on the same flow. Arguments as there.
    """
    values, heat = _squared_error(frames, backward, occluded, masks)
    return Measurement("Pixel-MSE", mean(values), tuple(values), "", False, heat)


def pace(backward: torch.Tensor, occluded: torch.Tensor) -> np.ndarray:
    """Share of the whole motion that each frame has come, float64 (T,), 0 at the first frame and 1 at the last.

    The way between two frames is the mean length of the flow of pixels that both show.

    Args:
        backward, occluded: as for :func:`warp_error`.

    Raises:
        BetwixtError: nothing moves.
    """
    steps = []
    for flow, hidden in zip(backward, occluded, strict=True):
        length, seen = cv2.magnitude(*cv2.split(flow.numpy())), ~hidden.numpy()
        steps.append(float((length[seen] if seen.any() else length).mean(dtype=np.float64)))
    way = np.concatenate([[0.0], np.cumsum(steps)])
    if way[-1] < 1e-6 * len(steps):
        raise BetwixtError(
            "Nothing moves in the clip.", "Pace is the share of the motion per frame.", "Choose another measure."
        )
    return way / way[-1]


def pace_error(backward: torch.Tensor, occluded: torch.Tensor, fractions: Sequence[float]) -> Measurement:
    """How far the frames are ahead of (+) or behind (-) a timing chart.

    Args:
        backward, occluded: as for :func:`warp_error`.
        fractions: the chart, T numbers from 0 to 1; where it goes back, the way counts twice, as the motion does.

    Returns:
        shares of the whole way; the value is the mean of the absolute differences of the inner frames.

    Raises:
        BetwixtError: a chart of another length, or one that stands still; nothing moves.
    """
    wanted = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(np.asarray(fractions, np.float64))))])
    if len(wanted) != len(backward) + 1 or wanted[-1] == 0:
        raise BetwixtError(
            f"The timing chart has {len(wanted)} entries and the clip {len(backward) + 1} frames.",
            "The chart needs one entry per frame and must move.",
            "Correct 'chart'.",
        )
    early = pace(backward, occluded) - wanted / wanted[-1]
    inner = np.abs(early[1:-1])
    value = float(inner.mean()) if len(inner) else 0.0
    return Measurement("Pace", value, tuple(early.tolist()), "share of the way", False)
