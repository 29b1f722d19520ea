"""How much of a clip SVD's temporal decoder evaluates at a time, by the host's view of memory."""

import logging
from collections.abc import Callable

import comfy.model_management as management
import comfy.ops
import torch

logger = logging.getLogger(__name__)


def affine(norm, x):
    """As :data:`.clip_decoder.Affine`, wherever the host keeps the parameters at the moment."""
    return comfy.ops.cast_bias_weight(norm, dtype=torch.float32, device=x.device, bias_dtype=torch.float32)


def in_pieces(at_once: int, evaluate: Callable[[int], torch.Tensor]) -> torch.Tensor:
    """``evaluate(frames at a time)``, with ever fewer frames where memory runs out.

    Raises:
        the host's out-of-memory exception: not even one frame at a time fits.
    """
    while True:
        try:
            return evaluate(at_once)
        except Exception as error:
            management.raise_non_oom(error)
            if at_once == 1:
                raise
        # Here, not in the handler: the exception's traceback keeps the failed tensors.
        management.soft_empty_cache()
        at_once = max(1, at_once // 2)
        logger.info("Not enough memory; decoding %d frames at a time.", at_once)
