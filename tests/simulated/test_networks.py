"""Every network and loop with a golden case, as the card computes it."""

import importlib

import pytest

from support.card_tensors import Card

SLOW = (
    "FCVG UNet",
    "GI",
    "ToonCrafter resampler",
    "Sketch encoder",
    "FCVG loop",
    "Rerender key frames",
    "ToonCrafter loop",
)
NETWORKS = ("ControlNeXt", "GMFlow", "GlueStick", "SuperPoint", "ToonCrafter UNet", "ToonCrafter first stage")


@pytest.fixture(scope="module")
def precision(host):
    return importlib.import_module("tests.parity.precision")


@pytest.mark.parametrize("probe", [*NETWORKS, *(pytest.param(loop, marks=pytest.mark.long) for loop in SLOW)])
def test_the_golden_case(precision, probe):
    operations = Card.operations
    what, error = precision.worst(probe, "fp32")
    assert error <= precision.tolerance(probe, "fp32"), what
    assert Card.operations - operations > 100  # it was the card that computed


def test_every_probe_is_here(precision):
    assert sorted(precision.PROBES) == sorted((*NETWORKS, *SLOW))
