"""The demo's clip painted on a real server: previews, cancel, key frames that do not belong to the clip."""

import io

import numpy as np
import pytest
from betwixt.launcher.failures import ExecutionFailed, Interrupted
from PIL import Image

from support.workflow_files import api_graph

pytestmark = pytest.mark.server

NAME, CLIP_LENGTH = "Paint a clip from a few frames", 11
PAINTING, KEYS, SHOWN = "BetwixtStyliseClip", "BetwixtPlaceKeyFrames", "PreviewImage"


def node_of(graph: dict, kind: str) -> str:
    (found,) = (node for node, entry in graph.items() if entry["class_type"] == kind)
    return found


@pytest.fixture
def graph() -> dict:
    """The shipped graph with a quick search in the engine that is always there."""
    graph = api_graph(NAME)
    quick = {"search_votes": 2, "match_iterations": 1, "engine": "torch"}
    settings = api_graph("Inspect a painted clip")
    graph["settings"] = settings[node_of(settings, "BetwixtPatchSynthesisSettings")]
    graph["settings"]["inputs"] |= quick
    graph[node_of(graph, PAINTING)]["inputs"]["settings"] = ["settings", 0]
    return graph


def pictures(client, run, node: str) -> np.ndarray:
    shown = [file for file in run.files if file.node == node]
    return np.stack([np.asarray(Image.open(io.BytesIO(client.fetch(file))).convert("RGB")) for file in shown])


def cancelling(client, node: str, share: float):
    """Asks for a cancel once the node is that far."""
    asked = []

    def watch(event):
        if event.kind == "progress" and event.node == node and event.data["value"] >= share * event.data["max"]:
            if not asked:
                asked.append(event)
                client.interrupt(event.data["prompt_id"])

    return watch


def test_frames_are_shown_as_they_are_made_and_finished_ones_survive_a_cancel(client, graph):
    node, shown = node_of(graph, PAINTING), node_of(graph, SHOWN)
    graph["settings"]["inputs"]["seed"] = 11
    run = client.run(graph, timeout=120)
    whole = pictures(client, run, shown)
    shares = [value / maximum for value, maximum in run.progress[node]]
    assert len(whole) == CLIP_LENGTH and shares == sorted(shares) and shares[-1] == 1
    assert run.previews[node] >= 2
    client.free()
    kept = pictures(client, client.run(graph, watch=cancelling(client, node, 0.7), timeout=120), shown)
    again = pictures(client, client.run(graph, timeout=120), shown)
    assert np.array_equal(again, whole)  # the part is not taken for the whole
    assert len(kept) == CLIP_LENGTH
    assert np.array_equal(kept[:6], whole[:6])  # the first interval was finished
    clip = client.run(
        {
            "1": graph["1"],
            "2": graph["2"],
            "show": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}},
        },
        timeout=60,
    )
    assert np.array_equal(kept[6:10], pictures(client, clip, "show")[6:10])


def test_cancel_stops_the_graph_where_that_is_wanted(client, graph):
    node = node_of(graph, PAINTING)
    graph[node]["inputs"]["on_cancel"] = "stop"
    graph["settings"]["inputs"]["seed"] = 12
    with pytest.raises(Interrupted):
        client.run(graph, watch=cancelling(client, node, 0.0), timeout=120)


@pytest.mark.parametrize(
    ("kind", "inputs", "said"),
    [
        (KEYS, {"numbers": "0, 5, 11"}, None),
        (KEYS, {"numbers": "0, 5, 5"}, "5 is doubled"),
        (KEYS, {"numbers": ""}, "at least one is needed"),
    ],
)
def test_key_frames_that_do_not_belong_to_the_clip(client, graph, kind, inputs, said):
    graph[node_of(graph, kind)]["inputs"] |= inputs
    with pytest.raises(ExecutionFailed, match=said or "belongs to frame 11") as caught:
        client.run(graph, timeout=60)
    failed = node_of(graph, kind if said else PAINTING)
    assert (caught.value.node_id, caught.value.exception_type) == (failed, "BetwixtError")
