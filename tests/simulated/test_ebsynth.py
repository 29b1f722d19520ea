"""EbSynth's propagation by the engine of accelerators: what a frame asks for after the first."""

import importlib

import numpy as np
import pytest

from support.card_tensors import Card, counted, waits


@pytest.fixture(scope="module")
def clip(host):
    return importlib.import_module("support.runs.painted_clip").PaintedClip.drawn(48, 64)


@pytest.mark.parametrize(
    "changes", [{}, pytest.param({"reuse_matches": True}, marks=pytest.mark.long), {"occlusion": "fill"}]
)
def test_a_frame_waits_ten_times_at_most(clip, card, changes):
    found = []
    for count in (2, 3):
        with counted() as happened:
            clip.painted(card, [0], count, **changes)
        found.append(happened)
    frame = found[1] - found[0]
    assert waits(frame) == frame and 4 <= frame.total() <= 10


def test_frames_of_two_key_frames_are_those_of_the_processor(clip, card):
    from betwixt.rerender_core.ebsynth.synthesis import solver
    from betwixt.rerender_core.ebsynth.synthesis.engines import masked_engine

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(solver.torch_engine, "solve", masked_engine.solve)
        expected = clip.painted("cpu", [0, 3], 4)
    launches = Card.launches
    for there, here in zip(clip.painted(card, [0, 3], 4), expected, strict=True):
        for side, wanted in ((there.left, here.left), (there.right, here.right)):
            for name in () if wanted is None else ("pictures", "errors", "matches"):
                np.testing.assert_array_equal(getattr(side, name), getattr(wanted, name))
    assert 3_000 < Card.launches - launches < 6_000  # that few for the four frames that are made
