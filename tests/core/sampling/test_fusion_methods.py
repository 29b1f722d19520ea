"""The records of the fusion methods agree with the functions they stand for."""

import inspect

import pytest
import torch
from betwixt.fcvg_core.sampling.fusion_methods import METHODS
from betwixt.fcvg_core.sampling.noise_levels import karras_sigmas

STEPS = 7


class Counting:
    """A denoiser for which everything is black."""

    def __init__(self):
        self.calls = {"fused": 0, "forward": 0, "backward": 0}

    def fused(self, x, sigma):
        self.calls["fused"] += 1
        return torch.zeros_like(x)

    def forward(self, x, sigma):
        self.calls["forward"] += 1
        return torch.zeros_like(x), torch.zeros_like(x)

    def backward(self, x, sigma):
        self.calls["backward"] += 1
        return torch.zeros_like(x), torch.zeros_like(x)


@pytest.mark.parametrize("name", METHODS)
def test_settings_are_the_samplers_own_keywords(name):
    method = METHODS[name]
    parameters = inspect.signature(method.sample).parameters
    assert list(parameters)[:5] == ["denoiser", "x", "sigmas", "report", "draw"] and method.name == name
    assert {setting.name: setting.default for setting in method.settings} == {
        key: parameters[key].default for key in list(parameters)[5:] if key not in ("first", "last")
    }
    assert method.needs_keyframe_latents == ("first" in parameters and "last" in parameters)
    for setting in method.settings:
        assert setting.low <= setting.default <= setting.high and setting.tooltip


@pytest.mark.parametrize("name", METHODS)
def test_evaluations_are_counted_as_the_sampler_makes_them(name):
    method, denoiser, reports = METHODS[name], Counting(), []
    x = torch.ones(4, 4, 2, 2)
    small = {"jump_length": 2, "jump_samples": 3, "repeat_ratio": 0.2, "repeats": 2}
    options = {setting.name: small.get(setting.name, setting.default) for setting in method.settings}
    ends = {"first": x[0], "last": x[0]} if method.needs_keyframe_latents else {}
    method.sample(
        denoiser,
        x,
        karras_sigmas(STEPS),
        lambda *report: reports.append(report),
        lambda: torch.zeros_like(x),
        **ends,
        **options,
    )
    expected = method.evaluations(STEPS, **options)
    assert len(reports) == expected == max(denoiser.calls.values()) and expected >= STEPS
