"""LPIPS against stored numbers of the package lpips, with the same synthetic weights in both."""

import numpy as np
import pytest
import torch
from betwixt.common.errors import BetwixtError
from betwixt.common.measures.perceptual import ALEXNET, BACKBONES, LPIPS, VGG16, lpips

from support.models.perceptual_stand_ins import backbone_weights, head_weights

# Computed by lpips 0.1.4, its network and heads filled with the same weights (docs/methods/measures.md, LPIPS).
STORED = {
    "AlexNet": (0.038159504532814026, 0.037845030426979065),
    "VGG16": (0.036850929260253906, 0.03633891046047211),
}


def pictures() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    first = torch.rand(2, 64, 80, 3, generator=generator)
    return first, (first + 0.2 * torch.randn(first.shape, generator=generator)).clamp(0, 1)


def network(backbone) -> LPIPS:
    return LPIPS(backbone, backbone_weights(backbone), head_weights(backbone))


@pytest.mark.parametrize("name", BACKBONES)
def test_the_distance_is_that_of_the_package(name):
    first, second = pictures()
    result = lpips(first, second, network(BACKBONES[name]))
    assert result.per_frame == pytest.approx(STORED[name], rel=1e-4)
    assert result.value == pytest.approx(np.mean(STORED[name]), rel=1e-4) and result.heat.shape == (64, 80)


def test_equal_pictures_are_no_distance_apart_and_a_change_is_found_where_it_is():
    first, changed = pictures()[0], pictures()[0].clone()
    changed[:, :20, :20] = 0
    distance = network(ALEXNET)
    same = lpips(first, first, distance)
    assert same.value == 0 and same.heat.max() == 0
    heat = lpips(first, changed, distance).heat
    assert heat[:20, :20].mean() > 3 * heat[44:, 50:].mean()


def test_what_cannot_serve_is_refused():
    weights, head = backbone_weights(ALEXNET), head_weights(ALEXNET)
    with pytest.raises(BetwixtError, match="not those of VGG16.*vgg16-397923af.pth"):
        LPIPS(VGG16, weights, head)
    with pytest.raises(BetwixtError, match="head is not that of AlexNet"):
        LPIPS(ALEXNET, weights, head_weights(VGG16))
    small = torch.zeros(1, 63, 100, 3)
    with pytest.raises(BetwixtError, match="100x63.*at least 64"):
        lpips(small, small, network(ALEXNET))
