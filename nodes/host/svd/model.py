"""Stable Video Diffusion UNets: files in any naming to the host's native MODEL, and telling SVD from other models."""

import os
from dataclasses import dataclass

import comfy.ldm.modules.diffusionmodules.openaimodel
import comfy.model_base
import comfy.model_detection
import comfy.model_management
import comfy.model_patcher
import comfy.ops
import comfy.supported_models
import comfy.utils
import torch

from ....common.errors import BetwixtError
from ....common.files.checkpoints import describe_state_dict, expected_tensors, non_finite_report, unwrap_state_dict
from ....common.files.published_files import FCVG_UNET, SVD_XT
from ....common.memory_model import SVD_FACTOR
from ....fcvg_core.sampling.parameter_names import is_diffusers, to_ldm
from ..services.model_files import read_weights

WEIGHT_DTYPES = {  # the choice shown -> stored precision; None = the host decides
    "default": None,
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
    "fp32": torch.float32,
    "fp8_e4m3fn": torch.float8_e4m3fn,
    "fp8_e4m3fn_fast": torch.float8_e4m3fn,
    "fp8_e5m2": torch.float8_e5m2,
}
CHOICES = f"Choose {FCVG_UNET.described}, or {SVD_XT.described}."


@dataclass(frozen=True)
class SvdUnet:
    """A file's tensors in ldm names, compared with the UNet they belong to.

    Attributes:
        tensors: the tensors that belong to the UNet, ldm names without prefix.
        unknown: the file's names that belong to no SVD UNet.
        naming: "diffusers" or "ldm".
    """

    tensors: dict
    unknown: list[str]
    naming: str

    @classmethod
    def of(cls, state_dict: dict) -> "SvdUnet":
        tensors, unknown = to_ldm(state_dict)
        return cls(tensors, unknown, "diffusers" if is_diffusers(state_dict) else "ldm")

    def config(self):
        """The host's configuration of a complete UNet of any width; None if it is not recognised as SVD."""
        if not any(".time_stack." in key for key in self.tensors):
            return None
        try:
            detected = comfy.model_detection.detect_unet_config(self.tensors, "")
        except (KeyError, IndexError):  # the host's detection takes for granted what a partial file may lack
            return None
        svd = comfy.supported_models.SVD_img2vid
        if detected is None or not svd.matches({**detected, "model_channels": svd.unet_config["model_channels"]}):
            return None
        found = svd(detected)
        found.memory_usage_factor = SVD_FACTOR
        return found


def expected_shapes(config) -> dict[str, torch.Size]:
    """Names and shapes of all parameters of the UNet a configuration describes."""
    unet = comfy.ldm.modules.diffusionmodules.openaimodel.UNetModel(
        **config.unet_config, device="meta", operations=comfy.ops.disable_weight_init
    )
    return {key: value.shape for key, value in expected_tensors(unet).items()}


def model_from(contents: dict, name: str, weight_dtype: str = "default", base=None, disable_dynamic: bool = False):
    """A MODEL from the contents of a weight file.

    Args:
        contents: SVD UNet in diffusers or ldm names, complete or partial; a whole SVD checkpoint.
        name: the file's name, for errors and the report.
        weight_dtype: key of :data:`WEIGHT_DTYPES`.
        base: SVD MODEL whose weights a partial file replaces; not used for a complete file.

    Returns:
        the ModelPatcher, and a report of what the file held.

    Raises:
        BetwixtError: another kind of file, tensors missing without a base, or tensors of another shape.
    """
    state_dict = unwrap_state_dict(contents)
    unet = SvdUnet.of(state_dict)
    config = unet.config()
    if config is not None:
        shapes = expected_shapes(config)
        missing = [key for key in shapes if key not in unet.tensors]
        if not missing:
            return _complete(unet, config, shapes, name, weight_dtype, disable_dynamic)
    elif base is None:
        raise BetwixtError(
            f"'{name}' holds {describe_state_dict(state_dict)}.",
            "A complete Stable Video Diffusion UNet is needed, or a partial one over a MODEL on 'base'.",
            CHOICES,
        )
    if base is None:
        raise BetwixtError(
            f"'{name}' lacks {len(missing)} of the UNet's {len(shapes)} tensors (first: {missing[0]}).",
            "A partial file replaces weights of another SVD model.",
            f"Connect the MODEL of {SVD_XT.name} to 'base', or download the file again.",
        )
    return _partial(unet, name, base)


