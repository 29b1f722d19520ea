"""Every shipped workflow, queued on a real server with stand-in model files; sampling ones in miniature."""

import av
import pytest
from betwixt.demo.scene import CLIP_RATE

from support.runs.miniature_graphs import miniature, needs_miniature
from support.workflow_files import NAMES, api_graph

pytestmark = pytest.mark.server


def nodes_of_class(graph: dict, kind: str) -> list[str]:
    return [node for node, entry in graph.items() if entry["class_type"] == kind]


@pytest.fixture
def place(request, name):
    """(client of the server, graph) for the workflow ``name``."""
    graph = api_graph(name)
    return request.getfixturevalue("sampling_client" if needs_miniature(graph) else "client"), miniature(graph)


def check_videos(client, graph: dict, run, folder) -> None:
    """Every saved video has the frame rate and, frame by frame, as many pictures as a preview of the same clip."""
    for node in nodes_of_class(graph, "SaveVideo"):
        source = graph[graph[node]["inputs"]["video"][0]]["inputs"]
        (path,) = client.fetch_all([file for file in run.files if file.node == node], folder)
        with av.open(str(path)) as video:
            frames = sum(1 for _ in video.decode(video=0))
            rate = CLIP_RATE if isinstance(source["fps"], list) else source["fps"]  # linked: that of the clip loaded
            assert video.streams.video[0].average_rate == rate
        previews = nodes_of_class(graph, "PreviewImage")
        shown = [other for other in previews if graph[other]["inputs"]["images"] == source["images"]]
        assert frames > 1 and (not shown or len([file for file in run.files if file.node in shown]) == frames)


@pytest.mark.parametrize("name", NAMES)
def test_workflow_runs_makes_whole_videos_and_is_cached_the_second_time(place, name, tmp_path):
    client, graph = place
    first = client.run(graph, timeout=120)  # raises when the server reports any error, for parts of the graph as well
    assert set(first.nodes) | set(first.cached) == set(graph)
    for node in nodes_of_class(graph, "PreviewImage") + nodes_of_class(graph, "SaveVideo"):
        assert [file for file in first.files if file.node == node], f"node {node} put out nothing"
    check_videos(client, graph, first, tmp_path)
    second = client.run(graph, timeout=30)
    assert second.nodes == [] and set(second.cached) == set(graph)
    assert second.outputs.items() <= first.outputs.items()  # previews of nodes that are no output nodes come once
