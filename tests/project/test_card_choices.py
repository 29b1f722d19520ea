"""What cards should choose: the numbers, and the three places that say them."""

import json
import math

import pytest
from betwixt.common import card_choices
from betwixt.common.card_choices import CARDS, GIB, card_note, choices, fcvg_choice
from betwixt.launcher import doctor

from support.golden import STORED
from support.models.synthetic_weights import load_manifest
from tools import card_notes, readme

FCVG = {
    6: "896x512, guidance one half at a time, 2.0 GiB of weights in system memory, chunk 16",
    8: "1024x576, guidance one half at a time, 0.9 GiB of weights in system memory, chunk 16",
    12: "1024x576, guidance one half at a time, chunk 25",
    16: "1024x576, guidance one half at a time, chunk 25",
    24: "1024x576, guidance together, chunk 25",
}


def parameters(manifest: str, prefix: str = "") -> int:
    shapes = load_manifest(STORED / manifest)
    return sum(math.prod(entry["shape"]) for name, entry in shapes.items() if name.startswith(prefix))


def test_weights_are_those_of_the_published_files():
    assert card_choices.SVD_UNET == parameters("fcvg/full_manifest.json.gz")
    assert card_choices.CONTROLNEXT == parameters("fcvg/controlnext.manifest.json.gz")
    whole = "tooncrafter/full_manifest.json.gz"
    assert card_choices.TOON_UNET == parameters(whole, "model.diffusion_model.")
    assert card_choices.TOON_FIRST_STAGE == parameters(whole, "first_stage_model.")
    assert card_choices.TOON_ENCODERS == parameters(whole, "cond_stage_model.") + parameters(whole, "embedder.")
    assert card_choices.SD15_UNET == parameters("rerender/full_manifest.json.gz", "model.diffusion_model.")
    assert card_choices.SD15_CONTROLNET == parameters("rerender/full_manifest.json.gz", "control_model.")


def test_weights_of_the_temporal_vae(host, monkeypatch):
    from support.models import random_svd

    monkeypatch.setattr(random_svd, "random_weights", lambda shapes, *_: shapes)
    assert card_choices.SVD_VAE == sum(math.prod(shape) for shape in random_svd.temporal_vae(None).values())


@pytest.mark.parametrize("gib", CARDS)
def test_doctor_says_what_a_card_should_choose(gib, monkeypatch, capsys):
    """The answer of the probe is pretended; everything behind it is the command's own."""

    class Answer:
        returncode, stdout = 0, f"a warning\nSome Card\t{gib * GIB}\n"

    monkeypatch.setattr(doctor, "has_accelerator", lambda _: True)
    monkeypatch.setattr(doctor.subprocess, "run", lambda *_, **__: Answer)
    doctor._report_device("python")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"Computes on:    Some Card, {gib}.0 GiB"
    assert "computed" in lines[1]
    assert lines[2] == f"  FCVG, 25 frames: {FCVG[gib]}"
    size, guidance = "896x512" if gib < 8 else "1024x576", "together" if gib == 24 else "one half at a time"
    assert lines[3].startswith(f"  GI, 25 frames: {size}, guidance {guidance}")
    assert lines[4].startswith("  ToonCrafter, 16 frames: 512x320, guidance")
    assert lines[5] == "  Rerender, key frames: 896x512, guidance together, features on the card"


def test_doctor_without_a_card_or_without_its_size(monkeypatch, capsys):
    class Answer:
        returncode, stdout = 3, ""

    monkeypatch.setattr(doctor, "has_accelerator", lambda python: python == "metal")
    monkeypatch.setattr(doctor.subprocess, "run", lambda *_, **__: Answer)
    doctor._report_device("metal")
    doctor._report_device("light")
    assert capsys.readouterr().out.splitlines() == ["Computes on:    the accelerator", "Computes on:    the CPU"]


def test_a_larger_card_never_has_less():
    for choose in card_choices.CHOOSERS.values():
        found = [choose(quarter * GIB / 4) for quarter in range(4, 200)]
        assert found[0].size is None and "too small" in str(found[0])
        fitting = [choice for choice in found if choice.size]
        areas = [math.prod(choice.size) for choice in fitting]
        assert areas == sorted(areas)
        assert fitting[-1].together and not fitting[-1].off_card
        for one, other in zip(fitting, fitting[1:], strict=False):
            if one.size == other.size:
                assert (one.together, -one.off_card, one.chunk or 0) <= (
                    other.together or not one.together,
                    -other.off_card,
                    other.chunk or 0,
                )


def test_what_is_chosen_fits():
    """The counted peaks of 25 frames of 1024x576: 4.27 GiB a half, 5.57 GiB to decode 16 frames."""
    choice = fcvg_choice(8 * GIB)
    on_card = 2 * (card_choices.SVD_UNET + card_choices.CONTROLNEXT) - choice.off_card
    assert on_card + 4.27 * GIB < 7 * GIB
    assert 5.57 * GIB + 2 * card_choices.SVD_VAE < 7 * GIB < 8.35 * GIB
    assert [choice.system for choice in choices(8 * GIB)] == ["FCVG", "GI", "ToonCrafter", "Rerender"]


def test_notes_say_the_same_as_the_readme_and_doctor():
    systems = card_notes.noted()
    assert set(systems.values()) == set(card_choices.CHOOSERS)
    for name, system in systems.items():
        paths = list(card_notes.files_with_note(name))
        assert len(paths) == 2, name
        for path in paths:
            text = path.read_text("utf-8")
            assert card_notes.LINE.findall(text) == [card_note(system)], f"{path.name}: run tools.card_notes"
            json.loads(text)
    table = readme.cards()
    for gib, what in FCVG.items():
        assert f"| {gib} GB | {what} |" in table
    held = "| FCVG | 25x1024x576, guidance together | 2.85 | 8.55 | 11.4 | 11.3 | 35.3 | 1.41 |"
    assert held in readme.card_settings()
    assert "12, 16 GB: 1024x576, guidance one half at a time, chunk 25" in card_note("FCVG")