def _complete(unet: SvdUnet, config, shapes: dict, name: str, weight_dtype: str, disable_dynamic: bool):
    _check_shapes(unet.tensors, shapes, name)
    stored = comfy.utils.weight_dtype(unet.tensors)
    parameters = comfy.utils.calculate_parameters(unet.tensors)
    management, device = comfy.model_management, comfy.model_management.get_torch_device()
    supported = list(config.supported_inference_dtypes)
    target = WEIGHT_DTYPES[weight_dtype] or management.unet_dtype(
        model_params=parameters, supported_dtypes=supported, weight_dtype=stored
    )
    config.set_inference_dtype(target, management.unet_manual_cast(target, device, supported))
    if weight_dtype.endswith("_fast"):
        config.optimizations = {**config.optimizations, "fp8": True}
    network = config.get_model(unet.tensors, "")
    patcher_class = comfy.model_patcher.ModelPatcher if disable_dynamic else comfy.model_patcher.CoreModelPatcher
    model = patcher_class(network, load_device=device, offload_device=management.unet_offload_device())
    # Cast here: with dynamic loading the host would keep the file's float32 tensors, twice the memory.
    tensors = {key: unet.tensors[key].to(target) for key in shapes}
    network.load_model_weights(tensors, "", assign=model.is_dynamic())
    surplus = [key for key in unet.tensors if key not in shapes] + unet.unknown
    report = [
        f"{name}: complete Stable Video Diffusion UNet in {unet.naming} names.",
        f"{len(shapes)} of {len(shapes)} tensors, {parameters / 1e6:.0f} million parameters, stored as "
        f"{_dtype_name(stored)}, loaded as {_dtype_name(target)}.",
        f"Missing: none. Not part of the UNet: {_listed(surplus)}.",
        *non_finite_report(unet.tensors),
    ]
    return model, "\n".join(report)


def _partial(unet: SvdUnet, name: str, base):
    require_svd(base, "base")
    shapes = {
        key.removeprefix("diffusion_model."): value.shape
        for key, value in base.model.state_dict().items()
        if key.startswith("diffusion_model.")
    }
    known = {key: value for key, value in unet.tensors.items() if key in shapes}
    if not known:
        raise BetwixtError(
            f"'{name}' holds {describe_state_dict(unet.tensors)}, nothing of the model on 'base'.",
            "A file with weights of a Stable Video Diffusion UNet is needed.",
            CHOICES,
        )
    _check_shapes(known, shapes, name)
    patched = base.clone()
    # "set" replaces; the reference loads a partial file the same way, tensor by tensor, never adding.
    patches = {f"diffusion_model.{key}": ("set", (value,)) for key, value in known.items()}
    refused = set(patches) - set(patched.add_patches(patches))
    if refused:
        raise RuntimeError(f"The host refused {len(refused)} weights of '{name}': {sorted(refused)[:3]}")
    surplus = [key for key in unet.tensors if key not in shapes] + unet.unknown
    report = [
        f"{name}: partial Stable Video Diffusion UNet in {unet.naming} names over the model on 'base'.",
        f"{len(known)} of {len(shapes)} tensors replaced.",
        f"Kept from the base: {len(shapes) - len(known)}. Not part of the UNet: {_listed(surplus)}.",
        *non_finite_report(known),
    ]
    return patched, "\n".join(report)


def _check_shapes(tensors: dict, shapes: dict, name: str) -> None:
    wrong = [key for key, shape in shapes.items() if key in tensors and tensors[key].shape != shape]
    if wrong:
        raise BetwixtError(
            f"{len(wrong)} tensors of '{name}' have another shape than the UNet's (first: {wrong[0]}, "
            f"{list(tensors[wrong[0]].shape)} instead of {list(shapes[wrong[0]])}).",
            "The file must belong to the same kind of Stable Video Diffusion UNet.",
            CHOICES,
        )


def _dtype_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _listed(keys: list[str]) -> str:
    if not keys:
        return "none"
    examples = ", ".join(keys[:3]) + (", ..." if len(keys) > 3 else "")
    return f"{len(keys)} ({examples})"


def load_model(path: str, weight_dtype: str = "default", base=None):
    """:func:`model_from` for a file."""
    model, report = model_from(read_weights(path), os.path.basename(path), weight_dtype, base)
    if base is None:  # lets the host rebuild the model for another device or without dynamic loading
        model.cached_patcher_init = (_reload, (path, weight_dtype))
    return model, report


def _reload(path: str, weight_dtype: str, disable_dynamic: bool = False):
    return model_from(read_weights(path), os.path.basename(path), weight_dtype, disable_dynamic=disable_dynamic)[0]


def require_svd(model, name: str) -> None:
    """Refuse, by a BetwixtError, all on input ``name`` but SVD UNets that are conditioned on one picture."""
    inner = model.model
    other = (comfy.model_base.SV3D_u, comfy.model_base.SV3D_p)
    if not isinstance(inner, comfy.model_base.SVD_img2vid) or isinstance(inner, other):
        raise BetwixtError(
            f"The model on '{name}' is {type(inner).__name__}.",
            "A Stable Video Diffusion model (SVD, SVD-XT, FCVG) is needed.",
            f"Use 'Load FCVG Model', or 'Image Only Checkpoint Loader' with {SVD_XT.name}.",
        )
