"""FCVG's loop and decoding."""

import pytest
import torch

from support.card_tensors import Card, counted, own, waits


@pytest.fixture(scope="module")
def clip(host):
    from support.runs import fcvg_clip

    torch.manual_seed(0)
    clip = fcvg_clip.loaded(True)
    assert clip.pictures.shape == (3, 64, 128, 3)
    return clip


@pytest.fixture(scope="module")
def whole(clip):
    """Latents after two steps with all weights on the card, and what that asked for."""
    with counted() as happened:
        latents = sampled(clip, clip.controlled, 2)
    return latents, happened


def sampled(clip, model, steps: int, **settings) -> torch.Tensor:
    torch.manual_seed(0)
    return clip.sampled(model, steps, **settings)


def test_a_step_from_both_ends(clip, whole):
    with counted() as happened:
        sampled(clip, clip.controlled, 1)
    step = whole[1] - happened
    assert own(waits(step)).total() <= 1  # the noise level
    assert own(step) == own(waits(step))  # and no other copies
    assert waits({key: times for key, times in step.items() if "model_patcher" not in key[1]}).total() <= 3


@pytest.mark.parametrize("share", [0.5, pytest.param(0.0, marks=pytest.mark.long)])
def test_weights_that_come_as_they_are_needed(clip, whole, placed, share):
    placed(share)
    with counted() as happened:
        latents = sampled(clip, clip.controlled, 2)
    assert torch.equal(latents, whole[0])
    assert happened.total() > 200 and own(waits(happened)).total() <= 6


@pytest.mark.long  # at full size: tests/nodes/test_simulated_card.py
def test_the_published_order_of_contexts_and_ramped_guidance(clip, placed, per_step):
    from betwixt.fcvg_core.sampling.fusion import Fusion

    placed(1.0)
    settings = {"fusion": Fusion(guidance=(1.5, 3.0)), "published_context_order": True}
    _, step = per_step(lambda steps: sampled(clip, clip.controlled, steps, **settings))
    assert own(waits(step)).total() <= 1 and own(step) == own(waits(step))


@pytest.mark.long
def test_backward_motion(clip, placed, per_step):
    from betwixt.fcvg_core.sampling.backward_motion import delta_weights
    from betwixt.nodes.host.svd.temporal_attention import BackwardMotion

    placed(1.0)
    keys = {key: value for key, value in clip.weights.items() if "temporal_transformer_blocks.0.attn1.to_" in key}
    deltas = {key: 0.1 * value for key, value in keys.items() if "to_v" in key or "to_out" in key}
    model = BackwardMotion(delta_weights(deltas, None, "delta")).attach(clip.model)
    _, step = per_step(lambda steps: sampled(clip, model, steps))
    assert own(waits(step)).total() <= 1 and own(step) == own(waits(step))


@pytest.mark.parametrize("share", [1.0, 0.0])
def test_decoding_copies_pictures_only(clip, placed, share):
    placed(share)
    latents = torch.randn(3, 4, 8, 16, generator=torch.Generator().manual_seed(0))
    clip.decoded(latents)
    with counted() as happened:
        pictures = clip.decoded(latents)
    assert pictures.shape == (3, 64, 128, 3) and pictures.isfinite().all()
    assert own(waits(happened)).total() <= 2


def test_what_did_not_fit_is_freed_before_the_next_try(clip, placed, monkeypatch):
    """The host believes there is room; the card has four fifths of what decoding the clip as a whole takes."""
    import comfy.model_management as management

    placed(1.0)
    latents = torch.randn(3, 4, 8, 16, generator=torch.Generator().manual_seed(0))
    expected = clip.decoded(latents)
    idle = Card.peak = Card.used
    clip.decoded(latents)
    whole, left = Card.peak - idle, []
    monkeypatch.setattr(management, "get_free_memory", lambda *_, **both: (2**40,) * 2 if both else 2**40)
    monkeypatch.setattr(management, "soft_empty_cache", lambda *_: left.append(Card.used - idle))
    monkeypatch.setattr(Card, "total", idle + 4 * whole // 5)
    assert float((clip.decoded(latents) - expected).abs().mean()) < 2**-8  # bfloat16's rounding
    assert len(left) >= 2 and max(left) <= latents.nbytes
