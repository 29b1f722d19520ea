"""Previews of a clip while it is sampled: several of its frames side by side."""

import comfy.latent_formats
import comfy.utils
import latent_preview
import torch

SHOWN = 4  # frames, the first and the last among them


def side_by_side(latents: torch.Tensor) -> torch.Tensor:
    """A few frames of a clip as one wide latent, [T, C, h, w] -> [1, C, h, n * w]."""
    last = latents.shape[0] - 1
    indices = sorted({round(i * last / (SHOWN - 1)) for i in range(SHOWN)})
    return torch.cat([latents[index : index + 1] for index in indices], dim=-1)


class ClipLatents(comfy.latent_formats.SD15):
    """Latents of Stable Diffusion 1.5 whose batch is a clip.

    The host previews the first frame of a batch, which says nothing about the inbetweens. Its quick previews
    (latent2rgb, also what "auto" means) let the format rearrange the latent first, whatever node samples; those of
    TAESD stay with the first frame.
    """

    latent_rgb_factors_reshape = staticmethod(side_by_side)


def clip_callback(model, steps: int, node_id: str | None):
    """A sampling callback that shows several frames with any of the host's preview methods.

    Args:
        model: the ModelPatcher that samples.
        steps: number of steps, for the progress bar.
        node_id: ``cls.hidden.unique_id``.
    """
    previewer = latent_preview.get_previewer(model.load_device, model.model.latent_format)
    bar = comfy.utils.ProgressBar(steps, node_id=node_id)

    def callback(step, denoised, x, total_steps):
        clip = side_by_side(denoised)
        preview = None if previewer is None else previewer.decode_latent_to_preview_image("JPEG", clip)
        bar.update_absolute(step + 1, total_steps, preview)

    return callback
