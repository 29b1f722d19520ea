"""Wan 2.1 VACE in miniature: narrow files in the published layout, which the host's stock loaders read.

The host must be importable.
"""

from pathlib import Path

import comfy.ldm.wan.model
import comfy.ldm.wan.vae
import comfy.ops
import torch
from safetensors.torch import save_file

from support.models.random_svd import random_weights

UNET, VAE = "wan2.1_vace_1.3B_fp16.safetensors", "wan_2.1_vae.safetensors"
TEXT_WIDTH = 4096
WIDTH = 128  # one head
VAE_WIDTH = 16


def unet_weights(dtype=torch.float16) -> dict:
    """Two blocks, one of them with a VACE block."""
    model = comfy.ldm.wan.model.VaceWanModel(
        **{"dim": WIDTH, "ffn_dim": 2 * WIDTH, "num_heads": 1, "num_layers": 2, "vace_layers": 1, "vace_in_dim": 96},
        **{"text_dim": TEXT_WIDTH, "device": "meta", "operations": comfy.ops.disable_weight_init},
    )
    return random_weights({key: value.shape for key, value in model.state_dict().items()}, dtype)


def vae_weights(dtype=torch.float32) -> dict:
    with torch.device("meta"):
        vae = comfy.ldm.wan.vae.WanVAE(
            **{"dim": VAE_WIDTH, "z_dim": 16, "dim_mult": [1, 2, 4, 4], "num_res_blocks": 2, "attn_scales": []},
            temperal_downsample=[False, True, True],  # spelt so in the host
        )
    return random_weights({key: value.shape for key, value in vae.state_dict().items()}, dtype)


def write_models(models: Path) -> None:
    """Both files under their published names."""
    for folder, name, weights in (("diffusion_models", UNET, unet_weights()), ("vae", VAE, vae_weights())):
        (models / folder).mkdir(parents=True, exist_ok=True)
        save_file(weights, models / folder / name)
