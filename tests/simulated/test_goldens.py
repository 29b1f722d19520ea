"""Every golden case, as the card computes it: what is compared on a processor holds here, and nothing is refused."""

import importlib

import pytest

from support.card_tensors import Card
from support.golden import STORED

# Drawing, line segments, decoding of poses and tables of a schedule are the processor's everywhere.
NOT_ON_CARDS = {
    "dwpose": ("",),
    "ebsynth": ("blend",),
    "fcvg": ("cond_", "palette", "preproc", "sigmas"),
    "gluestick": ("lsd_",),
    "rerender": ("color_correction", "ddim_schedule"),
    "tooncrafter": ("dc256_schedule", "image_prep", "schedule"),
}
SLOW = (
    "ebsynth/stat_texture",
    "fcvg/gi_attnflip_a",
    "fcvg/loop_b",
    "fcvg/unet_forward_a",
    "gluestick/lsd_building_120x160",
    "rerender/keyframes_noise_start_8steps",
    "tooncrafter/dc_plain_vae_decode",
    "tooncrafter/ddim_trailing4_eta0_cfg1",
    "tooncrafter/e2e",
    "tooncrafter/sketch_control",
    "tooncrafter/vae_decode",
)


def stored() -> list:
    from tests.parity.__main__ import cases

    found = []
    for folder in sorted(folder for folder in STORED.iterdir() if folder.is_dir()):
        for case in cases(folder, "cuda:0"):
            name = f"{case.component}/{case.name}"
            found.append(pytest.param(case, id=name, marks=[pytest.mark.long] if name in SLOW else []))
    return found


@pytest.mark.parametrize("case", stored())
def test_golden(card, case):
    run, launches = importlib.import_module("tests.parity.__main__").run, Card.launches
    checks = run(case)
    assert [f"{check.name}: {check.error:.3g} > {check.tolerance:.3g}" for check in checks if not check.ok] == []
    beside = case.name.startswith(NOT_ON_CARDS.get(case.component, ("/",)))
    assert beside or Card.launches - launches >= 10  # it was the card that computed


def test_the_command_says_which_device(card, capsys, tmp_path):
    (tmp_path / "fcvg").mkdir()
    for name in ("toy_fcvg_b.safetensors", "sigmas.safetensors"):
        (tmp_path / "fcvg" / name).symlink_to(STORED / "fcvg" / name)
    launches = Card.launches
    assert importlib.import_module("tests.parity.__main__").main([str(tmp_path / "fcvg"), "--device", "cuda"]) == 0
    assert "2 of 2 cases ok" in capsys.readouterr().out and Card.launches - launches >= 10


def test_cases_are_named_as_they_are():
    assert set(SLOW) <= {f"{path.parent.name}/{path.stem}" for path in STORED.glob("*/*.safetensors")}
