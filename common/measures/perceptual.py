"""LPIPS, the learned perceptual distance of pictures (Zhang et al., CVPR 2018), version 0.1.

Features of a network trained on ImageNet, each pixel's scaled to unit length; the squared differences weighted per
channel by a trained head, averaged over the picture and summed over five layers.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
import torchvision

from ..errors import BetwixtError
from ..files.published_files import ALEXNET_WEIGHTS, VGG16_WEIGHTS, PublishedFile
from .measurement import MeanMap, Measurement, mean

SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of pictures -1..1
SMALLEST = 64  # pixels of the shorter side that leave AlexNet's last layer something


@dataclass(frozen=True)
class Backbone:
    """One of the published variants.

    Attributes:
        name: of the network, as LPIPS is reported with it.
        build: makes the network of torchvision.
        ends: index after the last module of each of the five slices of its ``features``.
        file: torchvision's published weights.
        head: name of the head's file in the packages lpips and torchmetrics.
    """

    name: str
    build: Callable
    ends: tuple[int, ...]
    file: PublishedFile
    head: str


ALEXNET = Backbone("AlexNet", torchvision.models.alexnet, (2, 5, 8, 10, 12), ALEXNET_WEIGHTS, "alex.pth")
VGG16 = Backbone("VGG16", torchvision.models.vgg16, (4, 9, 16, 23, 30), VGG16_WEIGHTS, "vgg.pth")
BACKBONES = {backbone.name: backbone for backbone in (ALEXNET, VGG16)}


def backbone_width(part: torch.nn.Module) -> int:
    """Channels that a slice of the network puts out."""
    return [module.out_channels for module in part.modules() if isinstance(module, torch.nn.Conv2d)][-1]


class LPIPS(torch.nn.Module):
    """The distance of pairs of pictures, as a map.

    Args:
        backbone: which variant.
        weights: torchvision's state dict of it; its classifier is not needed.
        head: keys ``lin0.model.1.weight`` to ``lin4.model.1.weight``, [1, C, 1, 1] each.

    Raises:
        BetwixtError: weights of another network.
    """

    shift: torch.Tensor
    scale: torch.Tensor

    def __init__(self, backbone: Backbone, weights: dict[str, torch.Tensor], head: dict[str, torch.Tensor]):
        super().__init__()
        with torch.device("meta"):
            features = backbone.build(weights=None).features
        self.slices = torch.nn.ModuleList(
            features[begin:end] for begin, end in zip((0, *backbone.ends), backbone.ends, strict=False)
        )
        given = {key.removeprefix("features."): value.float() for key, value in weights.items() if "features." in key}
        needed = {key: value.shape for key, value in features.state_dict().items()}
        if needed != {key: value.shape for key, value in given.items()}:
            raise BetwixtError(
                f"The weights are not those of {backbone.name}.",
                f"{backbone.file.name} as torchvision publishes it is needed.",
                f"Get it again: {backbone.file.described}.",
            )
        features.load_state_dict(given, assign=True)
        widths = [backbone_width(part) for part in self.slices]
        names = [f"lin{layer}.model.1.weight" for layer in range(len(widths))]
        if any(name not in head or head[name].numel() != width for name, width in zip(names, widths, strict=True)):
            raise BetwixtError(
                f"The head is not that of {backbone.name}.",
                f"{backbone.head} of LPIPS version 0.1 is needed.",
                "Install the package lpips or torchmetrics again.",
            )
        self.heads = torch.nn.ParameterList(head[name].float().reshape(1, -1, 1, 1) for name in names)
        self.register_buffer("shift", torch.tensor(SHIFT).reshape(1, 3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(SCALE).reshape(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False).eval()

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> list[torch.Tensor]:
        """float [B, 3, H, W] 0..1 twice -> the distance map [B, 1, h, w] of each layer, at its own size."""
        maps, states = [], [(2 * pictures - 1 - self.shift) / self.scale for pictures in (first, second)]
        for part, head in zip(self.slices, self.heads, strict=True):
            states = [part(state) for state in states]
            one, two = (state / (state.square().sum(1, keepdim=True).sqrt() + 1e-10) for state in states)
            maps.append(((one - two).square() * head).sum(1, keepdim=True))
        return maps


def lpips(
    first: torch.Tensor, second: torch.Tensor, distance: Callable[[torch.Tensor, torch.Tensor], list[torch.Tensor]]
) -> Measurement:
    """LPIPS of each pair of frames and its mean.

    Args:
        first, second: float32 [T, H, W, 3] 0..1, from :func:`.measurement.checked_pair`, at least 64 pixels in both
            directions.
        distance: an :class:`LPIPS`, or what runs one on a device and gives its maps back.

    Returns:
        0 for equal pictures; lower is better. The heat map is the sum of the layers' maps, enlarged.

    Raises:
        BetwixtError: smaller frames.
    """
    height, width = first.shape[1:3]
    if min(height, width) < SMALLEST:
        raise BetwixtError(
            f"The frames are {width}x{height}.",
            f"LPIPS needs at least {SMALLEST} pixels in both directions.",
            "Measure larger frames or choose another measure.",
        )
    heat, values = MeanMap(height, width), []
    for one, two in zip(first, second, strict=True):
        maps = distance(one.movedim(-1, 0)[None], two.movedim(-1, 0)[None])
        values.append(float(sum(part.double().mean() for part in maps)))
        whole = [F.interpolate(part, (height, width), mode="bilinear", align_corners=False) for part in maps]
        heat.add(torch.cat(whole).sum(dim=(0, 1)).float().cpu().numpy())
    return Measurement("LPIPS", mean(values), tuple(values), "", False, heat.mean())
