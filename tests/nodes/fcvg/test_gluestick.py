"""'Load GlueStick' on files in the published layouts, and on everything that is not one."""

import os

import numpy as np
import pytest
import torch
from betwixt.common.errors import BetwixtError
from safetensors.torch import save_file

from support.golden import STORED, Case, max_error
from support.models.published_gluestick import (
    gluestick_weights,
    superpoint_weights,
    training_checkpoint,
    write_published_files,
)

SUPERPOINT, GLUESTICK = "superpoint_v1.pth", "checkpoint_GlueStick_MD.tar"
SETTINGS = {"detector": "exact", "max_lines": 30, "max_points": 64, "min_length": 15.0, "threshold": 0.01}


@pytest.fixture
def models(host, tmp_path, monkeypatch):
    """The folder 'betwixt' of the host, with both published files in it."""
    import folder_paths
    from betwixt.nodes.host.services.model_files import MODEL_FOLDERS

    entry = ([str(tmp_path)], MODEL_FOLDERS["betwixt"])
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "betwixt", entry)
    write_published_files(tmp_path)
    return tmp_path


def load(superpoint=SUPERPOINT, gluestick=GLUESTICK, **settings):
    from betwixt.nodes.fcvg.gluestick import LoadGlueStick

    return LoadGlueStick.execute(superpoint, gluestick, **{**SETTINGS, **settings}).result[0]


@pytest.fixture
def pair():
    """The golden pair: its two pictures as RGB, and the segments matched in them, best first."""
    case = Case(STORED / "gluestick" / "pair_building_120x160.safetensors")
    scores = case["out.line_match_scores0"][0][case["out.line_matches0"][0] >= 0]
    order = torch.argsort(scores, descending=True, stable=True)
    pictures = [np.repeat(case.array(f"in.gray{index}")[..., None], 3, axis=2) for index in (0, 1)]
    return pictures, case["out.matched_lines0"][order], case["out.matched_lines1"][order], scores[order]


def test_published_files_give_the_published_matches(models, pair):
    (first, last), start, end, scores = pair
    shares = []
    matches = load().match(first, last, lambda share, text: shares.append(share))
    assert max_error(matches.start.copy(), start) < 1e-4 and max_error(matches.end.copy(), end) < 1e-4
    assert max_error(matches.score.copy(), scores) < 1e-5
    assert matches.canvas == (120, 160) and len(matches) == 3
    assert shares == sorted(shares) and shares[0] == 0 and shares[-1] == 1


@pytest.mark.parametrize(
    "write",
    [
        lambda path: torch.save(training_checkpoint(gluestick_weights(), "module.matcher."), path),
        lambda path: torch.save(gluestick_weights(), path),
        lambda path: torch.save({"state_dict": gluestick_weights()}, path, _use_new_zipfile_serialization=False),
        lambda path: save_file(training_checkpoint(gluestick_weights())["model"], str(path)),
        lambda path: save_file(
            {name: value for name, value in gluestick_weights().items() if "num_batches_tracked" not in name}, str(path)
        ),
    ],
    ids=["data-parallel", "bare", "old format", "safetensors", "without counters"],
)
def test_other_layouts_hold_the_same_matcher(models, pair, write, request):
    name = "other.safetensors" if request.node.callspec.id in ("safetensors", "without counters") else "other.ckpt"
    write(models / name)
    assert max_error(load(gluestick=name).match(*pair[0]).start.copy(), pair[1]) < 1e-4


def test_half_precision_files_are_computed_in_float32(models):
    save_file({name: value.half() for name, value in superpoint_weights().items()}, str(models / "half.safetensors"))
    matcher = load(superpoint="half.safetensors")
    assert {parameter.dtype for parameter in matcher.superpoint.parameters()} == {torch.float32}


def test_the_host_manages_both_networks(models):
    import comfy.model_management
    import comfy.model_patcher

    matcher = load()
    assert comfy.model_patcher.is_model_patcher_output(matcher)
    device = matcher.resident(matcher.activation_bytes(576, 1024))
    assert device == comfy.model_management.get_torch_device()
    loaded = comfy.model_management.loaded_models()
    assert matcher.patcher in loaded and next(matcher.gluestick.parameters()).device.type == device.type
    assert matcher.patcher.model_size() == sum(
        tensor.nbytes for network in (matcher.superpoint, matcher.gluestick) for tensor in network.state_dict().values()
    )


def test_settings_reach_the_matcher(models):
    matcher = load(detector="quick", max_lines=7, max_points=9, min_length=20.0, threshold=0.5)
    assert (matcher.detector, matcher.max_lines, matcher.max_points) == ("quick", 7, 9)
    assert (matcher.min_length, matcher.threshold) == (20.0, 0.5)


@pytest.mark.parametrize("detector", ["quick", "exact"])
@pytest.mark.parametrize("size", [(8, 8), (5, 30), (67, 90)])
def test_pictures_without_lines_give_no_matches(models, detector, size):
    flat = np.full((*size, 3), 127, np.uint8)
    matches = load(detector=detector).match(flat, flat)
    assert len(matches) == 0 and matches.start.shape == (0, 2, 2) and matches.canvas == size


