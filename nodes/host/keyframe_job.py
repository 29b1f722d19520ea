"""A long run over key frames: its progress, its previews, and what is kept when it ends early."""

from collections.abc import Iterable

import comfy.model_management as management
import torch
from PIL import Image

from ...common.images import to_uint8
from ...rerender_core.keyframe_rendering import RenderedFrame
from .progress import NodeProgress


class KeyframeJob:
    """Collects finished frames.

    Args:
        steps: evaluations of the model in the whole run; frames: how many key frames.
        begin: share of the progress bar that other work has used.

    Attributes:
        pictures: [1, H, W, 3] in 0..1 of every finished frame; latents: [1, C, h, w] in the model's scale.
    """

    def __init__(self, steps: int, frames: int, progress: NodeProgress, begin: float):
        self._steps, self._frames, self._progress, self._begin = steps, frames, progress, begin
        self._done = 0
        self.pictures: list[torch.Tensor] = []
        self.latents: list[torch.Tensor] = []

    def report(self, frame: int, step: int, clean: torch.Tensor) -> None:
        """One evaluation is done; raises when the user cancelled."""
        self._done += 1
        self._show(f"key frame {frame + 1} of {self._frames}, step {step + 1}")

    def _show(self, text: str, preview=None) -> None:
        share = self._begin + (1 - self._begin) * min(1.0, self._done / self._steps)
        self._progress(share, text, preview)

    def collect(self, rendered: Iterable[RenderedFrame], keep_finished: bool) -> str | None:
        """Run to the end, or to a cancel or failure after the first finished frame, whose reason is returned."""
        try:
            for frame in rendered:
                self.pictures.append(((frame.picture + 1) / 2).clamp(0, 1).movedim(1, -1).cpu())
                self.latents.append(frame.latent.cpu())
                self._show("", Image.fromarray(to_uint8(self.pictures[-1])[0]))
        except (management.InterruptProcessingException, RuntimeError) as error:
            if not keep_finished or not self.pictures:
                raise
            return "Cancelled" if isinstance(error, management.InterruptProcessingException) else str(error)
        return None
