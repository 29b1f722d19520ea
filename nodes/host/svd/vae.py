"""SVD's temporal VAE: telling it from picture VAEs, encoding key frames, decoding exactly the frames asked for."""

import comfy.model_management
import torch
from comfy.ldm.modules.temporal_ae import VideoDecoder

from ....common.errors import BetwixtError
from ....common.files.published_files import SVD_XT
from ....common.memory_model import most_at_once, piecewise_bytes, that_fit, whole_bytes
from ....tooncrafter_core.clip_decoder import decode_clip
from ..services.clip_decoding import affine, in_pieces


def require_temporal_vae(vae, name: str) -> None:
    """Refuse, by a BetwixtError, a VAE on input ``name`` that has no temporal decoder."""
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

    ``vae.decode`` would choose the number of frames per call from free memory, and with it the result. Here little
    memory means that the same clip is evaluated in pieces, which changes nothing but the order of floating-point sums.

    Raises:
        BetwixtError: not enough memory for so many frames at once.
    """
    frames, pixels = latents.shape[0], 64 * latents.shape[2] * latents.shape[3]
    needed = whole_bytes(frames, pixels, comfy.model_management.dtype_size(vae.vae_dtype))
    # As a whole: of a part, the host leaves the temporal convolutions' own weights beside the processor, and fails.
    comfy.model_management.load_models_gpu([vae.patcher], memory_required=needed, force_full_load=True)
    fits = needed <= comfy.model_management.get_free_memory(vae.device)
    latents = latents.to(vae.device, vae.vae_dtype)
    try:
        decoded = _whole(vae, latents) if fits else None
        if decoded is None:
            decoded = _in_pieces(vae, latents, pixels)
        pictures = vae.process_output(decoded.to(vae.output_device).float())
    except Exception as error:
        comfy.model_management.raise_non_oom(error)
        raise BetwixtError(
            f"There is not enough memory to decode {frames} frames of "
            f"{8 * latents.shape[3]}x{8 * latents.shape[2]} at once.",
            "All frames of a chunk are decoded together.",
            "Lower 'chunk' (2 needs least).",
        ) from error
    return pictures.movedim(1, -1)


def _whole(vae, latents: torch.Tensor) -> torch.Tensor | None:
    """As the host decodes; None if that took too much memory, what it had made being freed by then."""
    try:
        return vae.first_stage_model.decode(latents)
    except Exception as error:
        comfy.model_management.raise_non_oom(error)
        return None


def _in_pieces(vae, latents: torch.Tensor, pixels: int) -> torch.Tensor:
    comfy.model_management.soft_empty_cache()
    decoder, element = vae.first_stage_model.decoder, comfy.model_management.dtype_size(vae.vae_dtype)
    width, frames = decoder.conv_out.in_channels, len(latents)
    at_once = that_fit(
        most_at_once(frames, pixels),
        lambda count: piecewise_bytes(frames, count, pixels, element, width),
        comfy.model_management.get_free_memory(vae.device),
    )
    return in_pieces(at_once, lambda count: decode_clip(decoder, None, latents, None, count, affine))
