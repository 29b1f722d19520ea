"""The part of a conditioning that belongs to one frame: its ControlNet hint, its inpainting picture, its masks."""

import torch

from ....common.errors import BetwixtError
from ..conditioning_keys import CONCAT_LATENT

PICTURES = {CONCAT_LATENT: "inpainting input"}  # the host's keys: one per frame
MASKS = {"concat_mask": "inpainting mask", "mask": "region"}  # one per frame, or one for all


def check_conditioning(conditioning: list, frames: int, name: str) -> None:
    """Refuse, by a BetwixtError, hints, inpainting pictures and masks for another number of frames."""
    for _, options in conditioning:
        control = options.get("control")
        while control is not None:
            if isinstance(control.cond_hint_original, torch.Tensor):
                _check_count(control.cond_hint_original.shape[0], frames, f"A ControlNet hint of '{name}'")
            control = control.previous_controlnet
        for key, what in (PICTURES | MASKS).items():
            held = options.get(key)
            if isinstance(held, torch.Tensor) and not (key in MASKS and held.shape[0] == 1):
                _check_count(held.shape[0], frames, f"The {what} of '{name}'")


def check_text(conditioning: list, model, name: str) -> None:
    """Refuse, by a BetwixtError, what another model's text encoder made.

    Args:
        model: the value of a MODEL wire, with cross-attention to texts.
    """
    width = model.model.model_config.unet_config["context_dim"]
    for tokens, _ in conditioning:
        if tokens.ndim != 3 or tokens.shape[-1] != width:
            raise BetwixtError(
                f"The text on '{name}' has the shape {list(tokens.shape)}.",
                f"This model reads [1, tokens, {width}].",
                "Encode it with the CLIP of the same checkpoint.",
            )


def _check_count(count: int, frames: int, what: str) -> None:
    if count != frames:
        raise BetwixtError(
            f"{what} has {count} pictures for {frames} key frames.",
            "One picture per key frame is needed.",
            "Make the hints from 'key_frames' of 'Select Key Frames' (for the same hint in every frame use "
            "'Repeat Image Batch').",
        )


def of_frame(conditioning: list, frame: int, controls: dict) -> list:
    """A copy of a conditioning with the hints and inpainting inputs of one frame.

    Args:
        controls: ControlNets already copied for this frame; shared by both conditionings, so that the host can still
            evaluate them in one batch.
    """
    result = []
    for embedding, options in conditioning:
        options = dict(options)
        if options.get("control") is not None:
            options["control"] = _control_of_frame(options["control"], frame, controls)
        for key in PICTURES | MASKS:
            if isinstance(options.get(key), torch.Tensor) and options[key].shape[0] > 1:
                options[key] = options[key][frame : frame + 1]
        result.append([embedding, options])
    return result


def _control_of_frame(control, frame: int, controls: dict):
    """The chain of ControlNets with the hints of one frame."""
    if control is None:
        return None
    if control not in controls:
        copied = control.copy()
        if isinstance(control.cond_hint_original, torch.Tensor):
            copied.cond_hint_original = control.cond_hint_original[frame : frame + 1]
        copied.extra_concat_orig = [
            extra[frame : frame + 1] if extra.shape[0] > 1 else extra for extra in control.extra_concat_orig
        ]
        controls[control] = copied.set_previous_controlnet(
            _control_of_frame(control.previous_controlnet, frame, controls)
        )
    return controls[control]
