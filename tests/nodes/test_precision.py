"""Every network in every precision against its golden case, with one table of tolerances for all."""

import ast
import importlib

import pytest

from support.bootstrap import ROOT

DTYPES = ("fp32", "fp16", "bf16")
ALWAYS_FLOAT32 = ("GMFlow",)  # docs/methods/flow.md, Cost and precision
NETWORKS = ("ControlNeXt", "FCVG UNet", "GlueStick", "SuperPoint", "ToonCrafter UNet", "ToonCrafter first stage")
SLOW = ("GI", "ToonCrafter resampler", "Sketch encoder")
LOOPS = ("FCVG loop", "Rerender key frames", "ToonCrafter loop")  # minutes on a processor: benchmarks.card runs them
CASES = [
    *((network, dtype) for network in NETWORKS for dtype in DTYPES),
    *((network, "fp32") for network in ALWAYS_FLOAT32),
    *(pytest.param(network, dtype, marks=pytest.mark.long) for network in SLOW for dtype in DTYPES),
]
# File with network classes -> the probe that evaluates them, or why there is none.
PROBE_OF = {
    "common/measures/perceptual.py": "no probe: weights and pictures are float32 wherever LPIPS runs",
    "fcvg_core/lines/gluestick/network.py": "GlueStick",
    "fcvg_core/lines/gluestick/superpoint.py": "SuperPoint",
    "fcvg_core/sampling/backward_motion.py": "GI",
    "fcvg_core/sampling/controlnext.py": "ControlNeXt",
    "nodes/host/services/line_matchers.py": "no probe: holds SuperPoint and GlueStick",
    "nodes/host/tooncrafter/first_stage.py": "ToonCrafter first stage",
    "rerender_core/flow/gmflow.py": "GMFlow",
    "tooncrafter_core/attention.py": "ToonCrafter UNet",
    "tooncrafter_core/blocks.py": "ToonCrafter UNet",
    "tooncrafter_core/dual_reference.py": "ToonCrafter first stage",
    "tooncrafter_core/resampler.py": "ToonCrafter resampler",
    "tooncrafter_core/unet.py": "ToonCrafter UNet",
}


@pytest.fixture
def precision(host):
    return importlib.import_module("tests.parity.precision")


@pytest.mark.parametrize(("network", "dtype"), CASES)
def test_a_network_stays_near_its_golden_case(precision, network, dtype):
    what, error = precision.worst(network, dtype)
    assert error <= precision.tolerance(network, dtype), what


def test_every_network_has_a_tolerance_for_every_dtype(precision):
    assert sorted(precision.PROBES) == sorted(precision.TOLERANCES)
    assert sorted(precision.PROBES) == sorted((*NETWORKS, *SLOW, *ALWAYS_FLOAT32, *LOOPS))
    assert tuple(precision.DTYPES) == DTYPES
    assert {len(row) for row in precision.TOLERANCES.values()} == {len(DTYPES)}


def files_with_networks() -> set[str]:
    """Of the pack, those that define layers or networks of PyTorch."""
    found = set()
    for folder in ("common", "fcvg_core", "rerender_core", "tooncrafter_core", "nodes"):
        for path in (ROOT / folder).rglob("*.py"):
            classes = (node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.ClassDef))
            bases = {getattr(base, "attr", getattr(base, "id", "")) for each in classes for base in each.bases}
            if "Module" in bases:
                found.add(path.relative_to(ROOT).as_posix())
    return found


def test_every_network_of_the_pack_has_a_probe(precision):
    assert files_with_networks() == set(PROBE_OF)
    assert {probe for probe in PROBE_OF.values() if not probe.startswith("no probe: ")} <= set(precision.PROBES)
