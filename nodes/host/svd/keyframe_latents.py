"""The clean latents of two key frames, which ViBiD alone asks for."""

import torch

from .vae import encode_pictures


class KeyframeLatents:
    """Encodes both key frames when the first of them is asked for.

    Args:
        pictures: [2, H, W, 3], 0..1.
        latents: [2, 4, h, w] unscaled, if they are known already.
    """

    def __init__(self, vae, pictures: torch.Tensor, latents: torch.Tensor | None = None):
        self._vae, self._pictures, self._latents = vae, pictures, latents

    def of(self, index: int) -> torch.Tensor:
        """[1, 4, h, w], unscaled, without added noise."""
        if self._latents is None:
            self._latents = encode_pictures(self._vae, self._pictures)
        return self._latents[index : index + 1]
