"""ToonCrafter and DynamiCrafter files to MODEL, first stage, CLIP and CLIP_VISION."""

import os
from dataclasses import dataclass

from ....common.errors import BetwixtError
from ....common.files.checkpoints import non_finite_report, unwrap_state_dict
from ....common.files.published_files import CLIP_VISION_H
from ....tooncrafter_core.checkpoint import PUBLISHED, Variant, detect_variant, take_apart
from ....tooncrafter_core.unet_config import INIT_ATTENTION_HEADS
from ..services.model_files import read_weights
from .clip_towers import image_encoder, text_encoder
from .first_stage import FirstStage
from .model import build_model

INITIAL_QUERY = "init_attn.0.transformer_blocks.0.attn1.to_q.weight"


@dataclass(frozen=True)
class LoadedCheckpoint:
    """What a file held; ``clip`` and ``clip_vision`` are None where a pruned file lacks them."""

    model: object
    first_stage: FirstStage
    clip: object | None
    clip_vision: object | None
    variant: Variant
    report: str


def load_checkpoint(
    path: str, weight_dtype: str = "default", between_pictures: bool = True, disable_dynamic: bool = False
) -> LoadedCheckpoint:
    """Everything in a published file, its fp16 or its pruned repackaging.

    Args:
        weight_dtype: of the UNet, key of :data:`..svd.model.WEIGHT_DTYPES`.
        between_pictures: which of the two DynamiCrafter 512 the file is; they look alike.

    Raises:
        BetwixtError: another kind of file, or not all of it.
    """
    file = f"'{os.path.basename(path)}'"
    state_dict = unwrap_state_dict(read_weights(path, mapped=True))
    variant = detect_variant(state_dict, file, between_pictures)
    parts = take_apart(state_dict)
    if not parts.first_stage or not parts.resampler:
        lacking = "resampler" if parts.first_stage else "first stage"
        raise BetwixtError(
            f"{file} holds the UNet of {variant.name} without its {lacking}.",
            "UNet, first stage and resampler come from one file.",
            f"Choose {PUBLISHED}; the pruned repackagings lack only the text and image encoder.",
        )
    report = [f"{file}: {variant.described}."]
    report += [_counted(name, tensors) for name, tensors in _named(parts) if tensors]
    report += non_finite_report(
        {f"{part} {key}": value for part, group in _named(parts) for key, value in group.items()}
    )
    absent = [text for tensors, text in ((parts.text, NO_TEXT), (parts.vision, NO_VISION)) if not tensors]
    head_width = parts.unet[INITIAL_QUERY].shape[0] // INIT_ATTENTION_HEADS
    model = build_model(parts.unet, variant.schedule, file, weight_dtype, disable_dynamic)
    model.model.variant = variant
    if not disable_dynamic:  # lets the host rebuild the model for another device or without dynamic loading
        model.cached_patcher_init = (_reload, (path, weight_dtype, between_pictures))
    first_stage = FirstStage(variant, parts.first_stage, parts.resampler, head_width, file)
    clip = text_encoder(parts.text, head_width, file) if parts.text else None
    vision = image_encoder(parts.vision, head_width, file) if parts.vision else None
    stored = str(model.model.diffusion_model.dtype).removeprefix("torch.")
    report += [f"UNet loaded as {stored}.", *absent]
    unknown = parts.unknown
    if unknown:
        report.append(
            f"Not used: {len(unknown)} tensors ({', '.join(unknown[:3])}{', ...' if len(unknown) > 3 else ''})."
        )
    return LoadedCheckpoint(model, first_stage, clip, vision, variant, "\n".join(report))


NO_TEXT = (
    "No text encoder inside: use the CLIP of any Stable Diffusion 2.1 checkpoint ('Load Checkpoint', 'Load CLIP')."
)
NO_VISION = f"No image encoder inside: connect 'Load CLIP Vision' with {CLIP_VISION_H.described}."


def _named(parts) -> tuple[tuple[str, dict], ...]:
    return (
        ("UNet", parts.unet),
        ("First stage", parts.first_stage),
        ("Resampler", parts.resampler),
        ("Text encoder", parts.text),
        ("Image encoder", parts.vision),
    )


def _counted(name: str, tensors: dict) -> str:
    values = sum(tensor.numel() for tensor in tensors.values())
    return f"{name}: {len(tensors)} tensors, {values / 1e6:.1f} million values."


def _reload(path: str, weight_dtype: str, between_pictures: bool, disable_dynamic: bool = False):
    return load_checkpoint(path, weight_dtype, between_pictures, disable_dynamic).model
