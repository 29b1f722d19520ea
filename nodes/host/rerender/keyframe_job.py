"""A long run over key frames: its progress, its previews, and what is kept when it ends early."""

from collections.abc import Iterable

import comfy.model_management as management
import latent_preview
import torch
from PIL import Image

from ....common.errors import BetwixtError
from ....common.pictures import to_uint8
from ....rerender_core.keyframes.rendering import RenderedFrame
from ..services.partial_results import what_ended_it
from ..services.progress import NodeProgress


def side_by_side(finished: Image.Image | None, current: Image.Image) -> Image.Image:
    """The newest finished key frame, if there is one, and the one that is forming."""
    if finished is None:
        return current
    width, height = finished.size
    both = Image.new("RGB", (2 * width, height))
    both.paste(finished)
    both.paste(current.resize((width, height)), (width, 0))
    return both


class KeyframeJob:
    """Collects finished frames.

    Args:
        model: the ModelPatcher that samples, for previews in the way the host is set to.
        steps: evaluations of the model in the whole run; frames: how many key frames.
        begin: share of the progress bar that other work has used.

    Attributes:
        finished: number of key frames that are done.
    """

    def __init__(self, model, steps: int, frames: int, progress: NodeProgress, begin: float):
        self._steps, self._frames, self._progress, self._begin = steps, frames, progress, begin
        self._done, self.finished = 0, 0
        self._pictures = self._latents = self._newest = None
        self._previewer = latent_preview.get_previewer(model.load_device, model.model.latent_format)

    @property
    def pictures(self) -> torch.Tensor:
        """Finished frames, [n, H, W, 3] in 0..1."""
        return self._pictures[: self.finished]

    @property
    def latents(self) -> torch.Tensor:
        """Their latents, [n, C, h, w] in the model's scale."""
        return self._latents[: self.finished]

    def report(self, frame: int, step: int, clean: torch.Tensor) -> None:
        """One evaluation is done; raises when the user cancelled."""
        self._done += 1
        forming = None if self._previewer is None else self._previewer.decode_latent_to_preview(clean)
        preview = None if forming is None else side_by_side(self._newest, forming)
        self._show(f"key frame {self.finished + 1} of {self._frames}, step {step + 1}", preview)

    def _show(self, text: str, preview: Image.Image | None) -> None:
        share = self._begin + (1 - self._begin) * min(1.0, self._done / self._steps)
        self._progress(share, text, preview)

    def collect(self, rendered: Iterable[RenderedFrame], keep_finished: bool) -> str | None:
        """Run to the end, or to a cancel or failure after the first finished frame, whose reason is returned."""
        try:
            for frame in rendered:
                self._add(frame)
                self._newest = Image.fromarray(to_uint8(self._pictures[self.finished - 1]))
                self._show("", self._newest)
        except (management.InterruptProcessingException, Exception) as error:  # whatever fails, finished work is kept
            if not keep_finished or not self.finished:
                raise
            return what_ended_it(error)
        return None

    def _add(self, frame: RenderedFrame) -> None:
        picture = ((frame.picture + 1) / 2).clamp(0, 1).movedim(1, -1)
        if not bool(torch.isfinite(picture).all()):
            raise BetwixtError(
                f"Key frame {self.finished + 1} came out with NaN or infinite values.",
                "In half precision some models and VAEs overflow, SDXL's VAE above all.",
                "Start ComfyUI with --fp32-vae or --fp32-unet, or use another VAE.",
            )
        if self._pictures is None:  # the whole result once, no list beside its concatenation
            self._pictures = torch.empty(self._frames, *picture.shape[1:])
            self._latents = torch.empty(self._frames, *frame.latent.shape[1:])
        self._pictures[self.finished], self._latents[self.finished] = picture[0], frame.latent[0]
        self.finished += 1
