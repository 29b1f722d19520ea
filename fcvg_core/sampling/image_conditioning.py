"""Key frames as Stable Video Diffusion's conditioning wants them: fitted, blurred for CLIP, noised
(docs/methods/svd.md, Key-frame conditioning)."""

import numpy as np
import torch
from kornia.geometry.transform import resize
from PIL import Image

from ...common.errors import BetwixtError
from ...common.pictures import nearest_size

CLIP_SIZE = 224
SIZE_STEP = 8  # pixels per latent
FIT_MODES = ("crop", "pad", "stretch")


def check_size(width: int, height: int) -> None:
    """Refuse, by a BetwixtError, a side that the latents cannot represent."""
    if width % SIZE_STEP or height % SIZE_STEP:
        near = nearest_size(width, height, SIZE_STEP)
        raise BetwixtError(
            f"The size is {width}x{height}.",
            f"Width and height must be multiples of {SIZE_STEP} (multiples of 64 work best).",
            f"Set 'width' and 'height' to {near[0]} and {near[1]}.",
        )


def fit(picture: np.ndarray, width: int, height: int, mode: str = "crop") -> np.ndarray:
    """A picture of exactly the given size.

    Args:
        picture: uint8 RGB [H, W, 3].
        mode: "crop" cuts the centre to the target's aspect ratio (published), "pad" adds black bars, "stretch"
            changes the aspect ratio.

    Returns:
        uint8 RGB [height, width, 3], resized with Pillow's bicubic filter; the input itself when it fits already.
    """
    source_height, source_width = picture.shape[:2]
    if (source_width, source_height) == (width, height):
        return picture
    if mode == "pad":
        return _padded(picture, width, height)
    image = Image.fromarray(picture)
    if mode == "crop":
        image = image.crop(_centre_box(source_width, source_height, width, height))
    return np.array(image.resize((width, height), Image.Resampling.BICUBIC))


def _centre_box(source_width: int, source_height: int, width: int, height: int) -> tuple[int, int, int, int]:
    if source_width / source_height > width / height:
        kept = max(1, int(source_height * width / height))
        left = (source_width - kept) // 2
        return left, 0, left + kept, source_height
    kept = max(1, int(source_width / (width / height)))
    top = (source_height - kept) // 2
    return 0, top, source_width, top + kept


def _padded(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    scale = min(width / picture.shape[1], height / picture.shape[0])
    inner = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    canvas = Image.new("RGB", (width, height))
    canvas.paste(
        Image.fromarray(picture).resize(inner, Image.Resampling.BICUBIC),
        ((width - inner[0]) // 2, (height - inner[1]) // 2),
    )
    return np.array(canvas)


def clip_picture(picture: torch.Tensor) -> torch.Tensor:
    """The whole picture, blurred against aliasing and squashed to CLIP's square.

    Args:
        picture: float [B, H, W, 3], 0..1.

    Returns:
        float [B, 224, 224, 3]; values may leave 0..1 slightly (bicubic overshoot).
    """
    x = resize(picture.movedim(-1, 1) * 2 - 1, (CLIP_SIZE, CLIP_SIZE), "bicubic", align_corners=True, antialias=True)
    return ((x + 1) / 2).movedim(1, -1)


def with_shared_noise(pictures: torch.Tensor, level: float, seed: int) -> torch.Tensor:
    """Pictures with the same noise added to each.

    Args:
        pictures: float [B, H, W, 3], 0..1.
        level: standard deviation in the published unit, that of pictures in -1..1 (0.02 there is 0.01 here).
        seed: of the noise; drawn on the CPU as [1, 3, H, W], so that it does not depend on the device.
    """
    if level == 0:
        return pictures
    generator = torch.Generator("cpu").manual_seed(seed)
    noise = torch.randn((1, 3, *pictures.shape[1:3]), generator=generator)
    return pictures + noise.movedim(1, -1).to(pictures) * (level / 2)