def wrong(superpoint=SUPERPOINT, gluestick=GLUESTICK) -> BetwixtError:
    with pytest.raises(BetwixtError) as caught:
        load(superpoint, gluestick)
    return caught.value


def test_exchanged_files_are_named(models):
    error = wrong(superpoint=GLUESTICK)
    assert str(error).startswith(f"'{GLUESTICK}' holds a GlueStick line matcher. SuperPoint is needed here.")
    assert SUPERPOINT in error.remedy and "non-commercial" in error.remedy
    error = wrong(gluestick=SUPERPOINT)
    assert str(error).startswith(f"'{SUPERPOINT}' holds SuperPoint. A GlueStick line matcher is needed here.")
    assert "github.com/cvg/GlueStick" in error.remedy


def test_other_weights_are_named(models):
    save_file({"model.diffusion_model.input_blocks.0.0.weight": torch.ones(1)}, str(models / "sd.safetensors"))
    assert "a Stable Diffusion checkpoint" in wrong(superpoint="sd.safetensors").wrong
    assert "a Stable Diffusion checkpoint" in wrong(gluestick="sd.safetensors").wrong
    torch.save({"epoch": 3}, models / "none.pth")
    assert "holds no tensors" in wrong(gluestick="none.pth").wrong


def test_incomplete_weights_are_reported(models):
    weights = gluestick_weights()
    del weights["gnn.layers.3.update.attn.merge.bias"]
    save_file(weights, str(models / "part.safetensors"))
    assert "1 of 195 tensors are missing (e.g. 'gnn.layers.3.update.attn.merge.bias')" in str(
        wrong(gluestick="part.safetensors")
    )
    weights = superpoint_weights()
    weights["conv2a.weight"] = weights["conv2a.weight"][:10]
    save_file(weights, str(models / "cut.safetensors"))
    assert "'conv2a.bias': [64] instead of [10]" in str(wrong(superpoint="cut.safetensors"))


def test_a_missing_file_is_described(models):
    (models / SUPERPOINT).unlink()
    error = wrong()
    assert f"'{SUPERPOINT}' was not found" in error.wrong and str(models) in error.allowed
    assert "github.com/magicleap" in error.remedy and "non-commercial" in error.remedy


def test_only_files_that_are_there_can_be_chosen_and_a_missing_one_is_told_before_anything_runs(models):
    from betwixt.nodes.fcvg.gluestick import LoadGlueStick

    (models / SUPERPOINT).unlink()
    (models / GLUESTICK).rename(models / "sub.pt")
    inputs = LoadGlueStick.GET_SCHEMA().inputs[:2]
    assert {entry.id: entry.options for entry in inputs} == {"superpoint": ["sub.pt"], "gluestick": ["sub.pt"]}
    assert [entry.default for entry in inputs] == [SUPERPOINT, GLUESTICK]  # what a new node asks for
    assert LoadGlueStick.validate_inputs("sub.pt", None) is True  # None: a wire brings it
    told = LoadGlueStick.validate_inputs(SUPERPOINT, "sub.pt")
    assert f"'{SUPERPOINT}' was not found" in told and str(models) in told and "github.com/magicleap" in told
    (models / "sub.pt").unlink()
    assert [entry.options for entry in LoadGlueStick.GET_SCHEMA().inputs[:2]] == [[], []]


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("share", [0.001, 0.5, 0.999])
def test_truncated_files_are_refused(models, zipped, share):
    path = models / "short.pth"
    torch.save(superpoint_weights(), path, _use_new_zipfile_serialization=zipped)
    os.truncate(path, int(path.stat().st_size * share))
    error = wrong(superpoint="short.pth")
    assert "'short.pth' could not be read as a weight file" in error.wrong and "Download it again" in error.remedy


def test_truncated_safetensors_are_refused(models):
    path = models / "short.safetensors"
    save_file(superpoint_weights(), str(path))
    os.truncate(path, path.stat().st_size - 10)
    assert "could not be read" in wrong(superpoint="short.safetensors").wrong


@pytest.mark.parametrize("content", [b"", b"garbage that is no file", b"\x80\x02}q\x00."])
def test_damaged_files_are_refused(models, content):
    (models / "bad.pth").write_bytes(content)
    error = wrong(superpoint="bad.pth")
    assert "'bad.pth'" in error.wrong and str(models / "bad.pth") in error.remedy


class RunsCode:
    def __reduce__(self):
        return os.mkdir, ("ran",)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_file_is_not_run(models, monkeypatch, zipped):
    monkeypatch.chdir(models)
    contents = {**training_checkpoint(gluestick_weights()), "conf": RunsCode()}
    torch.save(contents, models / "code.pth", _use_new_zipfile_serialization=zipped)
    error = wrong(gluestick="code.pth")
    assert "mkdir" in error.wrong and "not run" in error.wrong
    assert not (models / "ran").exists()


def test_a_file_that_is_no_mapping_is_refused(models):
    torch.save([torch.ones(1)] * 2, models / "list.pth")
    assert "a list instead of named tensors" in wrong(superpoint="list.pth").wrong
