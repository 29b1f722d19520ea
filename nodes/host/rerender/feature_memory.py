"""Where the features of cross-frame attention wait between frames, by the host's view of memory."""

import weakref
from collections.abc import Callable
from typing import Any

import comfy.model_management as management
import torch
from torch.utils.weak import WeakTensorKeyDictionary

HEADROOM = 1024**3  # bytes left free beside the model's own estimate


def streams_of(device: torch.device) -> Any:
    """The module with the streams of a device (``torch.cuda``, ``torch.xpu``), or None where the host copies in turn
    with the computation."""
    if management.NUM_STREAMS == 0 or not management.device_supports_non_blocking(device):
        return None
    return getattr(torch, device.type) if device.type in ("cuda", "xpu") else None


class FeatureMemory:
    """Keeps hidden tokens on the computing device while the model's own memory stays free there, else on the offload
    device, from where they are copied beside the computation.

    Copies have a stream of their own and an event each: the host's offload streams wait for all computation so far
    whenever one is asked for, and waiting for a stream is waiting for everything that was asked ahead.

    Args:
        streams: as :func:`streams_of` returns it, which is the default.

    Attributes:
        needed: bytes that one evaluation of the model takes.
    """

    def __init__(self, device: torch.device, offload_device: torch.device, streams: Any = None):
        self._device, self._offload_device = device, offload_device
        self._streams = streams or streams_of(device)
        self._copying: Any = None  # the stream of the copies, made at the first one
        self._written = WeakTensorKeyDictionary()  # kept tokens -> the event after their way out
        self.needed = 0

    def place(self, size: int) -> torch.device:
        """Where ``size`` bytes are to wait."""
        fits = management.get_free_memory(self._device) > HEADROOM + self.needed + size
        return self._device if fits else self._offload_device

    def keep(self, tokens: torch.Tensor, device: torch.device | None = None) -> torch.Tensor:
        tokens, device = tokens.detach(), device or self.place(tokens.nbytes)
        if device.type != "cpu" or tokens.device.type == "cpu":
            return tokens.to(device, copy=True)
        pinned = pinned_like(tokens) if management.device_supports_non_blocking(tokens.device) else None
        if pinned is None:
            return tokens.to(device, copy=True)
        pinned.copy_(tokens, non_blocking=True)
        if self._streams is not None:
            self._written[pinned] = self._streams.current_stream(tokens.device).record_event()
        return pinned

    def fetch(self, kept: torch.Tensor, device: torch.device) -> Callable[[], torch.Tensor]:
        if kept.device == device:
            return lambda: kept
        if self._streams is None:
            moved = kept.to(device, non_blocking=management.device_supports_non_blocking(device))
            return lambda: moved
        streams = self._streams
        if self._copying is None:
            self._copying = streams.Stream(device)
        if kept in self._written:
            self._copying.wait_event(self._written[kept])  # for these tokens, not for what was computed since
        with streams.stream(self._copying):
            moved = kept.to(device, non_blocking=True)
        here = self._copying.record_event()

        def arrived() -> torch.Tensor:
            computing = streams.current_stream(device)
            computing.wait_event(here)
            moved.record_stream(computing)  # its memory is not handed out again before the computation has read it
            return moved

        return arrived


def pinned_like(tokens: torch.Tensor) -> torch.Tensor | None:
    """Page-locked memory for ``tokens`` within the host's budget, counted there while it lives; None if there is none
    left."""
    size = tokens.nbytes
    if management.TOTAL_PINNED_MEMORY + size > management.MAX_PINNED_MEMORY:
        return None
    try:
        pinned = torch.empty(tokens.shape, dtype=tokens.dtype, pin_memory=True)
    except RuntimeError:  # the system refuses before the budget is spent
        return None
    management.TOTAL_PINNED_MEMORY += size
    weakref.finalize(pinned, _give_back, size)
    return pinned


def _give_back(size: int) -> None:
    management.TOTAL_PINNED_MEMORY -= size
