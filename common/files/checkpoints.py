"""State dicts: taking them out of checkpoints, telling what they belong to, loading them strictly."""

import logging
import re
from collections.abc import Mapping

import torch

from ..errors import BetwixtError
from ..finite import all_finite

logger = logging.getLogger(__name__)

# Names under which training frameworks nest the weights.
LEVELS = ("state_dict", "model_state_dict", "model", "module", "params_ema", "params")

# What a state dict is, by pieces of parameter names that must all occur; the first row that fits counts. "^" and "$"
# stand for the beginning and the end of a name. The rows run from the special to the general.
KINDS = (
    ("a LoRA", (".lora_down.",)),
    ("a LoRA", (".lora_A.",)),
    ("a LoRA", (".lora.down.",)),
    ("a LyCORIS adapter", (".hada_w1_a",)),
    ("a GlueStick line matcher", ("kenc.encoder.0.weight$", "lenc.encoder.0.weight$", "gnn.line_layers.0.")),
    ("a SuperGlue point matcher", ("kenc.encoder.0.weight$", "gnn.layers.0.")),
    ("a LightGlue point matcher", ("posenc.Wr.weight$", "log_assignment.0.")),
    ("a LightGlue point matcher", ("posenc.Wr.weight$", "transformers.0.")),
    ("SuperPoint", ("conv1a.weight$", "convPb.weight$", "convDb.weight$")),
    ("SuperPoint in the layout of the transformers library", ("keypoint_decoder.conv_score_a.", "descriptor_decoder.")),
    ("SuperPoint-Open, which has other descriptors", ("backbone.0.0.conv.weight$", "detector.0.conv.", "descriptor.")),
    ("a LoFTR point matcher", ("loftr_coarse.",)),
    ("GMFlow", ("feature_flow_attn.",)),
    ("RAFT", ("feature_encoder.convnormrelu", "update_block.")),
    ("RAFT", ("fnet.conv1.", "update_block.")),
    ("a RIFE frame interpolator", ("block0.conv0.0.0.",)),
    ("a FILM frame interpolator", ("extract.extract_sublevels.",)),
    ("a ControlNeXt encoder", ("^down_res.0.", "^mid_convs.0.")),
    ("a ToonCrafter checkpoint", ("init_attn.0.norm.weight$", "first_stage_model.decoder.mid.block_1.time_stack.")),
    ("a DynamiCrafter checkpoint", ("init_attn.0.norm.weight$",)),
    ("a DynamiCrafter or ToonCrafter UNet", ("temopral_conv.",)),  # spelt so in the files
    ("an AnimateDiff motion module", ("motion_modules.0.",)),
    ("a Stable Video Diffusion checkpoint", ("model.diffusion_model.input_blocks.", ".time_stack.")),
    ("a Stable Video Diffusion UNet in ComfyUI's layout", ("^input_blocks.", ".time_stack.")),
    ("a Stable Video Diffusion UNet in diffusers layout", (".temporal_transformer_blocks.", "up_blocks.0.")),
    ("a ControlNet for video", ("controlnet_down_blocks.0.", ".temporal_transformer_blocks.")),
    ("a ControlNet in diffusers layout", ("controlnet_down_blocks.0.", "controlnet_cond_embedding.")),
    ("a T2I adapter", ("adapter.body.0.",)),
    ("an IP-Adapter", ("ip_adapter.", "image_proj.")),
    ("an SDXL checkpoint", ("model.diffusion_model.input_blocks.", "conditioner.embedders.1.")),
    ("a Stable Diffusion 2 checkpoint", ("model.diffusion_model.input_blocks.", "cond_stage_model.model.")),
    ("a Stable Diffusion 1.5 checkpoint", ("model.diffusion_model.input_blocks.", "cond_stage_model.transformer.")),
    ("a Stable Diffusion checkpoint without text encoder", ("model.diffusion_model.input_blocks.",)),
    ("a ControlNet", ("input_hint_block.0.", "zero_convs.0.")),
    ("a Stable Diffusion UNet", ("^input_blocks.0.0.", "^output_blocks.0.")),
    ("a Stable Diffusion UNet in diffusers layout", ("down_blocks.0.", "up_blocks.0.", "time_embedding.linear_1.")),
    ("a Flux diffusion model", ("double_blocks.0.", "single_blocks.0.")),
    ("a Stable Diffusion 3 diffusion model", ("joint_blocks.0.",)),
    ("a Wan video model", ("blocks.0.cross_attn.", "patch_embedding.")),
    ("a diffusion model of another family", ("model.diffusion_model.",)),
    ("a video VAE", ("decoder.", ".time_stack.")),
    ("a video VAE in diffusers layout", ("decoder.", "temporal_res_block.")),
    ("a VAE", ("decoder.up.0.block.0.", "decoder.conv_in.")),
    ("a VAE in diffusers layout", ("decoder.up_blocks.0.resnets.0.", "decoder.conv_in.")),
    ("a CLIP model, text and vision", ("text_model.encoder.", "vision_model.encoder.")),
    ("a CLIP vision model", ("vision_model.encoder.layers.0.",)),
    ("a CLIP vision model", ("visual.transformer.resblocks.0.",)),
    ("a CLIP text encoder", ("text_model.encoder.layers.0.",)),
    ("a CLIP text encoder", ("embeddings.token_embedding.", "encoder.layers.0.self_attn.")),
    ("a T5 text encoder", ("encoder.block.0.layer.0.SelfAttention.",)),
    ("an ESRGAN upscaler", ("body.0.rdb1.",)),
    ("an ESRGAN upscaler", ("model.1.sub.0.",)),
)


