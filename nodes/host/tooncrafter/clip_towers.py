"""The text and image encoder inside ToonCrafter and DynamiCrafter files as the host's CLIP and CLIP_VISION.

Both are OpenCLIP ViT-H-14's towers in OpenCLIP's names (docs/methods/tooncrafter.md, Encoders).
"""

import json
import os

import comfy.clip_vision
import comfy.sd
import comfy.text_encoders.sd2_clip
import comfy.utils
import torch

from ....common.errors import BetwixtError

UNUSED_TEXT = ("logit_scale", "text_projection")  # the projection may be absent; conditioning does not use it
HEADS = 16  # of both published towers


def _layers(state_dict: dict) -> int:
    return 1 + max(int(key.split("resblocks.")[1].split(".")[0]) for key in state_dict if "resblocks." in key)


def _heads(width: int, published_width: int, head_width: int) -> int:
    """Shapes do not show it: the published number, or for narrower towers that of the model's own head width."""
    return HEADS if width == published_width else width // head_width


def _check(missing, what: str, file: str) -> None:
    if missing:
        raise BetwixtError(
            f"{file} lacks {len(missing)} tensors of its {what} (e.g. '{missing[0]}').",
            "An encoder must be complete or left out.",
            "Download the file again.",
        )


def text_encoder(state_dict: dict[str, torch.Tensor], head_width: int, file: str) -> comfy.sd.CLIP:
    """A CLIP from keys without ``cond_stage_model.``; ``state_dict`` is emptied."""
    sd = {key.removeprefix("model."): state_dict.pop(key) for key in list(state_dict)}
    width, layers = sd["ln_final.weight"].shape[0], _layers(sd)
    shape = {
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": _heads(width, 1024, head_width),
        "intermediate_size": sd["transformer.resblocks.0.mlp.c_fc.weight"].shape[0],
        "projection_dim": width,
    }
    parameters = comfy.utils.calculate_parameters(sd)
    sd = comfy.utils.clip_text_transformers_convert(
        {f"_{key}": sd.pop(key) for key in list(sd)}, "_", "clip_h.transformer."
    )

    class Target:
        params = {}
        clip = comfy.text_encoders.sd2_clip.SD2ClipModel
        tokenizer = comfy.text_encoders.sd2_clip.SD2Tokenizer

    clip = comfy.sd.CLIP(Target, parameters=parameters, model_options={"clip_h_model_config": shape})
    missing, _ = clip.load_sd(sd, full_model=True)
    _check([key for key in missing if not any(name in key for name in UNUSED_TEXT)], "text encoder", file)
    return clip


def image_encoder(state_dict: dict[str, torch.Tensor], head_width: int, file: str) -> comfy.clip_vision.ClipVisionModel:
    """A CLIP_VISION from keys without ``embedder.model.visual.``; ``state_dict`` is emptied."""
    folder = os.path.dirname(comfy.clip_vision.__file__)
    with open(os.path.join(folder, "clip_vision_config_h.json"), encoding="utf-8") as config_file:
        config = json.load(config_file)
    width = state_dict["class_embedding"].shape[0]
    config |= {
        "hidden_size": width,
        "num_hidden_layers": _layers(state_dict),
        "num_attention_heads": _heads(width, config["hidden_size"], head_width),
        "intermediate_size": state_dict["transformer.resblocks.0.mlp.c_fc.weight"].shape[0],
        "patch_size": state_dict["conv1.weight"].shape[-1],
        "projection_dim": state_dict["proj"].shape[1],
    }
    sd = {f"visual.{key}": state_dict.pop(key) for key in list(state_dict)}
    sd = comfy.clip_vision.convert_to_transformers(sd, "visual.")
    encoder = comfy.clip_vision.ClipVisionModel(config)
    missing, _ = encoder.load_sd(sd)
    _check(missing, "image encoder", file)
    return encoder
