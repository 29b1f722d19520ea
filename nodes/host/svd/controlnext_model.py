"""ControlNeXt files to patchers."""

import comfy.model_management
import comfy.model_patcher
import comfy.ops
import comfy.utils

from ....common.files.checkpoints import load_strict, unwrap_state_dict, wrong_weights
from ....common.files.published_files import FCVG_CONTROLNEXT
from ....fcvg_core.sampling.controlnext import ControlNeXt, ControlNeXtConfig

WANTED = "a ControlNeXt encoder"
REMEDY = f"Choose {FCVG_CONTROLNEXT.described}, or the encoder of ControlNeXt-SVD v2."


def controlnext_from(contents: dict):
    """The encoder of a weight file's contents, behind the host's memory manager.

    Weights keep the file's precision and are cast to that of the pictures at use.

    Raises:
        BetwixtError: the file holds something else, or not all of it.
    """
    state_dict = unwrap_state_dict(contents)
    try:
        config = ControlNeXtConfig.of(state_dict)
    except (KeyError, IndexError) as error:
        raise wrong_weights(state_dict, WANTED, REMEDY) from error
    dtype = comfy.utils.weight_dtype(state_dict)
    network = ControlNeXt(config, operations=comfy.ops.manual_cast, dtype=dtype)
    load_strict(network, state_dict, WANTED, REMEDY)
    return comfy.model_patcher.CoreModelPatcher(
        network.eval().requires_grad_(False),
        load_device=comfy.model_management.get_torch_device(),
        offload_device=comfy.model_management.unet_offload_device(),
    )
