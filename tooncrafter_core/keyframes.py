"""Key frames as ToonCrafter wants them: fitted to the canvas and placed in the clip
(docs/methods/tooncrafter.md, The pipeline; Image tokens)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..common.errors import BetwixtError
from ..common.pictures import nearest_size

SIZE_STEP = 64  # pixels: three halvings of latents of an eighth of the size
FIT_MODES = ("published", "crop", "pad", "stretch")
TASKS = ("between two pictures", "loop", "from one picture")
TOKENS_PER_FRAME = 16


def check_size(width: int, height: int) -> None:
    """Refuse, by a BetwixtError, a side that the network's halvings do not divide; offers the nearest."""
    if width % SIZE_STEP or height % SIZE_STEP or min(width, height) < SIZE_STEP:
        near = nearest_size(width, height, SIZE_STEP)
        raise BetwixtError(
            f"The size is {width}x{height}.",
            f"Width and height must be multiples of {SIZE_STEP}.",
            f"Set 'width' and 'height' to {near[0]} and {near[1]}, the nearest.",
        )


def fit(pictures: Tensor, width: int, height: int, mode: str = "published", fill: float = 0.5) -> Tensor:
    """Pictures of exactly the given size, resized bilinearly with antialiasing.

    Args:
        pictures: float [B, H, W, C], 0..1.
        mode: "published" makes the shorter side that of the canvas' shorter side and cuts or, with mid grey, fills the
            rest about the centre; "crop" covers the canvas and cuts; "pad" keeps everything and fills;
            "stretch" changes the aspect ratio.
        fill: value of what is filled, mid grey for pictures.

    Returns:
        float [B, height, width, C].
    """
    source_height, source_width = pictures.shape[1:3]
    if mode == "stretch":
        return _resized(pictures, width, height)
    if mode == "published":  # the longer side is cut to whole pixels, as torchvision does
        shorter, longer = min(width, height), max(source_width, source_height)
        longer = int(shorter * longer / min(source_width, source_height))
        size = (longer, shorter) if source_width >= source_height else (shorter, longer)
    else:
        choose = max if mode == "crop" else min
        scale = choose(width / source_width, height / source_height)
        size = (max(1, round(source_width * scale)), max(1, round(source_height * scale)))
    return _centred(_resized(pictures, *size), width, height, fill)


def fit_each(pictures: Sequence[Tensor], width: int, height: int, mode: str = "published") -> Tensor:
    """:func:`fit` for pictures [H, W, C] of different sizes: float [B, height, width, C]."""
    return torch.cat([fit(picture[None], width, height, mode) for picture in pictures])


def _resized(pictures: Tensor, width: int, height: int) -> Tensor:
    if pictures.shape[1:3] == (height, width):
        return pictures
    x = F.interpolate(pictures.movedim(-1, 1), (height, width), mode="bilinear", antialias=True)
    return x.movedim(1, -1)


def _centred(pictures: Tensor, width: int, height: int, fill: float) -> Tensor:
    """Cut or fill about the centre."""
    right, down = (max(0, want - have) for want, have in ((width, pictures.shape[2]), (height, pictures.shape[1])))
    padding = (0, 0, right // 2, right - right // 2, down // 2, down - down // 2)
    pictures = F.pad(pictures, padding, value=fill)
    top, left = round((pictures.shape[1] - height) / 2), round((pictures.shape[2] - width) / 2)
    return pictures[:, top : top + height, left : left + width]


def key_latents(first: Tensor, last: Tensor, frames: int, task: str) -> Tensor:
    """The latents concatenated to the noisy ones.

    Args:
        first, last: [4, h, w], unscaled.
        frames: T, at least 2.
        task: of :data:`TASKS`. Between two pictures: zero but for the ends; loop: both ends are the first picture;
            from one picture: the first picture in every frame.

    Returns:
        [T, 4, h, w], unscaled.
    """
    if task == "from one picture":
        return first.expand(frames, *first.shape).clone()
    clip = first.new_zeros(frames, *first.shape)
    clip[0], clip[-1] = first, first if task == "loop" else last
    return clip


def frame_tokens(tokens: Tensor, frames: int) -> Tensor:
    """The image tokens each frame attends to.

    Args:
        tokens: [1, n, C]: of the Resampler, 256.
        frames: T. If 16 tokens per frame are there, each frame gets its own, else every frame gets all.

    Returns:
        [T, 16, C] or [T, n, C].
    """
    if tokens.shape[1] == TOKENS_PER_FRAME * frames:
        return tokens[0].unflatten(0, (frames, TOKENS_PER_FRAME))
    return tokens.expand(frames, -1, -1)
