"""LPIPS's files in published layout and full width, with synthetic weights."""

import torch
from betwixt.common.measures.perceptual import Backbone, backbone_width

from support.models.synthetic_weights import fill


def backbone_weights(backbone: Backbone) -> dict[str, torch.Tensor]:
    """torchvision's state dict without the classifier, which LPIPS does not use."""
    with torch.device("meta"):
        features = backbone.build(weights=None).features
    return {f"features.{key}": fill(f"features.{key}", value.shape) for key, value in features.state_dict().items()}


def head_weights(backbone: Backbone) -> dict[str, torch.Tensor]:
    """The heads' weights are never negative."""
    with torch.device("meta"):
        features = backbone.build(weights=None).features
    widths = [backbone_width(features[:end]) for end in backbone.ends]
    names = [f"lin{layer}.model.1.weight" for layer in range(len(widths))]
    return {name: fill(name, (1, width, 1, 1)).abs() for name, width in zip(names, widths, strict=True)}
