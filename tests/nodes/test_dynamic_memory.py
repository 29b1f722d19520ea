"""Models under the host's dynamic memory, which is on wherever the host finds an NVIDIA card.

What it does to layers when they are made and loaded is the same on a processor; only the paging needs a card.
"""

from unittest import mock

import pytest
import torch

from support.golden import STORED
from support.models import synthetic_weights

NETWORKS = ("gmflow", "gluestick", "superpoint", "controlnext", "svd", "tooncrafter", "sketches")


@pytest.fixture
def dynamic(host, monkeypatch):
    import comfy.memory_management
    import comfy.model_patcher

    monkeypatch.setattr(comfy.memory_management, "aimdo_enabled", True)
    monkeypatch.setattr(comfy.model_patcher, "CoreModelPatcher", comfy.model_patcher.ModelPatcherDynamic)


def manifest(name: str) -> dict:
    return synthetic_weights.state_dict(synthetic_weights.load_manifest(STORED / name))


def network(name: str, tmp_path) -> torch.nn.Module:
    """The network as the pack's loader makes it."""
    import comfy.ops

    operations = comfy.ops.disable_weight_init
    if name == "gmflow":
        from betwixt.rerender_core.flow.loading import load_gmflow

        halved = {key: value.half() for key, value in manifest("gmflow/full_manifest.json.gz").items()}
        return load_gmflow({"model": halved}, operations=operations)
    if name == "superpoint":
        from betwixt.fcvg_core.lines.gluestick.loading import load_superpoint

        return load_superpoint(manifest("gluestick/superpoint_manifest.json"), operations=operations)
    if name == "gluestick":
        from betwixt.fcvg_core.lines.gluestick.loading import load_gluestick

        weights = {f"matcher.{key}": value for key, value in manifest("gluestick/manifest.json").items()}
        return load_gluestick(
            {**weights, "extractor.sp.conv1a.weight": torch.zeros(64, 1, 3, 3)}, operations=operations
        )
    if name == "controlnext":
        from betwixt.nodes.host.svd.controlnext_model import controlnext_from

        return controlnext_from(manifest("fcvg/controlnext.manifest.json.gz")).model
    if name == "svd":
        import comfy.memory_management
        from betwixt.nodes.host.svd.model import model_from

        from support.models import tiny_svd

        with mock.patch.object(
            comfy.memory_management, "aimdo_enabled", False
        ):  # it asks the host's network for shapes
            weights = tiny_svd.unet_weights()
        return model_from(weights, "unet", "fp32")[0].model
    from support.models import tooncrafter_checkpoints, tooncrafter_stand_ins

    if name == "sketches":
        from betwixt.nodes.host.tooncrafter.sketch_guidance import load_sketch_encoder

        torch.save(tooncrafter_stand_ins.sketch_encoder(), tmp_path / "sketch_encoder.ckpt")
        return load_sketch_encoder(str(tmp_path / "sketch_encoder.ckpt")).control_model
    loaded = tooncrafter_checkpoints.load(STORED / "tooncrafter" / "manifest.json.gz")
    first_stage = loaded.first_stage
    return torch.nn.ModuleList([loaded.model.model, first_stage.patcher.model, first_stage.resampler.model])


@pytest.mark.parametrize("name", NETWORKS)
def test_every_weight_arrives(name, dynamic, monkeypatch, tmp_path):
    import comfy.memory_management

    found = network(name, tmp_path).state_dict()
    monkeypatch.setattr(comfy.memory_management, "aimdo_enabled", False)
    expected = network(name, tmp_path).state_dict()
    assert found.keys() == expected.keys()
    different = [key for key, value in expected.items() if not torch.equal(found[key], value)]
    assert different == []
    assert {key: value.dtype for key, value in found.items()} == {key: v.dtype for key, v in expected.items()}
    assert sum(bool(value.any()) for value in found.values()) > 0.9 * len(found)


def test_wrong_files_are_still_recognised(dynamic):
    from betwixt.common.errors import BetwixtError
    from betwixt.nodes.host.svd.controlnext_model import controlnext_from

    weights, name = manifest("fcvg/controlnext.manifest.json.gz"), "time_embedding.linear_2.bias"
    weights[name] = torch.zeros(3)
    with pytest.raises(BetwixtError, match=rf"1 have another shape \(e.g. '{name}': \[3\] instead of \[256\]\)"):
        controlnext_from(weights)
    del weights[name]
    with pytest.raises(BetwixtError, match=rf"1 of \d+ tensors are missing \(e.g. '{name}'\)"):
        controlnext_from(weights)
