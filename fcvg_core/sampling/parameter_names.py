"""Names of Stable Video Diffusion's UNet parameters: diffusers' to the original (ldm) ones
(docs/methods/svd.md, Parameter names).

No tensor is reshaped or transposed; only the names differ.
"""

import re

_TOP_LEVEL = {
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
}
_RES_LAYERS = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_RES_PARTS = {"spatial_res_block.": "", "temporal_res_block.": "time_stack."}
_ATTENTION_PARTS = {
    "temporal_transformer_blocks.": "time_stack.",
    "time_pos_embed.linear_1.": "time_pos_embed.0.",
    "time_pos_embed.linear_2.": "time_pos_embed.2.",
}
_BLOCK = re.compile(
    r"(?:(?P<side>down|up)_blocks\.(?P<block>\d+)|mid_block)\."
    r"(?P<kind>resnets|attentions|downsamplers|upsamplers)\.(?P<layer>\d+)\.(?P<rest>.+)"
)
_DIFFUSERS_ONLY = ("spatial_res_block.", "temporal_res_block.", "temporal_transformer_blocks.")
LDM_PREFIX = "model.diffusion_model."


def diffusers_to_ldm(key: str) -> str | None:
    """The ldm name of a parameter of diffusers' ``UNetSpatioTemporalConditionModel``; None if it is none of its."""
    module, _, leaf = key.rpartition(".")
    if module in _TOP_LEVEL:
        return f"{_TOP_LEVEL[module]}.{leaf}"
    match = _BLOCK.fullmatch(key)
    if match is None:
        return None
    kind, layer, rest = match["kind"], int(match["layer"]), match["rest"]
    if kind.endswith("samplers"):
        return _sampler(match["side"], match["block"], kind, rest)
    inner = _res_parameter(rest) if kind == "resnets" else _attention_parameter(rest)
    if inner is None:
        return None
    position = 0 if kind == "resnets" else 1
    if match["side"] is None:  # the middle block runs resnet 0, attention 0, resnet 1
        return f"middle_block.{2 * layer + position}.{inner}"
    block = int(match["block"])
    stage = f"input_blocks.{1 + 3 * block + layer}" if match["side"] == "down" else f"output_blocks.{3 * block + layer}"
    return f"{stage}.{position}.{inner}"


def _sampler(side: str | None, block: str | None, kind: str, rest: str) -> str | None:
    known = (side, kind) in (("down", "downsamplers"), ("up", "upsamplers"))
    if not known or block is None or not rest.startswith("conv."):
        return None
    leaf, number = rest.removeprefix("conv."), int(block)
    if side == "down":
        return f"input_blocks.{3 * number + 3}.0.op.{leaf}"
    return f"output_blocks.{3 * number + 2}.{1 if number == 0 else 2}.conv.{leaf}"  # level 0 has no attention before it


def _res_parameter(rest: str) -> str | None:
    if rest == "time_mixer.mix_factor":
        return rest
    for part, prefix in _RES_PARTS.items():
        if rest.startswith(part):
            layer, _, leaf = rest.removeprefix(part).rpartition(".")
            return f"{prefix}{_RES_LAYERS[layer]}.{leaf}" if layer in _RES_LAYERS else None
    return None


def _attention_parameter(rest: str) -> str:
    for part, replacement in _ATTENTION_PARTS.items():
        if rest.startswith(part):
            return replacement + rest.removeprefix(part)
    return rest


def is_diffusers(state_dict: dict) -> bool:
    """Whether any name is one that only diffusers' SVD UNet has; a partial file need not hold a particular one."""
    return any(mark in key for key in state_dict for mark in _DIFFUSERS_ONLY)


def to_ldm(state_dict: dict) -> tuple[dict, list[str]]:
    """A state dict with ldm names, without ``model.diffusion_model.``, from either naming.

    Returns:
        the renamed state dict (same tensors), and the keys left out because they belong to no SVD UNet: of a whole
        checkpoint, everything outside the UNet.
    """
    if is_diffusers(state_dict):
        names = {key: diffusers_to_ldm(key) for key in state_dict}
    elif any(key.startswith(LDM_PREFIX) for key in state_dict):
        names = {key: key.removeprefix(LDM_PREFIX) if key.startswith(LDM_PREFIX) else None for key in state_dict}
    else:
        names = {key: key for key in state_dict}
    renamed = {name: state_dict[key] for key, name in names.items() if name is not None}
    return renamed, [key for key, name in names.items() if name is None]
