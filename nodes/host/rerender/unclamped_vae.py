"""The host's VAE without clamping of decoded pictures: what Rerender-A-Video passes between encodings."""

import copy

import comfy.sd
import torch
from comfy.cli_args import args
from comfy.ldm.models.autoencoder import AutoencodingEngine
from comfy.ldm.modules.temporal_ae import VideoDecoder

from ....common.errors import BetwixtError


class UnclampedVAE:
    """Encodes and decodes pictures [B, 3, H, W] around -1..1 with a VAE of the Stable Diffusion family, in float32.

    What is passed on are small differences of encodings, of the order of bfloat16's rounding, in which the host runs
    these VAEs on new cards: there a copy of the network is made. The precision that the user started the host with
    (``--bf16-vae``, ``--fp16-vae``) is kept. The VAE on the wire keeps its precision and its clamping.

    Args:
        vae: from the host's loaders.

    Raises:
        BetwixtError: a VAE of another family.
    """

    def __init__(self, vae):
        require_picture_vae(vae)
        told = args.bf16_vae or args.fp16_vae
        self._vae = copy.copy(vae) if told or vae.vae_dtype == torch.float32 else in_float32(vae)
        self._vae.process_output = lambda pictures: pictures.add_(1.0).div_(2.0)  # the host works in place

    def encode(self, pictures: torch.Tensor) -> torch.Tensor:
        """Unscaled latents [B, 4, H/8, W/8] in float32, the posterior's mean."""
        return self._vae.encode((pictures.movedim(1, -1) + 1) / 2).float()

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Pictures in float32, not clamped."""
        return self._vae.decode(latents).float().movedim(-1, 1) * 2 - 1


def in_float32(vae):
    """A VAE of the host with a network of its own in float32, on the same device."""
    weights = {key: value.to("cpu", torch.float32, copy=True) for key, value in vae.get_sd().items()}
    return comfy.sd.VAE(sd=weights, config=picture_vae_config(weights), device=vae.device, dtype=torch.float32)


def picture_vae_config(weights: dict) -> dict:
    """The host's configuration of a VAE of the Stable Diffusion family, of any width and depth, from its weights."""
    levels = 1 + max(int(key.split(".")[2]) for key in weights if key.startswith("encoder.down."))
    widths = [weights[f"encoder.down.{level}.block.0.conv2.weight"].shape[0] for level in range(levels)]
    width = weights["encoder.conv_in.weight"].shape[0]
    network = {
        "double_z": True,
        "z_channels": 4,
        "resolution": 256,
        "in_channels": 3,
        "out_ch": 3,
        "ch": width,
        "ch_mult": [each // width for each in widths],
        "num_res_blocks": 1 + max(int(key.split(".")[4]) for key in weights if key.startswith("encoder.down.0.block.")),
        "attn_resolutions": [],
        "dropout": 0.0,
    }
    return {"params": {"ddconfig": network, "embed_dim": 4}}


def require_picture_vae(vae) -> None:
    """Refuse, by a BetwixtError, all but the VAEs of Stable Diffusion 1, 2 and XL."""
    network = getattr(vae, "first_stage_model", None)
    known = isinstance(network, AutoencodingEngine) and not isinstance(network.decoder, VideoDecoder)
    if not known or vae.latent_channels != 4 or vae.latent_dim != 2:
        raise BetwixtError(
            f"The VAE on 'vae' is of another family ({type(network).__name__}).",
            "A VAE of Stable Diffusion 1.x, 2.x or XL (4 channels, 8 pixels per cell, single pictures) is needed.",
            "Connect the VAE of the checkpoint that 'model' comes from, or vae-ft-mse-840000-ema-pruned.",
        )
