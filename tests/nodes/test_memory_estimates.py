"""Nodes whose result grows with what a widget says, or beyond their inputs, look at the free memory first."""

import types

import pytest
import torch
from betwixt.common.errors import BetwixtError
from betwixt.common.files.segments import segment_path, write_segment
from betwixt.rerender_core.ebsynth.stylised_keys import StylisedKeys
from betwixt.rerender_core.flow.estimation import DenseInverseSearch

from support.run_node import run

FREE = 1_000_000  # bytes
POSE = [{"people": [], "canvas_width": 64, "canvas_height": 64}]


def clip(count, size=64):
    return torch.rand(count, size, size, 3, generator=torch.Generator().manual_seed(0))


def painted(size=64):
    """What the painting nodes need beside their defaults: a clip, its painted ends, something that finds motion."""
    frames = clip(8, size)
    return {"frames": frames, "keys": StylisedKeys.of(1 - frames[[0, 7]], [0, 7]), "flow_model": DenseInverseSearch()}


def propagated(size=128):
    """A propagation before anything of it is looked at."""
    from betwixt.nodes.ebsynth.painting import PropagatedClip

    return PropagatedClip(types.SimpleNamespace(frames=clip(8, size)), ())


def round_trips():
    from support.models import tiny_sd15

    return {"image": clip(1), "vae": tiny_sd15.vae(tiny_sd15.weights()), "trips": 10}


GROWING = {
    "BetwixtStyliseClip": lambda: {**painted(128), "scene_cuts": "none"},
    "BetwixtEbSynthPropagate": lambda: {**painted(), "scene_cuts": "none"},
    "BetwixtEbSynthBlend": lambda: {"propagation": propagated()},
    "BetwixtJoinSegments": lambda: {"segments": [clip(8), clip(8)], "loop": [False], "published_timing": [True]},
    "BetwixtCompareRoundTrips": round_trips,
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


@pytest.fixture
def little_memory(monkeypatch):
    from betwixt.nodes.host.services import memory

    monkeypatch.setattr(memory, "management", types.SimpleNamespace(get_free_memory=lambda device: FREE))


def refused(node, **inputs) -> None:
    with pytest.raises(BetwixtError, match=r"need about [\d.]+ [MGT]B of memory, and 1 MB are free") as caught:
        run(node, **inputs)
    assert caught.value.remedy


@pytest.mark.parametrize("node_id", GROWING)
def test_what_does_not_fit_is_refused_before_it_is_made(pack_nodes, little_memory, node_id):
    refused(next(node for node in pack_nodes if node.GET_SCHEMA().node_id == node_id), **GROWING[node_id]())


def test_segments_are_refused_by_the_size_of_their_files(pack_nodes, little_memory, monkeypatch, tmp_path):
    import folder_paths
    from betwixt.nodes.clips import saved_segments

    monkeypatch.setattr(folder_paths, "output_directory", str(tmp_path))
    monkeypatch.setattr(saved_segments, "read_segment", None)  # is not reached
    write_segment(segment_path(str(tmp_path), "shot", 1), clip(12), None, {})
    refused(saved_segments.LoadSegment, name="shot", numbers="")
