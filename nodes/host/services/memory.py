"""Memory before it is used: networks put on their device, and an estimate of what a node is about to hold."""

import comfy.model_management as management
import torch

from ....common.errors import BetwixtError


def load_whole(patcher, memory: float) -> None:
    """Put a network on its device with ``memory`` bytes free beside it.

    As a whole: of a part, the host leaves what it cannot bring layer by layer (layers of other libraries, buffers,
    parameters of their own) beside the processor, and the network fails.
    """
    management.load_models_gpu([patcher], memory_required=memory, force_full_load=True)


def require_memory(count: int, height: int, width: int, bytes_per_pixel: float, what: str, remedy: str) -> None:
    """Refuse work whose result the machine's memory cannot hold.

    Args:
        count, height, width: of the pictures.
        bytes_per_pixel: of all that is held of each pixel at the same time; float32 RGB is 12.
        what: the pictures in the error, e.g. "condition pictures".
        remedy: which widget to lower.

    Raises:
        BetwixtError: with the estimate and the memory there is.
    """
    require_bytes(count * height * width * bytes_per_pixel, f"{count} {what} of {width}x{height}", remedy)


def require_bytes(needed: float, what: str, remedy: str) -> None:
    """The same for what is counted in bytes."""
    free = management.get_free_memory(torch.device("cpu"))
    if needed > free:
        raise BetwixtError(
            f"{what} need about {_size(needed)} of memory, and {_size(free)} are free.",
            "All of them are held at the same time.",
            remedy,
        )


def _size(number: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.4g} TB"
