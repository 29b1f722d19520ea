"""The GlueStick pipeline behind the host's memory manager."""

from dataclasses import dataclass

import comfy.model_management as management
import comfy.model_patcher
import comfy.ops
import torch

from ....fcvg_core.lines.gluestick.loading import load_gluestick, load_superpoint
from ....fcvg_core.lines.gluestick.matcher import GlueStickMatcher
from .memory import load_whole


class LineMatchingNetworks(torch.nn.Module):
    """Both networks as one model for the host: they are always used together, 73 MB in float32."""

    def __init__(self, superpoint, gluestick):
        super().__init__()
        self.superpoint, self.gluestick = superpoint, gluestick


@dataclass(frozen=True)
class ManagedGlueStickMatcher(GlueStickMatcher):
    """A matcher that shows the host which model it holds, under the name the host looks for."""

    patcher: object = None


def managed_gluestick_matcher(superpoint: dict, gluestick: dict, files: tuple[str, str], **settings):
    """The matcher from the contents of the two weight files; always float32 (log-softmax and batch norm gain nothing
    from less).

    Args:
        files: names of the two files, for errors.
        settings: of :class:`GlueStickMatcher`.
    """
    networks = LineMatchingNetworks(
        load_superpoint(superpoint, f"'{files[0]}'", operations=comfy.ops.disable_weight_init),
        load_gluestick(gluestick, f"'{files[1]}'", operations=comfy.ops.disable_weight_init),
    )
    patcher = comfy.model_patcher.CoreModelPatcher(
        networks, load_device=management.get_torch_device(), offload_device=management.unet_offload_device()
    )

    def resident(memory: int) -> torch.device:
        load_whole(patcher, memory)
        return patcher.load_device

    return ManagedGlueStickMatcher(
        networks.superpoint, networks.gluestick, resident=resident, patcher=patcher, **settings
    )
