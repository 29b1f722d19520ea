"""EbSynth's propagation by the engine of accelerators: what a frame asks for after the first."""

import numpy as np
import pytest
import torch

from support.card_tensors import Card, counted, waits


@pytest.fixture(scope="module")
def scene(host):
    from betwixt.common.pictures import to_float
    from betwixt.rerender_core.flow.estimation import DenseInverseSearch, estimate_flow, neighbour_pairs

    from support.pictures.painted_scene import moved, painted_scene

    scene = painted_scene(48, 64)
    frames = to_float(np.stack([moved(scene.key, scene.flow * time) for time in (0, 0.3, 0.6, 1.0)]))
    flow = estimate_flow(frames, neighbour_pairs(4), DenseInverseSearch("fast"))
    return frames, to_float(np.stack([scene.style, moved(scene.style, scene.flow)])), flow


def painted(scene, device, keys: list[int], count: int, **changes) -> list:
    """The intervals of the first ``count`` frames."""
    from betwixt.rerender_core.ebsynth.plan import plan_intervals
    from betwixt.rerender_core.ebsynth.propagation import PropagationOptions, propagate
    from betwixt.rerender_core.ebsynth.stylised_keys import StylisedKeys
    from betwixt.rerender_core.ebsynth.synthesis.problem import SynthesisOptions

    frames, styles, flow = scene
    settings = SynthesisOptions(schedule="hybrid", vote_iterations=2, match_iterations=1)
    options = PropagationOptions(synthesis=settings, engine="torch", **changes)
    masks = torch.ones(count, *frames.shape[1:3], dtype=torch.bool)
    masks[:, :10] = False
    stylised = StylisedKeys.of(styles[: len(keys)], keys)
    return list(propagate(frames[:count], stylised, plan_intervals(count, keys), flow, options, device, masks=masks))


@pytest.mark.parametrize(
    "changes", [{}, pytest.param({"reuse_matches": True}, marks=pytest.mark.long), {"occlusion": "fill"}]
)
def test_a_frame_waits_ten_times_at_most(scene, card, changes):
    found = []
    for count in (2, 3):
        with counted() as happened:
            painted(scene, card, [0], count, **changes)
        found.append(happened)
    frame = found[1] - found[0]
    assert waits(frame) == frame and 4 <= frame.total() <= 10


def test_frames_of_two_key_frames_are_those_of_the_processor(scene, card):
    from betwixt.rerender_core.ebsynth.synthesis import solver
    from betwixt.rerender_core.ebsynth.synthesis.engines import masked_engine

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(solver.torch_engine, "solve", masked_engine.solve)
        expected = painted(scene, "cpu", [0, 3], 4)
    operations = Card.operations
    for there, here in zip(painted(scene, card, [0, 3], 4), expected, strict=True):
        for side, wanted in ((there.left, here.left), (there.right, here.right)):
            for name in () if wanted is None else ("pictures", "errors", "matches"):
                np.testing.assert_array_equal(getattr(side, name), getattr(wanted, name))
    assert Card.operations - operations > 10_000
