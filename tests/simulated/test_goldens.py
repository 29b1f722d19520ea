"""Every golden case, as the card computes it: what is compared on a processor holds here, and nothing is refused."""

import importlib

import pytest

from support.bootstrap import ROOT
from support.card_tensors import Card
from support.golden import STORED, Case

# Component -> beginnings of cases whose tensors the host brings to the card, as it does for the nodes.
HOSTED = {
    "fcvg": ("loop_", "sigmas"),
    "rerender": ("ddim_schedule", "fidelity_encode", "keyframes"),
    "tooncrafter": ("",),
}
# Drawing, line segments, decoding of poses and tables of a schedule are the processor's everywhere.
NOT_ON_CARDS = {
    "dwpose": ("",),
    "ebsynth": ("blend",),
    "fcvg": ("cond_", "palette", "preproc", "sigmas"),
    "gluestick": ("lsd_",),
    "rerender": ("color_correction", "ddim_schedule"),
    "tooncrafter": ("dc256_schedule", "image_prep", "schedule"),
}
# Cases whose comparison holds tensors of its own beside the processor -> what computes the same on the card.
ELSEWHERE = {
    "fcvg/controlnext_a": "test_networks.py",
    "fcvg/gi_attnflip_a": "test_networks.py",
    "fcvg/toy_fcvg_b": "test_fcvg.py",
    "fcvg/toy_gi_a": "test_fcvg.py",
    "fcvg/toy_gi_b": "test_fcvg.py",
    "fcvg/toy_trf_a": "test_fcvg.py",
    "fcvg/toy_vibid_a": "test_fcvg.py",
    "fcvg/unet_forward_a": "test_networks.py",
    "gluestick/pair_building_120x160": "test_services.py",
    "gluestick/wireframe_1line": "test_services.py",
    "tooncrafter/dc_plain_vae_decode": "test_tooncrafter.py",
    "tooncrafter/ddim_trailing4_eta0_cfg1": "test_networks.py",
    "tooncrafter/e2e": "test_tooncrafter.py",
    "tooncrafter/sketch_control": "test_networks.py",
    "tooncrafter/text": "test_tooncrafter.py",
    "tooncrafter/unet_T8_per_frame_tokens": "test_networks.py",
    "tooncrafter/vae_decode": "test_networks.py",
}
SLOW = ("fcvg/loop_b", "rerender/keyframes_noise_start_8steps", "ebsynth/stat_texture")


def stored() -> list:
    from tests.parity.__main__ import cases

    found = []
    for folder in sorted(folder for folder in STORED.iterdir() if folder.is_dir()):
        for case in cases(folder):
            name = f"{case.component}/{case.name}"
            if name in ELSEWHERE:
                continue
            marks = [pytest.mark.long] if name in SLOW else []
            found.append(pytest.param(case, id=name, marks=marks))
    return found


@pytest.fixture
def in_float32(card, monkeypatch):
    """As the goldens are: on a card the host would choose half precision."""
    import comfy.model_management as management

    monkeypatch.setattr(management, "FORCE_FP32", True)
    for name in ("fp32_unet", "fp32_vae", "fp32_text_enc"):
        monkeypatch.setattr(management.args, name, True)
    yield
    management.unload_all_models()


def begins(case: Case, beginnings: dict) -> bool:
    return case.name.startswith(beginnings.get(case.component, ("/",)))


@pytest.mark.parametrize("case", stored())
def test_golden(in_float32, case):
    run, launches = importlib.import_module("tests.parity.__main__").run, Card.launches
    checks = run(Case(case.path, "cpu" if begins(case, HOSTED) else "cuda:0"))
    assert [f"{check.name}: {check.error:.3g} > {check.tolerance:.3g}" for check in checks if not check.ok] == []
    assert begins(case, NOT_ON_CARDS) or Card.launches - launches >= 10  # it was the card that computed


def test_cases_are_named_as_they_are(host):
    names = {f"{path.parent.name}/{path.stem}" for path in STORED.glob("*/*.safetensors")}
    assert {*SLOW, *ELSEWHERE} <= names
    assert all((ROOT / "tests" / "simulated" / file).is_file() for file in ELSEWHERE.values())
