"""LPIPS behind the host's memory manager, from files that the user has: nothing is shipped and nothing is fetched."""

import importlib.util
from pathlib import Path

import comfy.model_management as management
import comfy.model_patcher
import folder_paths
import torch

from ....common.errors import BetwixtError
from ....common.measures.perceptual import LPIPS, Backbone
from .memory import load_whole
from .model_files import model_path, read_weights

FOLDER = "betwixt"  # of a head that is no package's
# Package -> where its heads lie in it
HEADS = {"lpips": ("weights", "v0.1"), "torchmetrics": ("functional", "image", "lpips_models")}


def head_path(backbone: Backbone) -> str:
    """The head's file: from the model folder (``lpips_alex.pth``), else from a package that is installed.

    Raises:
        BetwixtError: neither is there.
    """
    own = f"lpips_{backbone.head}"
    found = folder_paths.get_full_path(FOLDER, own)
    if found is not None:
        return found
    for package, parts in HEADS.items():
        spec = importlib.util.find_spec(package)
        for place in (spec.submodule_search_locations or ()) if spec else ():
            path = Path(place, *parts, backbone.head)
            if path.is_file():
                return str(path)
    raise BetwixtError(
        f"The head of LPIPS for {backbone.name} was not found.",
        f"It comes with the Python packages lpips and torchmetrics, or lies as {own} in "
        f"{folder_paths.get_folder_paths(FOLDER)[0]}.",
        f"Install lpips into ComfyUI's Python, or copy its file weights/v0.1/{backbone.head} there as {own}.",
    )


class Perceptual:
    """Callable for :func:`.perceptual.lpips`: runs the network on the host's device, a pair at a time.

    Raises:
        BetwixtError: the backbone or the head is missing (which file, which folder) or damaged.
    """

    def __init__(self, backbone: Backbone):
        file = backbone.file
        weights = read_weights(model_path(file.folder, file.name, file.described))
        network = LPIPS(backbone, weights, read_weights(head_path(backbone)))
        self.patcher = comfy.model_patcher.CoreModelPatcher(
            network, load_device=management.get_torch_device(), offload_device=management.unet_offload_device()
        )

    def __call__(self, first: torch.Tensor, second: torch.Tensor) -> list[torch.Tensor]:
        pixels = first.shape[-2] * first.shape[-1]
        load_whole(self.patcher, 2 * 64 * 4 * 4 * pixels)  # VGG16's first slice
        device = self.patcher.load_device
        with torch.no_grad():
            return [part.float().cpu() for part in self.patcher.model(first.to(device), second.to(device))]
