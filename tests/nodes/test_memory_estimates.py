"""Nodes whose result grows with what a widget says, or beyond their inputs, look at the free memory first."""

import types

import pytest
import torch
from betwixt.common.errors import BetwixtError

from support.run_node import run

FREE = 1_000_000  # bytes
POSE = [{"people": [], "canvas_width": 64, "canvas_height": 64}]


def clip(count, size=64):
    return torch.rand(count, size, size, 3, generator=torch.Generator().manual_seed(0))


GROWING = {
    "BetwixtDrawPoses": lambda: {"poses": POSE, "width": 512, "height": 512},
    "BetwixtInterpolateConditions": lambda: {"start_poses": POSE, "end_poses": POSE, "frame_count": 100},
    "BetwixtFitFrames": lambda: {"frames": clip(2), "resolution": 512},
    "BetwixtGuideFrames": lambda: {"key_frames": clip(2), "frame_count": 100},
    "BetwixtInbetweenWithoutModel": lambda: {"start_image": clip(1), "end_image": 1 - clip(1), "frame_count": 100},
    "BetwixtRetimeClip": lambda: {"images": clip(3), "frame_count": 100},
    "BetwixtEstimateFlow": lambda: {
        "frames": clip(12),
        "flow_model": types.SimpleNamespace(estimate=None, pairs_at_once=None),
    },
}


@pytest.mark.parametrize("node_id", GROWING)
def test_what_does_not_fit_is_refused_before_it_is_made(pack_nodes, monkeypatch, node_id):
    from betwixt.nodes.host.services import memory

    monkeypatch.setattr(memory, "management", types.SimpleNamespace(get_free_memory=lambda device: FREE))
    node = next(node for node in pack_nodes if node.GET_SCHEMA().node_id == node_id)
    with pytest.raises(BetwixtError, match=r"need about [\d.]+ [MGT]B of memory, and 1 MB are free") as caught:
        run(node, **GROWING[node_id]())
    assert caught.value.remedy
