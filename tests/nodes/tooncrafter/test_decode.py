"""Decoding ToonCrafter's and DynamiCrafter's clips."""

import pytest
import torch
from betwixt.common.errors import BetwixtError

from support.runs.tooncrafter_graph import SIZE, conditioned, decode, random_latent


def test_decoding_takes_the_middle_from_a_second_pass(tooncrafter):
    references = conditioned(tooncrafter)[4]
    latent = random_latent("ToonCrafter")
    single = decode(tooncrafter, latent, references=references, two_passes=False)
    double = decode(tooncrafter, latent, references=references)
    assert single.shape == (6, SIZE, SIZE, 3) and 0 <= float(single.min()) <= float(single.max()) <= 1
    changed = [bool((a != b).any()) for a, b in zip(single, double, strict=True)]
    assert changed == [False, False, True, True, False, False]


def test_exact_ends_are_the_fitted_key_frames(tooncrafter):
    references = conditioned(tooncrafter)[4]
    images = decode(tooncrafter, random_latent("ToonCrafter"), references=references, exact_ends=True)
    assert torch.equal(images[[0, -1]], references.pictures)


def test_little_memory_changes_nothing_but_rounding(tooncrafter, monkeypatch):
    import comfy.model_management

    references = conditioned(tooncrafter)[4]
    latent = random_latent("ToonCrafter")
    plenty = decode(tooncrafter, latent, references=references)
    monkeypatch.setattr(comfy.model_management, "get_free_memory", lambda *_, **__: 1)
    assert float((decode(tooncrafter, latent, references=references) - plenty).abs().max()) < 1e-5


def test_frames_of_dynamicrafter_are_decoded_one_by_one(dynamicrafter):
    latent = random_latent("DynamiCrafter 512")
    images = decode(dynamicrafter, latent)
    alone = decode(dynamicrafter, {**latent, "samples": latent["samples"][2:3]})
    assert float((images[2] - alone[0]).abs().max()) < 1e-5


def test_decoders_and_latents_that_do_not_belong_together(tooncrafter, dynamicrafter):
    references = conditioned(tooncrafter)[4]
    cases = [
        (dynamicrafter, random_latent("ToonCrafter"), references, "latent is of ToonCrafter"),
        (tooncrafter, random_latent("DynamiCrafter 512"), references, "latent is of DynamiCrafter 512"),
        (tooncrafter, random_latent("ToonCrafter"), None, "'references' is not connected"),
        (tooncrafter, {"samples": torch.zeros(6, 4, 8, 16)}, references, "64x64, the latent 128x64"),
        (tooncrafter, {"samples": torch.full((6, 4, 8, 8), float("nan"))}, references, "NaN"),
        (tooncrafter, {"samples": torch.zeros(1, 4, 6, 8, 8)}, references, "shape"),
    ]
    for checkpoint, latent, given, said in cases:
        with pytest.raises(BetwixtError, match=said):
            decode(checkpoint, latent, references=given)
