"""Where the features of cross-frame attention wait, and that memory does not grow with the number of key frames."""

import gc

import pytest
import torch
from betwixt.rerender_core.flow.estimation import DenseInverseSearch
from betwixt.rerender_core.keyframes.cross_frame_attention import AHEAD, CrossFrameAttention, InPlace, Role
from betwixt.rerender_core.keyframes.flow_ahead import FlowAhead

from support.runs.rerender_runs import SIZE, clip, rendering
from support.stream_clocks import Streams

CARD, MAIN = torch.device("meta"), torch.device("cpu")
GIB = 1024**3


@pytest.fixture
def memory(host, monkeypatch):
    """(memory of a card with ``free`` bytes, a setter of them)."""
    import comfy.model_management as management
    from betwixt.nodes.host.rerender.feature_memory import FeatureMemory

    free = {CARD: 8 * GIB, MAIN: 64 * GIB}
    monkeypatch.setattr(management, "get_free_memory", lambda device: free[device])
    return FeatureMemory(CARD, MAIN), lambda bytes: free.update({CARD: bytes})


def test_features_wait_on_the_card_while_a_step_still_fits_there(memory):
    memory, set_free = memory
    memory.needed = 2 * GIB
    assert memory.place(4 * GIB) == CARD
    set_free(3 * GIB)  # what a step needs, and the reserve
    assert memory.place(1) == MAIN
    set_free(3 * GIB + 4096)
    tokens = torch.zeros(1, 16, 32)
    assert memory.keep(tokens).device == CARD
    memory.needed += 4096
    kept = memory.keep(tokens)
    assert kept.device == MAIN and kept.data_ptr() != tokens.data_ptr() and torch.equal(kept, tokens)


def test_features_keep_the_precision_of_the_model(memory):
    memory, set_free = memory
    set_free(0)
    assert memory.keep(torch.zeros(1, 4, 8, dtype=torch.float16)).dtype == torch.float16


def test_what_takes_the_place_of_older_features_stays_where_they_were(memory):
    memory, set_free = memory
    set_free(0)
    assert memory.keep(torch.zeros(1, 4, 8), CARD).device == CARD


