"""Narrow Stable Diffusion 1.5 parts in the host, from the manifest of the rerender goldens or random weights."""

import comfy.cldm.cldm
import comfy.controlnet
import comfy.model_base
import comfy.model_detection
import comfy.model_management as management
import comfy.model_patcher
import comfy.ops
import comfy.sd
import comfy.supported_models
import torch

from support.golden import STORED
from support.models import synthetic_weights

MANIFEST = STORED / "rerender" / "manifest.json.gz"
UNET, CONTROL, VAE = "model.diffusion_model.", "control_model.", "first_stage_model."


NARROW_HEADS = {"num_heads": 8, "num_head_channels": -1}


class NarrowSDXL(comfy.supported_models.SDXL):
    unet_extra_config = NARROW_HEADS


class NarrowSD20(comfy.supported_models.SD20):
    """v-prediction whatever the weights look like."""

    unet_extra_config = NARROW_HEADS

    def model_type(self, state_dict, prefix=""):
        return comfy.model_base.ModelType.V_PREDICTION


def part(weights: dict, prefix: str) -> dict:
    return {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}


def _unet_config(weights: dict, heads: int) -> dict:
    config = comfy.model_detection.detect_unet_config(weights, UNET, None)
    return config | {"num_heads": heads, "num_head_channels": -1}


def model(weights: dict, heads: int = 8, kind=comfy.supported_models.SD15, dtype=torch.float32):
    """MODEL from weights under :data:`UNET`; widths are taken from the shapes."""
    config = kind(_unet_config(weights, heads))
    config.set_inference_dtype(dtype, None)
    network = config.get_model(weights, UNET, device="cpu")
    patcher = comfy.model_patcher.CoreModelPatcher(
        network, load_device=management.get_torch_device(), offload_device=management.unet_offload_device()
    )
    network.load_model_weights(dict(weights), UNET)
    return patcher


def control_net(weights: dict, heads: int = 8, dtype=torch.float32):
    """CONTROL_NET from weights under :data:`CONTROL`; its encoder is built like the UNet's."""
    config = _unet_config(weights, heads)
    config = {key: value for key, value in config.items() if key not in ("out_channels", "transformer_depth_output")}
    network = comfy.cldm.cldm.ControlNet(
        **config, hint_channels=3, device="cpu", dtype=dtype, operations=comfy.ops.disable_weight_init
    )
    network.load_state_dict(part(weights, CONTROL), strict=True)
    return comfy.controlnet.ControlNet(
        network.eval(), load_device=management.get_torch_device(), manual_cast_dtype=None
    )


def vae(weights: dict, dtype=None):
    """VAE from weights under :data:`VAE`, of any width and depth."""
    from betwixt.nodes.host.rerender.unclamped_vae import picture_vae_config

    weights = part(weights, VAE)
    return comfy.sd.VAE(sd=weights, config=picture_vae_config(weights), dtype=dtype)


def weights() -> dict:
    """Synthetic weights of all parts; the VAE's output scaled so that pictures stay near -1..1."""
    values = synthetic_weights.state_dict(synthetic_weights.load_manifest(MANIFEST))
    for name in ("weight", "bias"):
        values[f"{VAE}decoder.conv_out.{name}"] = values[f"{VAE}decoder.conv_out.{name}"] * 0.2
    return values


def text(seed: int = 0, width: int = 64) -> list:
    """CONDITIONING of random text tokens."""
    generator = torch.Generator().manual_seed(seed)
    return [[torch.randn(1, 8, width, generator=generator), {}]]


def pooled(seed: int = 0) -> list:
    """CONDITIONING for SDXL: text tokens and their pooled vector."""
    generator = torch.Generator().manual_seed(seed)
    return [[tokens, {"pooled_output": torch.randn(1, 1280, generator=generator)}] for tokens, _ in text(seed)]


def variant(values: dict, kind: str):
    """MODEL of another family with the same narrow UNet: "SD20" (v-prediction), "SD15 inpainting" or "SDXL"."""
    values = dict(values)
    first = values[f"{UNET}input_blocks.0.0.weight"]
    if kind == "SD15 inpainting":
        values[f"{UNET}input_blocks.0.0.weight"] = torch.cat([first, first, first[:, :1]], dim=1)
        return model(values)
    if kind == "SDXL":
        width = values[f"{UNET}time_embed.2.weight"].shape[0]
        for key, shape in (
            ("0.weight", (width, 2816)),
            ("0.bias", (width,)),
            ("2.weight", (width, width)),
            ("2.bias", (width,)),
        ):
            name = f"{UNET}label_emb.0.{key}"
            values[name] = synthetic_weights.fill(name, shape)
        return model(values, kind=NarrowSDXL)
    return model(values, kind=NarrowSD20)
