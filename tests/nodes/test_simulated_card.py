"""Every network on a simulated card at full size: no mixed sides, no wait, no copy that the pack asks for."""

import importlib

import pytest
import torch

from support.counted_memory import FusedAttention
from support.simulated_card import CARD, SimulatedCard

HALF = torch.float16
SMALL = (25, 320, 512)  # frames, height, width


@pytest.fixture
def networks(host):
    """:mod:`support.models.full_size`, as on a card."""
    full_size = importlib.import_module("support.models.full_size")
    # inference mode would show composed operations only
    with full_size.attending_as_on_a_card(), torch.no_grad(), FusedAttention():
        yield full_size


def empty(*shape, dtype=HALF, device=CARD):
    return torch.empty(shape, dtype=dtype, device=device)


def transfers(work) -> dict:
    with SimulatedCard() as card:
        work()
    return dict(card.transfers)


def published_order(device=CARD) -> dict:
    from betwixt.nodes.host.svd.temporal_attention import DIRECTION, DirectionState, PublishedContextOrder

    tokens = [empty(1, 1, 1024, dtype=torch.float32, device=device) for _ in range(2)]
    state = DirectionState(tokens=tuple(tokens))
    return {"patches": {"attn2_patch": [PublishedContextOrder()]}, DIRECTION: state, "cond_or_uncond": [0, 1]}


def test_svd_in_both_context_orders(networks):
    model = networks.svd()
    assert transfers(lambda: networks.evaluate_svd(model, 2, SMALL)) == {}
    assert transfers(lambda: networks.evaluate_svd(model, 2, SMALL, published_order())) == {}


def test_a_token_left_on_the_processor_is_noticed(networks):
    """What the count is for: two tokens in each of sixteen layers, in either direction."""
    model, options = networks.svd(), published_order("cpu")
    assert transfers(lambda: networks.evaluate_svd(model, 2, SMALL, options)) == {("cpu", "meta"): 32}


def test_controlnext(networks):
    network = networks.controlnext(HALF)
    assert transfers(lambda: network(empty(2, 3, 320, 512), empty(1, dtype=torch.float32))) == {}


def test_tooncrafter(networks):
    network = networks.tooncrafter_unet()
    assert transfers(lambda: networks.evaluate_tooncrafter(network, 1, (16, 320, 512))) == {}


def test_gmflow(networks):
    network, frames = networks.gmflow(), empty(1, 3, 128, 192, dtype=torch.float32)
    assert transfers(lambda: network(frames, frames)) == {}


def test_tensors_of_two_sides_and_waiting_for_a_value_are_refused():
    values = empty(4)
    for work in (
        lambda: values + empty(4, device="cpu"),
        lambda: torch.cat([values, empty(4, device="cpu")]),
        lambda: float(values.sum()),
        lambda: values[values > 0],
        lambda: torch.nonzero(values),
    ):
        with pytest.raises(AssertionError), SimulatedCard():
            work()
    with SimulatedCard() as card:
        assert (values + torch.tensor(1.0, dtype=HALF)).device == CARD  # a single value may come from the processor
        values.cpu().to(CARD)
    assert dict(card.transfers) == {("meta", "cpu"): 1, ("cpu", "meta"): 1}
