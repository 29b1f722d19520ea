"""Many frames between two key frames: work and memory of a frame do not depend on how many there are."""

import tracemalloc
from collections import Counter

import pytest
import torch
from betwixt.rerender_core.ebsynth import frame_store, propagation
from betwixt.rerender_core.ebsynth.stylisation import ClipOptions, stylise_clip
from betwixt.rerender_core.ebsynth.stylised_keys import StylisedKeys
from betwixt.rerender_core.ebsynth.synthesis.solver import SynthesisOptions
from torch.utils._python_dispatch import TorchDispatchMode

from support.counted_memory import CountedMemory

SIZE = (36, 48)  # a picture outweighs the objects that every frame leaves
LENGTHS = (2, 4, 8)
OPTIONS = ClipOptions(
    propagation.PropagationOptions(
        synthesis=SynthesisOptions(levels=1, vote_iterations=1, match_iterations=1), engine="torch"
    )
)


class Operations(TorchDispatchMode):
    """Counts PyTorch's operations and the elements that they make."""

    def __init__(self):
        super().__init__()
        self.counts = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        self.counts["operations"] += 1
        self.counts["elements"] += out.numel() if isinstance(out, torch.Tensor) else 0
        return out


class Still:
    """Flow of a scene that does not move."""

    asked = 0

    def pairs_at_once(self, height, width):
        return 4

    def estimate(self, first, second):
        self.asked += len(first)
        return (torch.zeros(len(first), 2, *SIZE),) * 2


def clip(count):
    frames = torch.rand(1, *SIZE, 3, generator=torch.Generator().manual_seed(0)).repeat(count + 2, 1, 1, 1)
    return frames, StylisedKeys.of(1 - frames[[0, -1]], [0, count + 1])


def consume(count, model=None):
    frames, keys = clip(count)
    return sum(1 for _ in stylise_clip(frames, keys, model or Still(), OPTIONS))


@pytest.fixture
def on_disk(monkeypatch):
    monkeypatch.setattr(frame_store, "IN_MEMORY", 0)
    consume(2)


def test_the_work_of_a_frame_is_constant(on_disk, monkeypatch):
    counted, synthesised = {}, Counter()
    synthesise = propagation.synthesise

    def counting(problem, *rest):
        synthesised[count] += len(problem.style)
        return synthesise(problem, *rest)

    monkeypatch.setattr(propagation, "synthesise", counting)
    for count in LENGTHS:
        model = Still()
        with Operations() as operations:
            assert consume(count, model) == count + 2
        assert model.asked == count + 1 and synthesised[count] == 2 * count
        counted[count] = operations.counts
    for name in ("operations", "elements"):
        short, middle, long = (counted[count][name] for count in LENGTHS)
        more = [(middle - short) / 2, (long - middle) / 4]  # of each further frame
        assert more[0] > 10 and more[1] == pytest.approx(more[0], rel=0.02), name


def test_memory_does_not_grow_with_the_span(on_disk):
    picture = SIZE[0] * SIZE[1] * 3  # bytes of an 8-bit frame
    arrays = []
    for count in (8, 24):
        frames, keys = clip(count)
        tracemalloc.start()
        for _ in stylise_clip(frames, keys, Still(), OPTIONS):
            pass
        arrays.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert arrays[1] - arrays[0] < 8 * picture, arrays  # 16 frames more
    tensors = []
    for count in (2, 6):
        frames, keys = clip(count)
        with CountedMemory() as memory:
            for _ in stylise_clip(frames, keys, Still(), OPTIONS):
                pass
        tensors.append(memory.peak)
    assert tensors[1] - tensors[0] < 2 * picture, tensors
