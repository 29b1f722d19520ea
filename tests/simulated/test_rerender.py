"""Rerender's key frames: cross-frame, shape-aware, pixel-aware and adaptive constraints together."""

import pytest
import torch

from support.card_tensors import Card, counted, own, waits


@pytest.fixture(scope="module")
def parts(host):
    from support.models import tiny_sd15

    weights = tiny_sd15.weights()
    return weights, tiny_sd15.model(weights), tiny_sd15.control_net(weights), tiny_sd15.vae(weights)


def third_key_frame(parts, steps: int):
    """(its picture, what it asked for, the stores)."""
    from support.runs.rerender_runs import rendering

    renderer, stores = rendering(parts, 3, steps=steps)
    frames = iter(renderer.render())
    next(frames), next(frames)
    with counted() as happened:
        picture = next(frames).picture
    return picture, happened, stores


@pytest.fixture(scope="module")
def whole(parts):
    return third_key_frame(parts, 3)


@pytest.fixture(scope="module")
def expected(whole):
    return whole[0]


def test_a_key_frame(parts, whole):
    _, happened, stores = whole
    assert {tokens.device.type for tokens in stores.first.values()} == {"cuda"}
    assert own(waits(happened)).total() <= 30  # for flow, masks and pictures
    step = third_key_frame(parts, 4)[1] - happened
    assert own(step).total() <= 1 and waits(step).total() <= 3


@pytest.mark.long
def test_weights_that_come_as_they_are_needed(parts, expected, placed):
    placed(0.0)
    picture, happened, _ = third_key_frame(parts, 3)
    assert torch.equal(picture, expected)
    assert happened.total() > 100 and own(waits(happened)).total() <= 30


def test_stores_that_wait_in_page_locked_memory(parts, expected, placed, monkeypatch):
    """Features go out and come back beside the computation: no wait of the processor, no race between the streams."""
    from betwixt.nodes.host.rerender.feature_memory import FeatureMemory

    placed(1.0)
    monkeypatch.setattr(FeatureMemory, "place", lambda self, size: torch.device("cpu"))
    streams = len(Card.streams.made)
    picture, happened, stores = third_key_frame(parts, 3)
    assert torch.equal(picture, expected)
    assert {tokens.device.type for tokens in stores.first.values()} == {"cpu"}
    assert all(tokens.is_pinned() for tokens in stores.previous.values())
    assert len(Card.streams.made) > streams
    features = {key: times for key, times in happened.items() if "feature_memory" in key[1]}
    assert sum(features.values()) >= len(stores.first) and not waits(features)


@pytest.mark.long
def test_stores_without_page_locked_memory(parts, expected, placed, monkeypatch):
    from betwixt.nodes.host.rerender import feature_memory

    placed(1.0)
    monkeypatch.setattr(feature_memory.FeatureMemory, "place", lambda self, size: torch.device("cpu"))
    monkeypatch.setattr(feature_memory, "pinned_like", lambda tokens: None)
    picture, _, stores = third_key_frame(parts, 3)
    assert torch.equal(picture, expected)
    assert {tokens.device.type for tokens in stores.first.values()} == {"cpu"}