def test_the_run_asks_for_what_the_model_needs(run, sd15, monkeypatch):
    from betwixt.nodes.host.rerender import feature_memory

    asked = []

    def place(self, size):
        asked.append((self.needed, size))
        return MAIN

    monkeypatch.setattr(feature_memory.FeatureMemory, "place", place)
    run(key_frames=clip(4))
    needed = sd15[1].memory_required([2, 4, SIZE // 8, SIZE // 8])
    assert {needed} == {value for value, _ in asked}
    anchor = len({id(entry) for entry in asked}) // 2  # the anchor's, and once the previous frame's
    assert len(asked) == 2 * anchor


def test_computation_waits_for_the_slot_at_hand_only(memory, monkeypatch):
    """On stream clocks: copies ahead are under way, and each slot waits for its own copy."""
    import comfy.model_management as management
    from betwixt.nodes.host.rerender import feature_memory
    from betwixt.rerender_core.keyframes.constraints import CrossFrame

    _, set_free = memory
    set_free(0)
    monkeypatch.setattr(management, "device_supports_non_blocking", lambda device: device == CARD)
    monkeypatch.setattr(feature_memory, "pinned_like", lambda tokens: torch.empty(tokens.shape))
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda self, stream: None)
    monkeypatch.setattr(torch.Tensor, "copy_", lambda self, source, non_blocking=False: self)
    streams = Streams()
    attention = CrossFrameAttention(CrossFrame(), 1, feature_memory.FeatureMemory(CARD, MAIN, streams))
    slots, kept_at = [(0, layer, 0) for layer in range(12)], {}
    attention.begin_pass(Role.RECORD)
    for slot in slots:
        attention.context(torch.empty(1, 4, 8, device=CARD), slot)
        kept_at[slot] = streams.computing.clock[streams.computing]
        streams.computing.operate()
    attention.finish_pass()
    attention.begin_pass(Role.READ)
    for number, slot in enumerate(slots, start=1):
        attention.context(torch.empty(1, 4, 8, device=CARD), slot)
        (copying,) = streams.made
        assert streams.computing.clock[copying] == number  # its own copy is the last one waited for
        ahead = min(number + AHEAD, len(slots))
        assert copying.clock[copying] == ahead  # more are under way
        assert copying.clock[streams.computing] <= kept_at[slots[ahead - 1]]  # and wait for no later computation
        streams.computing.operate()


def test_page_locked_memory_keeps_to_the_budget_of_the_host(host, monkeypatch):
    import comfy.model_management as management
    from betwixt.nodes.host.rerender.feature_memory import pinned_like

    tokens, empty = torch.zeros(1, 16, 8), torch.empty
    monkeypatch.setattr(torch, "empty", lambda *shape, pin_memory=False, **kwargs: empty(*shape, **kwargs))
    monkeypatch.setattr(management, "TOTAL_PINNED_MEMORY", 0)
    monkeypatch.setattr(management, "MAX_PINNED_MEMORY", 1.5 * tokens.nbytes)
    pinned = pinned_like(tokens)
    assert pinned.shape == tokens.shape and management.TOTAL_PINNED_MEMORY == tokens.nbytes
    assert pinned_like(tokens) is None  # the budget is spent
    del pinned
    assert management.TOTAL_PINNED_MEMORY == 0

    def refused(*shape, **kwargs):
        raise RuntimeError("CUDA error: out of memory")

    monkeypatch.setattr(torch, "empty", refused)
    assert pinned_like(tokens) is None and management.TOTAL_PINNED_MEMORY == 0


class Elsewhere(InPlace):
    """Counts what is brought, and how much of it is on its way at once."""

    def __init__(self):
        self.brought, self.waiting, self.most = 0, 0, 0

    def fetch(self, kept, device):
        self.brought += 1
        self.waiting += 1
        self.most = max(self.most, self.waiting)

        def arrived():
            self.waiting -= 1
            return kept

        return arrived


@torch.inference_mode()
def test_features_are_on_their_way_before_their_turn_and_nothing_else_changes(sd15):
    plain = [frame.picture for frame in rendering(sd15, 3)[0].render()]
    memory = Elsewhere()
    renderer, stores = rendering(sd15, 3)
    stores.memory, stores.at_hand = memory, lambda *_: None  # as if nothing waited on the device
    assert all(torch.equal(a.picture, b) for a, b in zip(renderer.render(), plain, strict=True))
    assert 1 < memory.most <= 2 * 5  # the slot at hand and four more, anchor and previous frame
    slots = len(stores.first)
    assert slots < memory.brought <= 2 * 2 * 2 * slots + memory.most  # two frames, two passes; none twice in a pass


def living_bytes() -> int:
    gc.collect()
    storages = {}
    for thing in gc.get_objects():
        if issubclass(type(thing), torch.Tensor) and thing.device.type == "cpu":  # asks no lazy object what it is
            storages[thing.untyped_storage().data_ptr()] = thing.untyped_storage().nbytes()
    return sum(storages.values())


@torch.inference_mode()
def test_memory_does_not_grow_from_key_frame_to_key_frame(sd15):
    renderer, stores = rendering(sd15, 6)
    sizes, kept = [], []
    for frame in renderer.render():
        del frame
        sizes.append(living_bytes())
        kept.append(stores.bytes)
    assert kept[1:] == [2 * kept[0]] * 5  # two sets at most
    assert max(sizes[2:]) - min(sizes[2:]) < 4 * SIZE * SIZE * 3  # less than one picture


def test_flow_is_estimated_in_groups_of_which_one_is_kept():
    frames = clip(40, 32)
    pairs = sorted({(0, later) for later in range(1, 40)} | {(later - 1, later) for later in range(1, 40)})
    calls, cancelled, model = [], [], DenseInverseSearch("ultrafast")

    class Counted:
        name = "counted"
        pairs_at_once = staticmethod(model.pairs_at_once)

        @staticmethod
        def estimate(first, second):
            calls.append(len(first))
            return model.estimate(first, second)

    shares = []
    flow = FlowAhead(frames, pairs, Counted, lambda share, text: shares.append(share), lambda: cancelled.append(1))
    assert sum(calls) == 32 and shares[-1] == 1
    for later in range(1, 40):
        for earlier in {0, later - 1}:
            seen = flow(earlier, later)
            assert seen.flow.shape == (1, 2, 32, 32) and seen.occluded.shape == (1, 32, 32)
    assert sum(calls) == len(pairs) and cancelled  # each pair once; a cancel is noticed in later groups too


def test_long_and_short_runs_agree(run):
    """Beyond one group of flow, the first key frames are what they are in a short run."""
    long = run(key_frames=clip(20), steps=2)[0]
    assert torch.equal(long[:4], run(key_frames=clip(4), steps=2)[0]) and len(long) == 20
