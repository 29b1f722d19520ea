"""Clips for the benchmarks, and what makes a stylised clip steady."""

from pathlib import Path

import av
import numpy as np
import torch
from betwixt.common.clips.frame_fit import fit_frame
from betwixt.common.pictures import to_float
from betwixt.demo.painter import paint
from betwixt.rerender_core.ebsynth.stylised_keys import StylisedKeys
from betwixt.rerender_core.flow.estimation import Flow
from betwixt.rerender_core.flow.warping import warp_picture


def read_clip(path: Path, count: int, resolution: int) -> torch.Tensor:
    """The first ``count`` frames of a video, ``resolution`` pixels on the short side, float32 [T, H, W, 3] 0..1."""
    frames = []
    with av.open(str(path)) as video:
        for frame in video.decode(video=0):
            frames.append(fit_frame(frame.to_ndarray(format="rgb24"), resolution))
            if len(frames) == count:
                break
    return to_float(np.stack(frames))


def painted_keys(frames: torch.Tensor, every: int) -> StylisedKeys:
    """Every so many frames and the last one, painted by the demo's filter."""
    numbers = sorted({*range(0, len(frames), every), len(frames) - 1})
    return StylisedKeys.of(torch.stack([painted(frames[number]) for number in numbers]), numbers)


def painted(frame: torch.Tensor) -> torch.Tensor:
    """One frame [H, W, 3] through the demo's painterly filter."""
    return to_float(paint(np.round(frame.numpy() * 255).astype(np.uint8)))


def pixel_mse(frames: torch.Tensor, flow: Flow) -> float:
    """Mean squared difference, values 0..1, between each frame and the one before it moved along the source clip's
    flow; occluded pixels do not count.

    Args:
        frames: [T, H, W, 3].
        flow: of the source clip's neighbours, in order.
    """
    total, count = 0.0, 0
    for index, (before, after) in enumerate(flow.pairs):
        moved = warp_picture(frames[before], flow.backward[index])
        seen = ~flow.occlusion[index]
        total += float((moved - frames[after])[seen].square().sum())
        count += 3 * int(seen.sum())
    return total / max(count, 1)
