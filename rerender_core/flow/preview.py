"""Pictures of optical flow: the colour wheel, and a frame rebuilt from its neighbour."""

import torch
from einops import rearrange
from torch import Tensor
from torchvision.utils import flow_to_image

from .estimation import Flow
from .warping import warp_picture

OCCLUDED = (1.0, 0.0, 0.4)  # colour laid over pixels without a counterpart


def colour_wheel(flow: Flow) -> Tensor:
    """The backward flow in the usual colour code (hue = direction, saturation = length), float32 [T, H, W, 3] 0..1;
    the longest vector of the clip has full saturation."""
    return rearrange(flow_to_image(flow.channels_first()[1]), "t c h w -> t h w c").float() / 255


def warp_preview(frames: Tensor, flow: Flow) -> Tensor:
    """Every target frame rebuilt by warping its source frame, occluded pixels tinted; [T, H, W, 3] 0..1."""
    rebuilt = torch.empty(len(flow), *frames.shape[1:])
    tint = torch.tensor(OCCLUDED)
    for index, (source, _) in enumerate(flow.pairs):
        warped = warp_picture(frames[source], flow.backward[index])
        hidden = flow.occlusion[index][..., None]
        rebuilt[index] = torch.where(hidden, 0.5 * warped + 0.5 * tint, warped)
    return rebuilt
