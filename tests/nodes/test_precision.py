"""Every network in full and half precision against its golden case, with one table of tolerances for all."""

import importlib

import pytest

DTYPES = ("fp32", "fp16", "bf16")
ALWAYS_FLOAT32 = ("GMFlow",)  # docs/methods/flow.md, Cost and precision
NETWORKS = ("ControlNeXt", "FCVG UNet", "GlueStick", "SuperPoint", "ToonCrafter UNet", "ToonCrafter first stage")
LOOPS = ("FCVG loop", "Rerender key frames", "ToonCrafter loop")  # minutes on a processor: benchmarks.card runs them
CASES = [(network, dtype) for network in NETWORKS for dtype in DTYPES] + [(name, "fp32") for name in ALWAYS_FLOAT32]


@pytest.fixture
def precision(host):
    return importlib.import_module("tests.parity.precision")


@pytest.mark.parametrize(("network", "dtype"), CASES)
def test_a_network_stays_near_its_golden_case(precision, network, dtype):
    what, error = precision.worst(network, dtype)
    assert error <= precision.tolerance(network, dtype), what


def test_every_network_has_a_tolerance_for_every_dtype(precision):
    assert sorted(precision.PROBES) == sorted(precision.TOLERANCES) == sorted((*NETWORKS, *ALWAYS_FLOAT32, *LOOPS))
    assert tuple(precision.DTYPES) == DTYPES
    assert {len(row) for row in precision.TOLERANCES.values()} == {len(DTYPES)}
