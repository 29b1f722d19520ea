"""LTX-Video in miniature: one narrow checkpoint in the published layout, which the host's stock loader reads.

The host must be importable.
"""

import json
from pathlib import Path

import comfy.ldm.lightricks.model
import comfy.ldm.lightricks.vae.causal_video_autoencoder
import comfy.ops
import comfy.sd
import torch
from safetensors.torch import save_file

from support.models.random_svd import random_weights

CHECKPOINT = "ltx-video-2b-v0.9.5.safetensors"
LATENT_CHANNELS = 128
TRANSFORMER = {"num_layers": 2, "num_attention_heads": 2, "attention_head_dim": 64, "cross_attention_dim": 128}
VAE = {
    "dims": 3,
    "in_channels": 3,
    "out_channels": 3,
    "latent_channels": LATENT_CHANNELS,
    "encoder_base_channels": 16,
    "decoder_base_channels": 16,
    "encoder_blocks": [["compress_all", {}], ["res_x_y", 1], ["compress_all", {}], ["compress_all", {}]],
    "decoder_blocks": [["compress_all", {}], ["compress_all", {}], ["compress_all", {}], ["res_x", {"num_layers": 1}]],
    "norm_layer": "pixel_norm",
    "patch_size": 4,
    "latent_log_var": "uniform",
    "causal_decoder": False,
}


def weights(dtype=torch.float32) -> dict[str, torch.Tensor]:
    """Transformer and VAE under the prefixes of the checkpoint."""
    with torch.device("meta"):
        transformer = comfy.ldm.lightricks.model.LTXVModel(
            **TRANSFORMER, device="meta", dtype=dtype, operations=comfy.ops.disable_weight_init
        )
        vae = comfy.ldm.lightricks.vae.causal_video_autoencoder.VideoVAE(config=VAE)
    shapes = {f"model.diffusion_model.{key}": value.shape for key, value in transformer.state_dict().items()}
    shapes |= {f"vae.{key}": value.shape for key, value in vae.state_dict().items()}
    made = random_weights(shapes, dtype)
    made["vae.per_channel_statistics.std-of-means"] = torch.ones(LATENT_CHANNELS, dtype=dtype)
    return made


def vae():
    """The VAE as the host's loader gives it."""
    half = {key.removeprefix("vae."): value for key, value in weights().items() if key.startswith("vae.")}
    return comfy.sd.VAE(sd=half, metadata={"config": json.dumps({"vae": VAE})})


def write_models(models: Path) -> None:
    """The checkpoint under its published name."""
    (models / "checkpoints").mkdir(parents=True, exist_ok=True)
    config = {"transformer": TRANSFORMER, "vae": VAE}
    save_file(weights(), models / "checkpoints" / CHECKPOINT, metadata={"config": json.dumps(config)})
