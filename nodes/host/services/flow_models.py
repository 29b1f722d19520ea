"""Flow networks behind the host's memory manager: GMFlow of the pack, RAFT of the host's own loader."""

from abc import ABC, abstractmethod

import comfy.model_management as management
import comfy.model_patcher
import comfy.ops
import torch
import torch.nn.functional as F

from ....rerender_core.flow.loading import load_gmflow
from .memory import load_whole


class NetworkFlow(ABC):
    """Base of both models below: loads the network, runs chunks on the host's device, returns to the CPU.

    Args:
        patcher: the network's ModelPatcher; kept here because the host holds it only weakly.
        name: shown to the user.
    """

    def __init__(self, patcher, name: str):
        self.patcher, self.name = patcher, name

    def pairs_at_once(self, height: int, width: int) -> int:
        free = management.get_free_memory(self.patcher.load_device)
        return max(1, min(8, int(0.5 * free / self.bytes(1, height, width))))

    @abstractmethod
    def bytes(self, pairs: int, height: int, width: int) -> int:
        """Memory of the activations of so many pairs; the sum over pairs is not more than that of single ones."""

    @abstractmethod
    def run(self, first: torch.Tensor, second: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(forward, backward) [B, 2, H, W] of pairs that are on the network's device."""

    def estimate(self, first, second):
        batch, _, height, width = first.shape
        load_whole(self.patcher, self.bytes(batch, height, width))
        device = self.patcher.load_device
        forward, backward = self.run(first.to(device), second.to(device))
        return forward.float().cpu(), backward.float().cpu()


class GMFlowModel(NetworkFlow):
    """GMFlow from a published file's contents; always float32 (docs/methods/flow.md, Cost and precision)."""

    def __init__(self, contents: dict, file: str):
        network = load_gmflow(contents, file, operations=comfy.ops.disable_weight_init)
        patcher = comfy.model_patcher.CoreModelPatcher(
            network, load_device=management.get_torch_device(), offload_device=management.unet_offload_device()
        )
        super().__init__(patcher, "GMFlow")

    def bytes(self, pairs, height, width):
        pixels = height * width
        return 760 * pairs * pixels + pixels**2 // 6000  # the second: the mask of shifted windows

    def run(self, first, second):
        return self.patcher.model(first, second)


class RAFTModel(NetworkFlow):
    """RAFT-large as the host's 'Load Optical Flow Model' gives it."""

    UPDATES = 12  # torchvision's default number of recurrent updates
    SMALLEST = 128  # its correlation pyramid needs a 16x16 feature map

    def __init__(self, patcher):
        super().__init__(patcher, "RAFT")

    def bytes(self, pairs, height, width):
        pixels = max(self.SMALLEST, height) * max(self.SMALLEST, width)
        volume = pixels**2 // 512  # correlations of all feature cells, both ways
        # The encoder; the volume beside what is divided by the features' width; its pyramid beside an update.
        return int(1.1 * pairs * max(1328 * pixels, 2 * volume + 64 * pixels, volume * 4 / 3 + 703 * pixels))

    def run(self, first, second):
        height, width = first.shape[-2:]
        down, right = (max(self.SMALLEST, -(-side // 8) * 8) - side for side in (height, width))
        pad = (right // 2, right - right // 2, down // 2, down - down // 2)
        first, second = (F.pad(frame / 127.5 - 1, pad, mode="replicate") for frame in (first, second))
        both = self.patcher.model(
            torch.cat([first, second]), torch.cat([second, first]), num_flow_updates=self.UPDATES
        )[-1]
        both = both[..., pad[2] : pad[2] + height, pad[0] : pad[0] + width]
        return both.chunk(2)
