"""ControlNeXt files to patchers."""

import comfy.model_management
import comfy.model_patcher
import comfy.ops
import comfy.utils
import torch

from ...common.errors import BetwixtError
from ...common.weight_files import describe_weights
from ...fcvg_core.controlnext import ControlNeXt, ControlNeXtConfig

PUBLISHED = "FCVG's README (controlnext.safetensors, 14.1 MB) or ControlNeXt-SVD v2 (controlnet.safetensors)"


def controlnext_from(state_dict: dict, name: str):
    """The encoder of a file's contents behind the host's memory manager.

    Weights keep the file's precision and are cast to that of the pictures at use.

    Args:
        name: the file's name, for errors.

    Raises:
        BetwixtError: the file holds something else, or not all of it.
    """
    if "mid_convs.1.weight" not in state_dict:
        raise BetwixtError(
            f"'{name}' looks like {describe_weights(state_dict)}.",
            "A ControlNeXt condition encoder is needed.",
            f"Choose the file from {PUBLISHED}.",
        )
    try:
        config = ControlNeXtConfig.of(state_dict)
        with torch.device("meta"):
            expected = ControlNeXt(config).state_dict()
    except (KeyError, IndexError, ValueError) as error:
        raise BetwixtError(
            f"'{name}' is not a complete ControlNeXt encoder ({error}).",
            "All tensors of the published encoder are needed.",
            f"Download it again from {PUBLISHED}.",
        ) from error
    wrong = [key for key in expected if key not in state_dict or state_dict[key].shape != expected[key].shape]
    surplus = [key for key in state_dict if key not in expected]
    if wrong or surplus:
        raise BetwixtError(
            f"'{name}' is not a complete ControlNeXt encoder: {len(wrong)} of {len(expected)} tensors are missing or "
            f"of another shape (first: {wrong[:1]}), {len(surplus)} are unknown (first: {surplus[:1]}).",
            "All tensors of the published encoder and no others are needed.",
            f"Download it again from {PUBLISHED}.",
        )
    network = ControlNeXt(config, operations=comfy.ops.manual_cast, dtype=comfy.utils.weight_dtype(state_dict))
    network.load_state_dict(state_dict)
    return comfy.model_patcher.CoreModelPatcher(
        network.eval().requires_grad_(False),
        load_device=comfy.model_management.get_torch_device(),
        offload_device=comfy.model_management.unet_offload_device(),
    )
