"""ToonCrafter's sketch encoder as the host's ControlNet with one hint channel
(docs/methods/tooncrafter.md, Sketch guidance)."""

import os

import comfy.cldm.cldm
import comfy.controlnet
import comfy.model_detection
import comfy.model_management
import comfy.ops
import comfy.utils
import torch

from ....common.errors import BetwixtError
from ....common.files.checkpoints import load_strict, unwrap_state_dict, wrong_weights
from ....common.files.published_files import SKETCH_ENCODER
from ..conditioning_keys import IMAGE_TOKENS
from ..services.model_files import read_weights

WANTED, REMEDY = "a ControlNet", f"Choose {SKETCH_ENCODER.described}."
HINT = "input_hint_block.0.weight"
PRECISIONS = [torch.float16, torch.bfloat16, torch.float32]


def _one_channel(hint: torch.Tensor) -> torch.Tensor:
    """What the host's own 'Apply ControlNet' sets has three."""
    return hint.mean(dim=1, keepdim=True)


def sketch_network(state_dict: dict, dtype, cast) -> comfy.cldm.cldm.ControlNet:
    """The host's ControlNet of the shape of a state dict, on the meta device."""
    config = comfy.model_detection.detect_unet_config(state_dict, "")
    config.pop("out_channels", None)
    # Shapes do not show the width of a head: 64 as published, less in networks too narrow for it.
    config |= {"num_heads": -1, "num_head_channels": min(64, config["model_channels"] // 2)}
    config["hint_channels"] = state_dict[HINT].shape[1]
    config |= {"operations": comfy.ops.pick_operations(dtype, cast), "dtype": dtype, "device": "meta"}
    return comfy.cldm.cldm.ControlNet(**config)


def load_sketch_encoder(path: str) -> comfy.controlnet.ControlNet:
    """A CONTROL_NET of the published sketch encoder or its fp16 repackaging.

    Raises:
        BetwixtError: another kind of file, a ControlNet for coloured hints, or not all of it.
    """
    file = f"'{os.path.basename(path)}'"
    state_dict = unwrap_state_dict(read_weights(path, mapped=True))
    state_dict = {key.removeprefix("control_model."): value for key, value in state_dict.items()}
    if HINT not in state_dict:
        raise wrong_weights(state_dict, "a sketch encoder", REMEDY, file)
    if state_dict[HINT].shape[1] != 1:
        raise BetwixtError(
            f"{file} is a ControlNet for hints of {state_dict[HINT].shape[1]} channels.",
            "The sketch encoder takes hints of one channel.",
            f"{REMEDY} Other Stable Diffusion 2.1 ControlNets work with the host's 'Apply ControlNet'.",
        )
    management, device = comfy.model_management, comfy.model_management.get_torch_device()
    dtype = management.unet_dtype(
        model_params=-1, supported_dtypes=PRECISIONS, weight_dtype=comfy.utils.weight_dtype(state_dict)
    )
    cast = management.unet_manual_cast(dtype, device, PRECISIONS)
    network = sketch_network(state_dict, dtype, cast)
    tensors = {key: state_dict.pop(key).to(dtype) for key in list(state_dict)}
    load_strict(network, tensors, WANTED, REMEDY, file, assign=True)
    return comfy.controlnet.ControlNet(
        network.eval().requires_grad_(False),
        load_device=device,
        manual_cast_dtype=cast,
        preprocess_image=_one_channel,
    )


def require_sketch_encoder(control_net) -> None:
    """Refuse, by a BetwixtError, another kind of ControlNet."""
    network = getattr(control_net, "control_model", None)
    hint = None if network is None or not hasattr(network, "input_hint_block") else network.state_dict().get(HINT)
    if hint is None or hint.shape[1] != 1:
        raise BetwixtError(
            f"The ControlNet takes {'coloured' if hint is not None else 'other'} hints.",
            "ToonCrafter's sketch encoder is needed, which takes line drawings of one channel.",
            "Connect 'Load Sketch Encoder', or use the host's 'Apply ControlNet' for this one.",
        )


def with_sketches(conditioning: list, control_net, hints: torch.Tensor, strength, percents, with_image_tokens: bool):
    """A copy of ``conditioning`` under sketch guidance.

    Args:
        hints: [T, 1, H, W], white lines on black.
        percents: (start, end) of the sampling it acts in, 0..1.
        with_image_tokens: let the encoder attend to text and image tokens instead of text alone.
    """
    guided = []
    for tokens, entry in conditioning:
        control = control_net.copy().set_cond_hint(hints, strength, percents)
        control.set_previous_controlnet(entry.get("control"))
        entry = {**entry, "control": control, "control_apply_to_uncond": False}
        if with_image_tokens:
            image = entry[IMAGE_TOKENS].to(tokens)
            entry["cross_attn_controlnet"] = torch.cat([tokens[:, :77], image.expand(tokens.shape[0], -1, -1)], dim=1)
        guided.append([tokens, entry])
    return guided
