"""Key frames and prompts as the CONDITIONING of ToonCrafter and DynamiCrafter
(docs/methods/tooncrafter.md, The pipeline; Host layout)."""

from dataclasses import dataclass

import torch

from ....common.errors import BetwixtError
from ....tooncrafter_core.dual_reference import References
from ....tooncrafter_core.keyframes import check_size, fit_each, key_latents
from ..conditioning_keys import CLIP_FRAMES, FIT, FS, IMAGE_TOKENS, KEY_LATENTS, MODEL_TAG, PICTURE_SIZE
from .first_stage import FirstStage
from .image_tokens import image_tokens, require_image_encoder, unconditional_image_tokens
from .model import TEXT_TOKENS


@dataclass(frozen=True)
class Keyframes:
    """Both key frames as they come in and what becomes of them.

    Attributes:
        pictures: two of float [H, W, 3], 0..1, each of any size; the second one is the first where there is no other.
        size: (width, height) of the clip.
        fit: how pictures of another shape are fitted, of :data:`.keyframes.FIT_MODES`.
        task: of :data:`.keyframes.TASKS`.
    """

    pictures: tuple[torch.Tensor, torch.Tensor]
    size: tuple[int, int]
    fit: str
    task: str


@dataclass(frozen=True)
class Conditioned:
    """CONDITIONINGs, the empty LATENT of the clip, and the references of the fitted key frames.

    Attributes:
        pictures_only: the negative text with the pictures of ``positive``.
    """

    positive: list
    negative: list
    pictures_only: list
    latent: dict
    references: References


def check_text(conditioning: list, first_stage: FirstStage, name: str) -> bool:
    """Whether all its text is read by the model.

    Raises:
        BetwixtError: the text encoder is another one.
    """
    for tokens, _ in conditioning:
        if tokens.shape[-1] != first_stage.token_width:
            raise BetwixtError(
                f"The text on '{name}' has tokens of {tokens.shape[-1]} values.",
                f"{first_stage.variant.name} needs {first_stage.token_width}, those of Stable Diffusion 2's CLIP.",
                "Encode it with the CLIP of 'Load ToonCrafter', or that of a Stable Diffusion 2.1 checkpoint.",
            )
    return all(tokens.shape[1] <= TEXT_TOKENS for tokens, _ in conditioning)


def condition(
    first_stage: FirstStage,
    clip_vision,
    positive: list,
    negative: list,
    key_frames: Keyframes,
    frames: int,
    fs: int,
    clips: int = 1,
) -> Conditioned:
    """What the sampler and the decoder need.

    Args:
        positive, negative: encoded prompts; the published negative one is empty.
        frames: of the clip.
        fs: the frame-rate number.
        clips: how many the empty latent holds, to be sampled side by side from noise of their own.

    Raises:
        BetwixtError: a size the network cannot take, a wrong text or image encoder.
    """
    width, height = key_frames.size
    check_size(width, height)
    require_image_encoder(clip_vision, first_stage)
    fitted = fit_each(key_frames.pictures, width, height, key_frames.fit)
    latents, references = first_stage.encode(fitted)
    shared = {
        KEY_LATENTS: key_latents(*latents, frames, key_frames.task),
        CLIP_FRAMES: frames,
        FS: fs,
        FIT: key_frames.fit,
        PICTURE_SIZE: tuple(key_frames.pictures[0].shape[:2]),
        MODEL_TAG: first_stage.variant.name,
    }
    tokens = image_tokens(clip_vision, first_stage, key_frames.pictures[0][None])
    grey = unconditional_image_tokens(clip_vision, first_stage)
    filled = [
        [[text[:, :TEXT_TOKENS], {**entry, **shared, IMAGE_TOKENS: image}] for text, entry in prompts]
        for prompts, image in ((positive, tokens), (negative, grey), (negative, tokens))
    ]
    empty = torch.zeros_like(shared[KEY_LATENTS]).repeat(clips, 1, 1, 1)
    latent = {"samples": empty, CLIP_FRAMES: frames, MODEL_TAG: first_stage.variant.name}
    return Conditioned(*filled, latent, references)
