"""Stable Video Diffusion in miniature: random models of the real structure that sample in a second on the CPU.

The UNet and the ControlNeXt encoder are files in the published layouts. The host's loaders fix the sizes of the image
encoder and the VAE, so those two are objects. The host must be importable.
"""

from pathlib import Path

import comfy.clip_vision
import comfy.ldm.models.autoencoder
import comfy.ldm.modules.diffusionmodules.openaimodel
import comfy.model_management
import comfy.model_patcher
import comfy.ops
import comfy.sd
import comfy.supported_models
import comfy.taesd.taesd
import torch
from safetensors.torch import save_file

from support.models.random_svd import CONTROLNEXT, GOLDEN, random_weights
from support.models.synthetic_weights import load_manifest

WIDTH = 64  # of all levels; the real one has 320, 640, 1280, 1280
CLIP_CONFIG = {
    "hidden_act": "gelu",
    "hidden_size": 64,
    "image_size": 224,
    "intermediate_size": 128,
    "layer_norm_eps": 1e-5,
    "model_type": "clip_vision_model",
    "num_attention_heads": 2,
    "num_channels": 3,
    "num_hidden_layers": 2,
    "patch_size": 32,
    "projection_dim": 1024,
}


def unet_weights(dtype=torch.float32, seed: int = 0) -> dict:
    """A UNet of :data:`WIDTH` channels, in diffusers names."""
    svd = comfy.supported_models.SVD_img2vid
    config = {
        **{**svd.unet_config, **svd.unet_extra_config, "model_channels": WIDTH, "channel_mult": [1, 1, 1, 1]},
        **{"image_size": 32, "out_channels": 4, "num_res_blocks": [2, 2, 2, 2], "num_classes": "sequential"},
        **{"transformer_depth_output": [1] * 9 + [0] * 3, "transformer_depth_middle": 1, "legacy": False},
        **{"use_spatial_transformer": True, "extra_ff_mix_layer": True, "use_spatial_context": True},
        **{"merge_strategy": "learned_with_images", "video_kernel_size": [3, 1, 1]},
    }
    unet = comfy.ldm.modules.diffusionmodules.openaimodel.UNetModel(
        **config, device="meta", operations=comfy.ops.disable_weight_init
    )
    diffusers_names = {ldm: name for name, ldm in load_manifest(GOLDEN / "svd_diffusers_to_ldm_keys.json.gz").items()}
    return random_weights(
        {diffusers_names[key]: value.shape for key, value in unet.state_dict().items()}, dtype, seed=seed
    )


def controlnext_weights(dtype=torch.float32) -> dict:
    """The encoder at full size but for its output, which has the miniature UNet's width."""
    shapes = {key: entry["shape"] for key, entry in load_manifest(GOLDEN / CONTROLNEXT).items()}
    shapes |= {"mid_convs.1.weight": [WIDTH, 256, 1, 1], "mid_convs.1.bias": [WIDTH]}
    return random_weights(shapes, dtype)


def write_models(models: Path) -> None:
    """The two files under their published names, the UNet in half precision; GI's as another UNet and its origin."""
    files = {
        "diffusion_models/unet.safetensors": unet_weights(torch.float16),
        "diffusion_models/svd_reverse_motion_with_attnflip.safetensors": unet_weights(torch.float16, seed=1),
        "checkpoints/svd.safetensors": unet_weights(torch.float16, seed=2),
        "controlnet/controlnext.safetensors": controlnext_weights(),
    }
    for name, weights in files.items():
        (models / name).parent.mkdir(parents=True, exist_ok=True)
        save_file(weights, models / name)


def clip_vision(projection: int = 1024):
    """A CLIP_VISION of two small layers."""
    model = comfy.clip_vision.ClipVisionModel({**CLIP_CONFIG, "projection_dim": projection})
    shapes = {key: value.shape for key, value in model.get_sd().items()}
    model.load_sd(random_weights(shapes, torch.float32))
    return model


def temporal_vae():
    """A VAE with SVD's temporal decoder, 32 channels wide."""
    taesd = comfy.taesd.taesd.TAESD(latent_channels=4)
    vae = comfy.sd.VAE(sd=taesd.state_dict())  # for everything around the networks
    encoder = {"double_z": True, "z_channels": 4, "resolution": 256, "in_channels": 3, "out_ch": 3, "ch": 32}
    encoder |= {"ch_mult": [1, 1, 1, 1], "num_res_blocks": 1, "attn_resolutions": [], "dropout": 0.0}
    decoder = {**encoder, "video_kernel_size": [3, 1, 1], "alpha": 0.0}
    module = "comfy.ldm.modules"
    engine = comfy.ldm.models.autoencoder.AutoencodingEngine(
        regularizer_config={"target": "comfy.ldm.models.autoencoder.DiagonalGaussianRegularizer"},
        encoder_config={"target": f"{module}.diffusionmodules.model.Encoder", "params": encoder},
        decoder_config={"target": f"{module}.temporal_ae.VideoDecoder", "params": decoder},
    )
    shapes = {key: value.shape for key, value in engine.state_dict().items()}
    engine.load_state_dict(random_weights(shapes, torch.float32))
    vae.first_stage_model = engine.eval().to(vae.vae_dtype)
    vae.patcher = comfy.model_patcher.CoreModelPatcher(
        engine, load_device=vae.device, offload_device=comfy.model_management.vae_offload_device()
    )
    return vae
