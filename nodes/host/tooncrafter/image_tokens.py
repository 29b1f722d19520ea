"""CLIP's patch tokens of a picture, preprocessed as the reference does, not the host
(docs/methods/tooncrafter.md, Encoders)."""

import comfy.model_management
import torch

from ....common.errors import BetwixtError
from ....common.files.published_files import CLIP_VISION_H
from ....fcvg_core.sampling.image_conditioning import CLIP_SIZE, clip_picture
from .first_stage import FirstStage

GREY = 0.5  # the unconditional picture is zero in the range -1..1


def require_image_encoder(clip_vision, first_stage: FirstStage) -> None:
    """Refuse, by a BetwixtError, all but the image encoder that the resampler was trained on."""
    remedy = f"Connect the CLIP_VISION of 'Load ToonCrafter', or 'Load CLIP Vision' with {CLIP_VISION_H.described}."
    if clip_vision is None:
        raise BetwixtError("'clip_vision' is empty: the file holds no image encoder.", "One is needed.", remedy)
    width = clip_vision.config.get("hidden_size")
    if width != first_stage.image_width or clip_vision.image_size != CLIP_SIZE:
        raise BetwixtError(
            f"The image encoder on 'clip_vision' gives tokens of {width} values at {clip_vision.image_size} pixels.",
            f"The model was trained with {first_stage.image_width} values at {CLIP_SIZE} pixels.",
            remedy,
        )


def clip_pixels(clip_vision, pictures: torch.Tensor) -> torch.Tensor:
    """Normalised pixels [B, 3, 224, 224] of pictures [B, H, W, 3], 0..1: squashed, not cropped, not rounded."""
    mean, std = (torch.tensor(value).view(3, 1, 1) for value in (clip_vision.image_mean, clip_vision.image_std))
    return (clip_picture(pictures).movedim(-1, 1) - mean) / std


def vision_tokens(clip_vision, pictures: torch.Tensor) -> torch.Tensor:
    """All tokens after the last block, class first, [B, 257, width]."""
    comfy.model_management.load_models_gpu([clip_vision.patcher])
    pixels = clip_pixels(clip_vision, pictures).to(clip_vision.load_device)
    return clip_vision.model(pixel_values=pixels, intermediate_output=-2)[0].float()


def image_tokens(clip_vision, first_stage: FirstStage, pictures: torch.Tensor) -> torch.Tensor:
    """What the UNet attends to for pictures [B, H, W, 3], 0..1: [B, 256, width]."""
    return first_stage.image_tokens(vision_tokens(clip_vision, pictures))


def unconditional_image_tokens(clip_vision, first_stage: FirstStage) -> torch.Tensor:
    """The same for the unconditional picture, mid grey; computed once for each model."""
    cached = first_stage.unconditional
    if cached is None or cached[0] is not clip_vision:
        grey = torch.full((1, CLIP_SIZE, CLIP_SIZE, 3), GREY)
        cached = first_stage.unconditional = (clip_vision, image_tokens(clip_vision, first_stage, grey))
    return cached[1]
