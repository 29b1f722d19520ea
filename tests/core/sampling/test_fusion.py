import math

import pytest
import torch
from betwixt.common.errors import BetwixtError
from betwixt.fcvg_core.sampling.fusion import Fusion, constant_weight, guide


def test_the_published_weights_run_from_forward_to_backward():
    fusion = Fusion()
    assert fusion.weights(5).flatten().tolist() == [1.0, 0.75, 0.5, 0.25, 0.0]
    forward, backward = torch.zeros(5, 4, 2, 2), torch.arange(5.0).view(-1, 1, 1, 1).expand(5, 4, 2, 2)
    # frame 4 is the backward clip's frame 0
    assert fusion.fuse(forward, backward)[:, 0, 0, 0].tolist() == [0.0, 0.75, 1.0, 0.75, 0.0]


def test_other_weights():
    assert Fusion(weight=constant_weight(0.5)).weights(3).flatten().tolist() == [0.5] * 3
    assert Fusion(weight=lambda time: time**2).weights(3).flatten().tolist() == [0.0, 0.25, 1.0]
    assert Fusion(weight=[0.25, 0.5]).weights(2).flatten().tolist() == [0.25, 0.5]


def test_a_list_must_have_one_weight_per_frame():
    with pytest.raises(BetwixtError, match="2 weights and the clip 25 frames"):
        Fusion(weight=[0.25, 0.5]).weights(25)


def test_guidance_rises_over_the_frames_of_a_direction():
    assert Fusion(guidance=(1.0, 3.0)).scale(5).flatten().tolist() == [1.0, 1.5, 2.0, 2.5, 3.0]
    cond, uncond = torch.full((2, 4, 1, 1), 3.0), torch.ones(2, 4, 1, 1)
    assert guide(cond, uncond, torch.tensor([0.0, 2.0]).view(2, 1, 1, 1))[:, 0, 0, 0].tolist() == [1.0, 5.0]


def test_the_unconditional_prediction_is_needed_inside_the_interval_only():
    fusion = Fusion(guided_sigmas=(1.0, 100.0))
    assert [fusion.guides(sigma) for sigma in (0.5, 1.0, 50.0, 100.0, 700.0)] == [False, True, True, True, False]
    assert Fusion().guides(700.0) and not Fusion(guidance=(1.0, 1.0)).guides(10.0)
    assert Fusion(guidance=(1.0, 3.0)).guides(math.exp(-6))
