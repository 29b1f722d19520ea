"""The host's VAE without clamping of decoded pictures: what Rerender-A-Video passes between encodings."""

import copy

import torch
from comfy.ldm.models.autoencoder import AutoencodingEngine
from comfy.ldm.modules.temporal_ae import VideoDecoder

from ....common.errors import BetwixtError


class UnclampedVAE:
    """Encodes and decodes pictures [B, 3, H, W] around -1..1 with a VAE of the Stable Diffusion family.

    Works on a shallow copy: the weights are shared, the VAE on the wire keeps clamping.

    Args:
        vae: from the host's loaders.

    Raises:
        BetwixtError: a VAE of another family.
    """

    def __init__(self, vae):
        require_picture_vae(vae)
        self._vae = copy.copy(vae)
        self._vae.process_output = lambda pictures: pictures.add_(1.0).div_(2.0)  # the host works in place

    def encode(self, pictures: torch.Tensor) -> torch.Tensor:
        """Unscaled latents [B, 4, H/8, W/8] in float32, the posterior's mean."""
        return self._vae.encode((pictures.movedim(1, -1) + 1) / 2).float()

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Pictures in float32, not clamped."""
        return self._vae.decode(latents).float().movedim(-1, 1) * 2 - 1


def require_picture_vae(vae) -> None:
    """Raises:
    BetwixtError: not a VAE of Stable Diffusion 1, 2 or XL.
    """
    network = getattr(vae, "first_stage_model", None)
    known = isinstance(network, AutoencodingEngine) and not isinstance(network.decoder, VideoDecoder)
    if not known or vae.latent_channels != 4 or vae.latent_dim != 2:
        raise BetwixtError(
            f"The VAE on 'vae' is of another family ({type(network).__name__}).",
            "A VAE of Stable Diffusion 1.x, 2.x or XL (4 channels, 8 pixels per cell, single pictures) is needed.",
            "Connect the VAE of the checkpoint that 'model' comes from, or vae-ft-mse-840000-ema-pruned.",
        )
