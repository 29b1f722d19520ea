"""ToonCrafter and DynamiCrafter files: what they hold, and what is no such file."""

import json
import subprocess
import sys

import pytest
import torch
from betwixt.common.errors import BetwixtError

from support.bootstrap import ROOT
from support.models import tooncrafter_stand_ins as stand_ins
from support.models.synthetic_weights import load_manifest


@pytest.mark.parametrize("name", ["fp16.safetensors", "pruned.safetensors", "deepspeed.pt"])
def test_repackaged_files_hold_the_same_model(tooncrafter_files, tooncrafter, name):
    from betwixt.nodes.host.tooncrafter.files import load_checkpoint

    other = load_checkpoint(str(tooncrafter_files / name))
    assert other.variant == tooncrafter.variant and "Missing" not in other.report
    assert (other.clip is None, other.clip_vision is None) == ((name == "pruned.safetensors"),) * 2
    ours, theirs = (entry.model.model.diffusion_model.state_dict() for entry in (tooncrafter, other))
    assert max(float((ours[key] - theirs[key]).abs().max()) for key in ours) < (0 if "deep" in name else 2e-3) + 1e-9
    sampling = (entry.model.model.model_sampling.sigmas for entry in (tooncrafter, other))
    assert torch.equal(*sampling)  # whatever the file's half-precision tables say


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("incomplete.safetensors", ["'incomplete.safetensors'", "missing", "temopral_conv"]),
        ("no_resampler.sft", ["without its resampler"]),
        ("sd21.safetensors", ["'sd21.safetensors' holds a Stable Diffusion 2 checkpoint", "Doubiiu/ToonCrafter"]),
        ("sketch_encoder.ckpt", ["'sketch_encoder.ckpt' holds a ControlNet", "ToonCrafter"]),
    ],
)
def test_unsuitable_files_are_refused_by_name(tooncrafter_files, name, said):
    from betwixt.nodes.host.tooncrafter.files import load_checkpoint

    with pytest.raises(BetwixtError) as caught:
        load_checkpoint(str(tooncrafter_files / name))
    assert [words for words in said if words not in str(caught.value)] == []


def test_first_stages_have_the_published_keys_and_shapes(host):
    from betwixt.nodes.host.tooncrafter.first_stage import FirstStageNetwork
    from betwixt.tooncrafter_core.checkpoint import take_apart

    for name, count in (("", 396), ("_dynamicrafter_512", 248), ("_dynamicrafter_256", 248)):
        manifest = load_manifest(stand_ins.GOLDEN / f"full_manifest{name}.json.gz")
        parts = take_apart({key: torch.empty(e["shape"], device="meta") for key, e in manifest.items()})
        network = FirstStageNetwork(parts.first_stage).state_dict()
        assert {key: v.shape for key, v in network.items()} == {key: v.shape for key, v in parts.first_stage.items()}
        assert len(network) == count


def test_the_sketch_encoder_has_the_published_keys_and_shapes(host):
    from betwixt.nodes.host.tooncrafter.sketch_guidance import sketch_network

    manifest = load_manifest(stand_ins.GOLDEN / "full_manifest_sketch_encoder.json.gz")
    tensors = {key: torch.empty(entry["shape"], device="meta") for key, entry in manifest.items()}
    network = sketch_network(tensors, torch.float16, None)
    assert {key: v.shape for key, v in network.state_dict().items()} == {key: v.shape for key, v in tensors.items()}
    assert len(tensors) == 340
    assert network.input_blocks[1][1].transformer_blocks[0].attn1.heads == 5  # of width 64


def test_other_controlnets_are_not_sketch_encoders(tooncrafter_files):
    from betwixt.nodes.host.tooncrafter.sketch_guidance import load_sketch_encoder

    coloured = {**stand_ins.sketch_encoder(), "input_hint_block.0.weight": torch.zeros(16, 3, 3, 3)}
    torch.save(coloured, tooncrafter_files / "coloured.pth")
    with pytest.raises(BetwixtError, match="hints of 3 channels"):
        load_sketch_encoder(str(tooncrafter_files / "coloured.pth"))
    with pytest.raises(BetwixtError, match="holds a ToonCrafter checkpoint"):
        load_sketch_encoder(str(tooncrafter_files / "model.ckpt"))


def test_a_pickled_file_is_not_held_twice(tooncrafter_files):
    """Loaded in half precision: half of it is made, the rest are pages of the file, which the system may drop; all of
    them are touched, because weights are tested for values that are not finite. 16 MiB are for what is no weight."""
    path = tooncrafter_files / "model.ckpt"
    command = [sys.executable, "-m", "benchmarks.tooncrafter_loading", "--job"]
    command.append(json.dumps({"path": str(path), "weight_dtype": "fp16"}))
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    peak = json.loads(done.stdout.splitlines()[-1])
    size = path.stat().st_size / 2**20
    assert peak["variant"] == "ToonCrafter"
    assert peak["unmapped"] < 0.75 * size and peak["all"] < 1.5 * size + 16