def unwrap_state_dict(contents: Mapping) -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint file by name, without what training frameworks put around them.

    Takes the innermost of the nested :data:`LEVELS`, or the only entry where that is a mapping, leaves out everything
    that is not a tensor there, and removes ``module.``, which data-parallel training inserts anywhere in a name.
    """
    while level := next(
        (contents[name] for name in _levels(contents) if isinstance(contents.get(name), Mapping)), None
    ):
        contents = level
    return {
        re.sub(r"(^|\.)module\.", r"\1", name): value
        for name, value in contents.items()
        if isinstance(name, str) and isinstance(value, torch.Tensor)
    }


def _levels(contents: Mapping) -> tuple:
    return tuple(contents) if len(contents) == 1 else LEVELS


def describe_state_dict(names) -> str:
    """What a state dict belongs to, in words that continue "The file holds ...".

    Args:
        names: parameter names, e.g. the state dict itself.
    """
    names = list(names)
    if not names:
        return "no tensors"
    text = "".join(f"^{name}$" for name in names)
    for kind, pieces in KINDS:
        if all(piece in text for piece in pieces):
            return kind
    return f"{len(names)} tensors of an unknown kind ('{names[0]}', ...)"


def expected_tensors(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """What a network's state dict will hold once it is loaded, by name; only shapes and types count.

    ComfyUI's dynamic memory makes linear layers without weights, which come into being when they are loaded.
    """
    expected = dict(network.state_dict())
    for name, layer in network.named_modules():
        if isinstance(layer, torch.nn.Linear) and layer.weight is None:
            prefix, dtype = f"{name}." if name else "", getattr(layer, "weight_comfy_model_dtype", None)
            shape = layer.out_features, layer.in_features
            expected[f"{prefix}weight"] = torch.empty(shape, dtype=dtype, device="meta")
            if getattr(layer, "comfy_need_lazy_init_bias", False):
                expected[f"{prefix}bias"] = torch.empty(shape[:1], dtype=dtype, device="meta")
    return expected


def load_strict(
    network: torch.nn.Module,
    state_dict: Mapping[str, torch.Tensor],
    wanted: str,
    remedy: str,
    file: str = "The file",
    assign: bool = False,
) -> None:
    """Copy a state dict into a network if names and shapes agree completely.

    Weights that are not finite are named in the log.

    Args:
        wanted: what the network is, in the words of :data:`KINDS`.
        remedy: what to choose instead.
        file: what to call the file in the error, e.g. its quoted name.
        assign: take the tensors themselves instead of copying them; needed for a network on the meta device.

    Raises:
        BetwixtError: something is missing, left over or of another shape; says what the weights are instead.
    """
    expected, there = expected_tensors(network), network.state_dict()
    # Counters of batch norm are not used for inference and are lost in some conversions; torch fills them in.
    missing = [name for name in expected if name not in state_dict and not name.endswith("num_batches_tracked")]
    surplus = [name for name in state_dict if name not in expected]
    differing = [name for name in expected if name in state_dict and state_dict[name].shape != expected[name].shape]
    if missing or surplus or differing:
        report = _report(expected, state_dict, missing, surplus, differing)
        raise wrong_weights(state_dict, wanted, remedy, file, report)
    for line in non_finite_report({name: state_dict[name] for name in expected if name in state_dict}):
        logger.warning("Betwixt: %s, %s: %s", file, wanted, line)
    # A layer that comes into being now takes the file's precision: give it the network's.
    network.load_state_dict(
        {
            name: value if name in there or name not in expected else value.to(expected[name].dtype)
            for name, value in state_dict.items()
        },
        assign=assign,
    )


def non_finite_report(state_dict: Mapping[str, torch.Tensor]) -> list[str]:
    """A line for a report that names the tensors with NaN or infinite values; empty where all are finite."""
    names = [name for name, tensor in state_dict.items() if not all_finite(tensor)]
    if not names:
        return []
    listed = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return [f"NaN or infinite values in {len(names)} tensors ({listed}): results will be useless; get the file again."]


def wrong_weights(
    state_dict: Mapping, wanted: str, remedy: str, file: str = "The file", report: str = "tensors are missing"
) -> BetwixtError:
    """The error for weights that are not ``wanted``, or not completely so; arguments as for :func:`load_strict`."""
    kind = describe_state_dict(state_dict)
    if kind == wanted:
        return BetwixtError(
            f"{file} holds {wanted}, but not as it was published: {report}.",
            "All tensors must be there in their published shapes.",
            remedy,
        )
    return BetwixtError(f"{file} holds {kind}.", f"{wanted[0].upper()}{wanted[1:]} is needed here.", remedy)


def _report(expected, state_dict, missing, surplus, differing) -> str:
    """The three kinds of disagreement with counts and an example of each."""
    parts = []
    if missing:
        parts.append(f"{len(missing)} of {len(expected)} tensors are missing (e.g. '{missing[0]}')")
    if differing:
        name = differing[0]
        parts.append(
            f"{len(differing)} have another shape (e.g. '{name}': {list(state_dict[name].shape)} instead of "
            f"{list(expected[name].shape)})"
        )
    if surplus:
        parts.append(f"{len(surplus)} are unknown (e.g. '{surplus[0]}')")
    return "; ".join(parts)
