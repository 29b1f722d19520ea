"""Every golden file stored with the tests, run as ``python -m tests.parity`` runs it."""

import json

import pytest
import torch
from betwixt.tooncrafter_core.keyframes import key_latents
from betwixt.tooncrafter_core.schedule import Schedule
from safetensors.torch import save_file

from support.golden import STORED, Case, Check
from support.models.tooncrafter_checkpoints import checkpoint
from tests.parity import __main__ as parity
from tests.parity import tooncrafter, tooncrafter_sampling
from tests.parity.__main__ import cases, kind_of, run
from tests.parity.tooncrafter_networks import run_unet


def stored_cases():
    folders = sorted(folder for folder in STORED.iterdir() if folder.is_dir())
    return [pytest.param(case, id=f"{case.component}/{case.name}") for folder in folders for case in cases(folder)]


@pytest.mark.parametrize("case", stored_cases())
def test_golden(case):
    failed = [f"{check.name}: {check.error:.3g} > {check.tolerance:.3g}" for check in run(case) if not check.ok]
    assert failed == []
    if case.component == "tooncrafter":  # everything it holds is compared, or it is said why not
        assert set(case.tensors) - case.read <= set(tooncrafter.NOT_PUT_OUT)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ddim_trailing4", "ddim_"),
        ("dc1024_scale0.3_ddim_trailing4_eta1_cfg7.5", "ddim_"),
        ("dc256_unet", "unet"),
        ("dc_plain_vae_decode_wide", "dc_plain_vae_decode"),
        ("dc256_schedule", "dc256_schedule"),
    ],
)
def test_kinds_are_the_longest_known_ones_behind_variants(name, kind):
    assert kind_of(name, tooncrafter.KINDS) == kind


def test_what_is_no_kind_is_refused():
    with pytest.raises(LookupError, match="no way to run 'unheard_of'"):
        kind_of("unheard_of", tooncrafter.KINDS)


def test_a_missing_package_is_installed_before_a_case_fails(monkeypatch, capsys):
    installed = []

    def needs_onnx(case):
        if not installed:
            raise ModuleNotFoundError("No module named 'onnx'", name="onnx")
        return [Check("value", 0.0, 0.0)]

    monkeypatch.setattr(parity, "run", needs_onnx)
    monkeypatch.setattr(parity, "install", installed.append)
    assert parity.report(Case(STORED / "dwpose" / "new.safetensors")) and installed == ["onnx"]
    assert capsys.readouterr().out.endswith(" ok\n")


GIVEN = ("x_T", "noise", "context", "uncond_context", "z_first", "z_last", "fs")


def written(folder, name: str, tensors: dict) -> Case:
    folder = folder / "tooncrafter"
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.safetensors"
    save_file({key: value.contiguous() for key, value in tensors.items()}, path)
    return Case(path)


def test_a_batch_of_two_clips_is_each_clip_by_itself(tmp_path):
    """Other noise, texts, pictures and frame rates; guided, rescaled, with fresh noise in every step."""
    stored = Case(STORED / "tooncrafter" / "e2e.safetensors").tensors
    first = {key: stored[key] for key in GIVEN} | {"noise": stored["noise"][:2]}
    second = {key: value.flip(-1) for key, value in first.items()} | {"fs": first["fs"] + 9}
    name = "twins_ddim_trailing2_eta1_cfg7.5_rescale0.7"
    alone = [tooncrafter_sampling.run_of(written(tmp_path, name, clip)).out for clip in (first, second)]
    joined = {key: torch.cat([first[key], second[key]]) for key in GIVEN if key != "noise"}
    joined["noise"] = torch.cat([first["noise"], second["noise"]], dim=1)
    both = tooncrafter_sampling.run_of(written(tmp_path, name, joined)).out
    assert both.shape[0] == 2 and float((alone[0] - alone[1]).abs().mean()) > 0.1
    assert float((both - torch.cat(alone)).abs().max()) < 2e-3


def test_another_end_of_the_dynamic_rescale_is_that_of_the_name(tmp_path):
    """Against the published update in the reference's own units."""
    case = Case(STORED / "tooncrafter" / "ddim_trailing4_eta0_cfg1.safetensors")
    given = {key: case.tensors[key] for key in GIVEN if key in case.tensors}
    found = tooncrafter_sampling.run_of(written(tmp_path, "dc1024_scale0.3_ddim_trailing4_eta0_cfg1", given)).out
    schedule = Schedule(final_scale=0.3)
    x, steps = given["x_T"], [999, 749, 499, 249]
    ends = key_latents(given["z_first"][0], given["z_last"][0], x.shape[2], "between two pictures")
    network = checkpoint(case)
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        alpha, scale = float(schedule.alphas[step]), float(schedule.scales[step])
        alpha_then = float(schedule.alphas[following or 0])
        scale_then = scale if following is None else float(schedule.scales[following])
        probe = written(tmp_path, "probe", given | {"timesteps": torch.tensor([step])})
        with torch.inference_mode():
            v = run_unet(network, probe, torch.cat([x, ends.transpose(0, 1)[None]], dim=1))
        clean = (alpha**0.5 * x - (1 - alpha) ** 0.5 * v) * scale_then / scale
        x = alpha_then**0.5 * clean + (1 - alpha_then) ** 0.5 * (alpha**0.5 * v + (1 - alpha) ** 0.5 * x)
    assert float((found - x).abs().max()) < 1e-4


def test_head_counts_are_those_of_the_folder(tmp_path):
    """Towers of 64 channels with 2 and 8 heads, where the UNet's heads would make it 4."""
    folder = tmp_path / "tooncrafter"
    folder.mkdir()
    config = Case(STORED / "tooncrafter" / "text.safetensors").config
    config["text"]["heads"], config["visual"]["heads"] = 2, 8
    (folder / "config.json").write_text(json.dumps(config))
    loaded = checkpoint(Case(folder / "text_wide.safetensors"))
    assert loaded.clip.cond_stage_model.clip_h.transformer.text_model.encoder.layers[0].self_attn.heads == 2
    assert loaded.clip_vision.model.vision_model.encoder.layers[0].self_attn.heads == 8
