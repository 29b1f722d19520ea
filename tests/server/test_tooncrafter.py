"""ToonCrafter on a real server: stock and own samplers, sketches, previews, cancel, misuse of the stock rescale."""

import io

import pytest
from betwixt.launcher.failures import ExecutionFailed, Interrupted
from PIL import Image

from support.runs.miniature_graphs import miniature
from support.workflow_files import api_graph

pytestmark = pytest.mark.server

PUBLISHED, SKETCHES = "ToonCrafter inbetweens of two drawings", "ToonCrafter guided by sketches"


def node_of(graph: dict, kind: str) -> str:
    (found,) = (node for node, entry in graph.items() if entry["class_type"] == kind)
    return found


def with_stock_sampler(graph: dict, **changes) -> tuple[dict, str]:
    """The graph with 'KSampler' in place of its guider, sampler and sigmas; the sampler's id."""
    guider, sampler = (graph[node_of(graph, kind)]["inputs"] for kind in ("CFGGuider", "SamplerCustomAdvanced"))
    inputs = {"seed": 1, "steps": 2, "cfg": 7.5, "sampler_name": "euler_ancestral", "scheduler": "simple", "denoise": 1}
    inputs |= {key: guider[key] for key in ("model", "positive", "negative")} | {
        "latent_image": sampler["latent_image"]
    }
    stock = {"class_type": "KSampler", "inputs": {**inputs, **changes}}
    decode = node_of(graph, "BetwixtDualReferenceDecode")
    changed = {**graph, "stock": stock}
    changed[decode] = {**graph[decode], "inputs": {**graph[decode]["inputs"], "samples": ["stock", 0]}}
    return changed, "stock"


def test_a_half_precision_file_runs_with_the_published_sampler_and_shows_previews(sampling_client):
    graph = miniature(api_graph(PUBLISHED))
    run = sampling_client.run(graph, timeout=120)
    frames = [file for file in run.files if file.node == node_of(graph, "PreviewImage")]
    assert len(frames) == 6
    sampler = node_of(graph, "SamplerCustomAdvanced")
    assert run.previews[sampler] >= 1 and run.progress[sampler][-1] == (2, 2)
    shares = [value / maximum for value, maximum in run.progress[node_of(graph, "BetwixtDualReferenceDecode")]]
    assert shares == sorted(shares) and shares[-1] > 0.9


def test_two_clips_are_sampled_at_once(sampling_client):
    graph = miniature(api_graph(PUBLISHED))
    graph[node_of(graph, "BetwixtToonCrafterConditioning")]["inputs"]["clips"] = 2
    run = sampling_client.run(graph, timeout=180)
    shown = [file for file in run.files if file.node == node_of(graph, "PreviewImage")]
    frames = [Image.open(io.BytesIO(sampling_client.fetch(file))) for file in shown]
    assert len(frames) == 12
    assert frames[2].tobytes() != frames[8].tobytes()  # other noise


@pytest.mark.parametrize("name", [PUBLISHED, SKETCHES])
def test_the_stock_sampler_runs_as_well(sampling_client, name):
    graph, sampler = with_stock_sampler(miniature(api_graph(name)))
    previews = []

    def watch(event):
        if event.kind == "preview" and event.node == sampler:
            previews.append(Image.open(io.BytesIO(event.data["image"])).size)

    run = sampling_client.run(graph, watch=watch, timeout=120)
    assert sampler in run.nodes
    assert previews and all(width == 4 * height for width, height in previews)  # four square frames side by side
    assert len([file for file in run.files if graph[file.node]["class_type"] == "SaveVideo"]) == 1


@pytest.mark.parametrize("name", ["ToonCrafter loops one drawing", "ToonCrafter colours from one reference"])
def test_the_key_drawing_at_both_ends_stands_once(sampling_client, name):
    graph = miniature(api_graph(name))
    run = sampling_client.run(graph, timeout=120)
    clip = graph[node_of(graph, "SaveVideo")]["inputs"]["video"][0]
    joined = graph[clip]["inputs"]["images"]
    (shown,) = (n for n, e in graph.items() if e["class_type"] == "PreviewImage" and e["inputs"]["images"] == joined)
    made = graph[node_of(graph, "BetwixtToonCrafterConditioning")]["inputs"]["frame_count"]
    assert len([file for file in run.files if file.node == shown]) == made - 1


def test_cancel_stops_within_a_step(sampling_client):
    graph, sampler = with_stock_sampler(miniature(api_graph(PUBLISHED)), steps=80)
    reached = []

    def watch(event):
        if event.kind == "progress" and event.node == sampler:
            reached.append(event.data["value"])
            if len(reached) == 1:
                sampling_client.interrupt(event.data["prompt_id"])

    with pytest.raises(Interrupted):
        sampling_client.run(graph, watch=watch, timeout=120)
    assert reached[-1] <= reached[0] + 2 < 80


def test_the_stock_rescale_is_warned_about(sampling_client, sampling_server):
    graph = miniature(api_graph(PUBLISHED))
    loader = node_of(graph, "BetwixtLoadToonCrafter")
    graph["stock rescale"] = {"class_type": "RescaleCFG", "inputs": {"model": [loader, 0], "multiplier": 0.7}}
    graph, _ = with_stock_sampler(graph, model=["stock rescale", 0], seed=2)
    sampling_client.run(graph, timeout=120)
    assert "Rescale Guidance (Whole Clip)" in sampling_server.log.read_text("utf-8", errors="replace")


@pytest.mark.parametrize(
    ("kind", "changes", "said"),
    [
        ("BetwixtToonCrafterConditioning", {"frame_count": 6, "end_image": None}, "'end_image' is not connected"),
        ("BetwixtDualReferenceDecode", {"references": None}, "'references' is not connected"),
        ("BetwixtLoadToonCrafter", {"file": "dynamicrafter_512.ckpt"}, None),
    ],
)
def test_mistakes_stop_the_node_that_has_to_be_changed(sampling_client, kind, changes, said):
    graph = miniature(api_graph(PUBLISHED))
    node = node_of(graph, kind)
    inputs = {**graph[node]["inputs"], **changes}
    graph[node] = {**graph[node], "inputs": {key: value for key, value in inputs.items() if value is not None}}
    if said is None:  # another model of the family takes the same graph
        assert sampling_client.run(graph, timeout=120).files
        return
    with pytest.raises(ExecutionFailed, match=said) as caught:
        sampling_client.run(graph, timeout=120)
    assert (caught.value.node_id, caught.value.exception_type) == (node, "BetwixtError")
