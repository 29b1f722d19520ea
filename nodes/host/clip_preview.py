"""Previews of a clip while it is sampled: several of its frames side by side."""

import comfy.utils
import latent_preview
from PIL import Image

SHOWN = 4  # frames, the first and the last among them


def clip_callback(model, steps: int, node_id: str | None):
    """A sampling callback for clips whose frames are the batch of the latent.

    The host's own callback shows the first frame only, which says nothing about the inbetweens.

    Args:
        model: the ModelPatcher that samples.
        steps: number of steps, for the progress bar.
        node_id: ``cls.hidden.unique_id``.
    """
    previewer = latent_preview.get_previewer(model.load_device, model.model.latent_format)
    bar = comfy.utils.ProgressBar(steps, node_id=node_id)

    def callback(step, denoised, x, total_steps):
        preview = None if previewer is None else _strip(previewer, denoised)
        bar.update_absolute(step + 1, total_steps, preview)

    return callback


def _strip(previewer, latents) -> tuple:
    """("JPEG", picture, largest side) as the host's progress bar takes it."""
    last = latents.shape[0] - 1
    indices = sorted({round(i * last / (SHOWN - 1)) for i in range(SHOWN)})
    frames = [previewer.decode_latent_to_preview_image("JPEG", latents[i : i + 1]) for i in indices]
    width, height = frames[0][1].size
    strip = Image.new("RGB", (width * len(frames), height))
    for position, (_, picture, _) in enumerate(frames):
        strip.paste(picture, (position * width, 0))
    return ("JPEG", strip, frames[0][2])
