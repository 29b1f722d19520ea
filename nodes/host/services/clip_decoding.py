"""How much of a clip SVD's temporal decoder evaluates at a time, by the host's view of memory."""

import logging
from collections.abc import Callable

import comfy.model_management as management
import comfy.ops
import torch

from ....tooncrafter_core.clip_decoder import peak_channels

logger = logging.getLogger(__name__)

PIXELS_AT_ONCE = 2**19  # keep a card busy; more takes memory and no less time
MARGIN = 1.1  # of what is told to the host, for the workspaces of convolutions


def affine(norm, x):
    """As :data:`.clip_decoder.Affine`, wherever the host keeps the parameters at the moment."""
    return comfy.ops.cast_bias_weight(norm, dtype=torch.float32, device=x.device, bias_dtype=torch.float32)


def most_at_once(frames: int, pixels: int) -> int:
    """Frames of ``pixels`` pixels to evaluate at a time where memory allows it."""
    return max(1, min(frames, PIXELS_AT_ONCE // pixels))


def piecewise_bytes(frames: int, at_once: int, pixels: int, element: int, width: int) -> int:
    """Memory of :func:`.clip_decoder.decode_clip` for frames of ``pixels`` pixels, ``element`` bytes per value."""
    return int(MARGIN * element * pixels * peak_channels(frames, at_once, width))


def that_fit(most: int, needed: Callable[[int], int], free: float) -> int:
    """Frames at a time, 1 to ``most``, of which ``free`` bytes hold the ``needed`` ones."""
    return next((count for count in range(most, 1, -1) if needed(count) <= free), 1)


def in_pieces(at_once: int, evaluate: Callable[[int], torch.Tensor]) -> torch.Tensor:
    """``evaluate(frames at a time)``, with ever fewer frames where memory runs out.

    Raises:
        the host's out-of-memory exception: not even one frame at a time fits.
    """
    while True:
        try:
            return evaluate(at_once)
        except management.OOM_EXCEPTION:
            if at_once == 1:
                raise
        # Here, not in the handler: the exception's traceback keeps the failed tensors.
        management.soft_empty_cache()
        at_once = max(1, at_once // 2)
        logger.info("Not enough memory; decoding %d frames at a time.", at_once)
