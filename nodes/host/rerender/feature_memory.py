"""Where the features of cross-frame attention wait between frames, by the host's view of memory."""

from collections.abc import Callable

import comfy.model_management as management
import torch

HEADROOM = 1024**3  # bytes left free beside the model's own estimate


class FeatureMemory:
    """Keeps hidden tokens on the computing device while the model's own memory stays free there, else on the offload
    device, from where they are copied beside the computation.

    Attributes:
        needed: bytes that one evaluation of the model takes.
    """

    def __init__(self, device: torch.device, offload_device: torch.device):
        self._device, self._offload_device = device, offload_device
        self.needed = 0

    def place(self, size: int) -> torch.device:
        """Where ``size`` bytes are to wait."""
        fits = management.get_free_memory(self._device) > HEADROOM + self.needed + size
        return self._device if fits else self._offload_device

    def keep(self, tokens: torch.Tensor, device: torch.device | None = None) -> torch.Tensor:
        tokens, device = tokens.detach(), device or self.place(tokens.nbytes)
        if device.type == "cpu" and tokens.device.type != "cpu" and management.MAX_PINNED_MEMORY > 0:
            pinned = torch.empty(tokens.shape, dtype=tokens.dtype, device=device, pin_memory=True)
            return pinned.copy_(tokens, non_blocking=management.device_supports_non_blocking(tokens.device))
        return tokens.to(device, copy=True)

    def fetch(self, kept: torch.Tensor, device: torch.device) -> Callable[[], torch.Tensor]:
        if kept.device == device:
            return lambda: kept
        asynchronous = management.device_supports_non_blocking(device)
        stream = management.get_offload_stream(device) if asynchronous else None
        if stream is None:
            moved = kept.to(device, non_blocking=asynchronous)
            return lambda: moved
        computing = management.current_stream(device)
        stream.wait_stream(computing)  # the tokens may still be on their way out
        with stream.as_context(stream):
            moved = kept.to(device, non_blocking=True)

        def arrived() -> torch.Tensor:
            management.sync_stream(device, stream)
            moved.record_stream(computing)  # its memory is not handed out again before the computation has read it
            return moved

        return arrived
