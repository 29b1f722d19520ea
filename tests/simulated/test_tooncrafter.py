"""ToonCrafter's sampling with and without sketches, its first stage, and offloaded weights."""

import pytest
import torch

from support.card_tensors import counted, own, waits


@pytest.fixture(scope="module")
def conditioned(tooncrafter):
    from support.runs import tooncrafter_graph

    return tooncrafter_graph.conditioned(tooncrafter)


def sampled(tooncrafter, conditioned, steps: int) -> torch.Tensor:
    from support.runs import tooncrafter_graph

    positive, negative, _, latent, _ = conditioned
    return tooncrafter_graph.sample(tooncrafter.model, positive, negative, latent, steps=steps)


@pytest.fixture(scope="module")
def whole(tooncrafter, conditioned):
    """Latents after two steps with all weights on the card, and what that asked for."""
    sampled(tooncrafter, conditioned, 1)
    with counted() as happened:
        latents = sampled(tooncrafter, conditioned, 2)
    return latents, happened


def test_a_step(tooncrafter, conditioned, whole):
    with counted() as happened:
        sampled(tooncrafter, conditioned, 1)
    step = whole[1] - happened
    assert not own(step) and waits(step).total() <= 3


@pytest.mark.parametrize("share", [0.0, pytest.param(0.5, marks=pytest.mark.long)])
def test_weights_that_come_as_they_are_needed(tooncrafter, conditioned, whole, placed, share):
    placed(share)
    with counted() as happened:
        latents = sampled(tooncrafter, conditioned, 2)
    assert torch.equal(latents, whole[0])
    assert happened.total() > 100 and own(waits(happened)).total() <= 4  # the schedule's three tables, once


@pytest.mark.long
def test_a_step_guided_by_sketches(tooncrafter, sketch_encoder, placed, per_step):
    from support.runs import tooncrafter_graph

    placed(1.0)
    positive, negative, latent = tooncrafter_graph.sketched(tooncrafter, sketch_encoder)
    latents, step = per_step(
        lambda steps: tooncrafter_graph.sample(tooncrafter.model, positive, negative, latent, steps=steps)
    )
    assert latents.isfinite().all()
    assert own(waits(step)).total() <= 3 and own(step) == own(waits(step))


def test_the_first_stage_is_on_the_card_as_a_whole(tooncrafter, placed):
    placed(0.0)
    tooncrafter.first_stage._load(0)
    network = tooncrafter.first_stage.patcher.model
    assert {parameter.device.type for parameter in network.parameters()} == {"cuda"}


@pytest.mark.long
def test_decoding_with_references(tooncrafter, conditioned, whole, placed):
    from support.runs import tooncrafter_graph

    placed(0.0)
    latent, references = conditioned[3:]
    with counted() as happened:
        pictures = tooncrafter_graph.decode(
            tooncrafter, {**latent, "samples": whole[0]}, references=references, two_passes=False
        )
    assert pictures.isfinite().all() and pictures.device.type == "cpu"
    assert own(waits(happened)).total() <= 20  # the references, the latents, and pictures as they are made
