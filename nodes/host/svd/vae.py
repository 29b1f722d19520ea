"""SVD's temporal VAE: telling it from picture VAEs, encoding key frames, decoding exactly the frames asked for."""

import comfy.model_management
import torch
from comfy.ldm.modules.temporal_ae import VideoDecoder

from ....common.errors import BetwixtError
from ....common.files.published_files import SVD_XT


def require_temporal_vae(vae, name: str) -> None:
    """Raises:
    BetwixtError: the VAE on input ``name`` has no temporal decoder.
    """
    if not isinstance(getattr(vae.first_stage_model, "decoder", None), VideoDecoder):
        raise BetwixtError(
            f"The VAE on '{name}' decodes single pictures ({type(vae.first_stage_model).__name__}).",
            "Stable Video Diffusion's temporal VAE is needed.",
            f"Connect the VAE of 'Image Only Checkpoint Loader' with {SVD_XT.name}.",
        )


def encode_pictures(vae, pictures: torch.Tensor) -> torch.Tensor:
    """Unscaled latents, the posterior's mode: [B, 4, H/8, W/8] from pictures [B, H, W, 3] around 0..1."""
    return vae.encode(pictures)


def decode_frames(vae, latents: torch.Tensor) -> torch.Tensor:
    """Pictures [n, H, W, 3], 0..1, of latents [n, 4, h, w] decoded as one clip of n frames.

    ``vae.decode`` would choose the number of frames per call from free memory, and with it the result.

    Raises:
        BetwixtError: not enough memory for so many frames at once.
    """
    required = latents.shape[0] * vae.memory_used_decode(latents.shape, vae.vae_dtype)
    comfy.model_management.load_models_gpu([vae.patcher], memory_required=required)
    try:
        decoded = vae.first_stage_model.decode(latents.to(vae.device, vae.vae_dtype))
        pictures = vae.process_output(decoded.to(vae.output_device).float())
    except comfy.model_management.OOM_EXCEPTION as error:
        raise BetwixtError(
            f"There is not enough memory to decode {latents.shape[0]} frames of "
            f"{8 * latents.shape[3]}x{8 * latents.shape[2]} at once.",
            "All frames of a chunk are decoded together.",
            "Lower 'chunk' (2 needs least).",
        ) from error
    return pictures.movedim(1, -1)
