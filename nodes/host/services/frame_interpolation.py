"""Frames at any time from the host's frame interpolation models (RIFE, FILM; socket INTERP_MODEL)."""

from collections.abc import Callable, Sequence

import torch
from comfy.ldm.common_dit import pad_to_patch_size

from ....common.errors import BetwixtError
from .memory import load_whole


def interpolated(
    patcher, first: torch.Tensor, last: torch.Tensor, times: Sequence[float], tell: Callable[[float], None]
) -> torch.Tensor:
    """Frames between two pictures.

    Args:
        patcher: the value of an INTERP_MODEL wire.
        first, last: float32 RGB [H, W, 3], 0..1.
        times: shares of the way, 0..1.
        tell: called with the share done after each frame; may raise to cancel.

    Returns:
        float32 [len(times), H, W, 3] on the CPU.

    Raises:
        BetwixtError: the wire brings another kind of model.
    """
    if not all(hasattr(getattr(patcher, "model", None), name) for name in ("memory_used_forward", "extract_features")):
        found = type(getattr(patcher, "model", patcher)).__name__
        raise BetwixtError(
            f"'interp_model' is no frame interpolation model ({found}).",
            "RIFE or FILM is needed.",
            "Connect 'Load Frame Interpolation Model', or leave the input free.",
        )
    network, device, dtype = patcher.model, patcher.load_device, patcher.model_dtype()
    height, width = first.shape[:2]
    load_whole(patcher, network.memory_used_forward((1, height, width, 3), dtype))

    def ready(picture: torch.Tensor) -> torch.Tensor:
        picture = picture.movedim(-1, 0)[None].to(device=device, dtype=dtype)
        return pad_to_patch_size(picture, (getattr(network, "pad_align", 1),) * 2, padding_mode="reflect")

    frames = torch.empty(len(times), height, width, 3)
    with torch.inference_mode():
        pair = ready(first), ready(last)
        known = {f"img{number}": network.extract_features(picture) for number, picture in enumerate(pair)}
        for number, time in enumerate(times):
            when = torch.full_like(pair[0][:, :1], time)
            made = network(*pair, timestep=when, cache=known)[0, :, :height, :width]
            frames[number] = made.movedim(0, -1).float().clamp(0, 1).cpu()
            tell((number + 1) / len(times))
    return frames
