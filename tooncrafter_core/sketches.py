"""Sketches that guide single frames: placed in the clip, and drawn from pictures without weights."""

import torch
from kornia.filters import gaussian_blur2d
from torch import Tensor

from ..common.errors import BetwixtError
from ..common.number_lists import parse_whole_numbers


def parse_frames(text: str, sketches: int, frames: int) -> list[int]:
    """The frames that sketches belong to.

    Args:
        text: "all" for one sketch per frame, else frame numbers counted from 0, separated by commas or spaces;
            negative ones count from the end.
        sketches: number of sketches.
        frames: of the clip.

    Raises:
        BetwixtError: another number of sketches, a frame outside the clip, named twice, or no number.
    """
    if text.strip().lower() in ("", "all"):
        numbers = list(range(frames))
    else:
        numbers = parse_whole_numbers(text, "frames", negative=True)
    outside = [number for number in numbers if not -frames <= number < frames]
    places = [number % frames for number in numbers]
    if outside or len(set(places)) < len(places):
        what = f"the frame {outside[0]}" if outside else "a frame twice"
        raise BetwixtError(
            f"'frames' names {what}.",
            f"The clip has the frames 0..{frames - 1}, and each can have one sketch.",
            "Change 'frames'.",
        )
    if len(places) != sketches:
        raise BetwixtError(
            f"There are {sketches} sketches for {len(places)} frames.",
            "Each named frame needs one sketch ('all' means one per frame of the clip).",
            "Change 'frames' or the picture batch on 'sketches'.",
        )
    return places


def hints(lines: Tensor, places: list[int], frames: int) -> Tensor:
    """What the sketch encoder takes: white lines on black, no lines on the frames without sketch.

    Args:
        lines: [n, H, W, 3], 0..1, white on black.

    Returns:
        [T, 1, H, W], 0..1.
    """
    clip = lines.new_zeros(frames, 1, *lines.shape[1:3])
    clip[places, 0] = lines.mean(dim=-1)
    return clip


def edge_sketch(pictures: Tensor, sigma: float = 0.8, sharpness: float = 20.0, threshold: float = 0.6) -> Tensor:
    """Lines of drawings by thresholded differences of Gaussians (Winnemoeller, Kyprianidis, Olsen 2012).

    Args:
        pictures: float [B, H, W, 3], 0..1.
        sigma: of the finer Gaussian in pixels, about half a line's width; the coarser one is 1.6 times as wide.
        sharpness: weight of the difference; larger draws fainter edges as well.
        threshold: larger draws more; flat areas stay white at any value.

    Returns:
        float [B, H, W, 3], dark lines on white.
    """
    grey = pictures.mean(dim=-1)[:, None]
    difference = sharpness * (_blurred(grey, sigma) - _blurred(grey, 1.6 * sigma))
    lines = 1 + torch.tanh(2 * (difference + 1 - threshold).clamp_max(0))
    return lines.movedim(1, -1).expand(-1, -1, -1, 3)


def _blurred(x: Tensor, sigma: float) -> Tensor:
    return gaussian_blur2d(x, 2 * max(1, round(3 * sigma)) + 1, (sigma, sigma), "replicate")
