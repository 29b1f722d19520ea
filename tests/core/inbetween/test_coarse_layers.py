"""Layers found at a smaller size lead those found at a larger one."""

from dataclasses import replace

import numpy as np
import pytest
from betwixt.fcvg_core.inbetween import key_frames
from betwixt.fcvg_core.inbetween.finding import hypotheses
from betwixt.fcvg_core.inbetween.finding.coarse import OTHERWISE, CoarseLayers, leads
from betwixt.fcvg_core.inbetween.finding.labelling import find_layers
from betwixt.fcvg_core.inbetween.motion.motions import RigidMotion, similarity_matrix

SIZE = (48, 64)
NOWHERE = (np.zeros((0, 2)),) * 2


def moved(step: int, size=SIZE):
    """A texture and the same ``step`` px to the right, uint8 RGB."""
    first = np.random.default_rng(2).integers(0, 256, (*size, 3)).astype(np.uint8)
    return first, np.roll(first, step, axis=1)


def found(step: int, size=SIZE):
    return find_layers(moved(step, size), [RigidMotion(similarity_matrix(1, step), NOWHERE, size)])


def test_other_displacements_cost_more_the_farther_off_they_are():
    coarse = CoarseLayers(found(4), (96, 128))
    known = np.s_[30:60, 40:80]
    costs = [coarse.cost(0, np.full((96, 128, 2), (x, 0), np.float32))[known] for x in (8, 8.4, 10, 30)]
    assert costs[0].max() < 1e-3
    np.testing.assert_allclose(costs[1], OTHERWISE * 0.4 / (0.005 * np.hypot(96, 128)), rtol=0.05)
    np.testing.assert_allclose(costs[2:], OTHERWISE, rtol=1e-3)


def test_motions_without_followers_get_no_flow_on_top(monkeypatch):
    asked = []
    flow_on_top = hypotheses._flow_on_top

    def spy(motion, *rest):
        asked.append(motion)
        return flow_on_top(motion, *rest)

    monkeypatch.setattr(hypotheses, "_flow_on_top", spy)
    ways = [RigidMotion(similarity_matrix(1, step), NOWHERE, SIZE) for step in (4, 20)]
    coarse = find_layers(moved(4), ways)
    assert asked == ways and CoarseLayers(coarse, SIZE).follow(0) and not CoarseLayers(coarse, SIZE).follow(1)
    layers = find_layers(moved(4), ways, coarse=coarse)
    assert asked == [*ways, ways[0]]
    assert np.abs(layers.displacement[0][:, :56] - (4, 0)).mean() < 0.1


def test_what_was_not_found_again_leads_nothing():
    layers = found(4)
    coarse = CoarseLayers(replace(layers, seen=tuple(np.zeros_like(side) for side in layers.seen)), (96, 128))
    assert not coarse.cost(1, np.full((96, 128, 2), 50, np.float32)).any()


def test_layers_that_explain_too_little_do_not_lead():
    layers = found(4)
    assert leads(layers)
    assert not leads(replace(layers, explained=tuple(np.full(SIZE, 0.8, np.float32) for _ in range(2))))


@pytest.mark.parametrize(("size", "sizes"), [((100, 700), [(100, 700)]), ((100, 800), [(64, 512), (100, 800)])])
def test_full_detail_is_found_at_the_size_of_quick_first(monkeypatch, size, sizes):
    asked = []

    def spy(pictures, motions, flow, things, tell, coarse=None):
        asked.append((pictures[0].shape[:2], motions[0].size, flow[0].shape[:2], [thing.shape for thing in things]))
        assert (coarse is not None) == (len(asked) == 2)
        return find_layers(pictures, motions, flow, things, tell, coarse)

    monkeypatch.setattr(key_frames, "find_layers", spy)
    flow = tuple(np.zeros((*size, 2), np.float32) for _ in range(2))
    mask = np.zeros((1, *size), np.float32)
    mask[:, 20:60, 100:300] = 1
    pictures = tuple(np.float32(side / 255) for side in moved(0, size))
    layers = key_frames.layers_of_pair(pictures, "full", flow=flow, masks=mask)
    assert asked == [(each, each, each, [each]) for each in sizes]
    assert layers.size == size and layers.unexplained < 0.05
