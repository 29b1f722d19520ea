"""The client against a real server: following, interrupting, fetching, refusals."""

import json
import struct
import time

import pytest
from betwixt.launcher.client import Client
from betwixt.launcher.events import EventStream
from betwixt.launcher.failures import ExecutionFailed, Failure, Interrupted, ServerLost, ServerRefused, ValidationFailed
from betwixt.launcher.output_files import OutputFile

from tests.launcher.graphs import PICTURES, long_graph

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def client(server):
    with Client(server.url) as client:
        yield client


def test_a_run_tells_its_nodes_and_files_and_is_cached_the_second_time(client, tmp_path):
    seen = []
    run = client.run(PICTURES, seen.append, timeout=60)
    assert set(run.nodes) == set(PICTURES) and run.cached == [] and run.seconds > 0
    kinds = [event.kind for event in seen]
    assert kinds[0] == "start" and kinds[-1] == "idle" and "success" in kinds
    assert [(file.node, file.folder, file.kind) for file in run.files] == [("2", "temp", "images")] * 3 + [
        ("3", "output", "images")
    ]
    again = client.run(PICTURES, timeout=60)
    assert again.nodes == [] and set(again.cached) == set(PICTURES) and again.outputs == run.outputs
    first = client.fetch_all(run.files, tmp_path)
    second = client.fetch_all(run.files, tmp_path)
    assert len({*first, *second}) == 8 and {path.parent.name for path in first[:3]} == {"previews"}
    assert second[3].read_bytes() == first[3].read_bytes() == client.fetch(run.files[3])
    assert first[3].read_bytes()[:4] == b"\x89PNG"


def test_refusals_name_the_node_the_input_and_the_reason(client):
    wrong = json.loads(json.dumps(PICTURES))
    wrong["1"]["inputs"].update(width=-4)
    with pytest.raises(
        ValidationFailed, match=r"node 1 \(EmptyImage\): Value -4 smaller than min of 1: width"
    ) as refusal:
        client.run(wrong)
    assert list(refusal.value.node_errors) == ["1"] and refusal.value.exit_code == 3
    with pytest.raises(ValidationFailed, match="'Nope' not found"):
        client.run({"1": {"class_type": "Nope", "inputs": {}}})
    with pytest.raises(ValidationFailed, match="no outputs"):
        client.run({"1": PICTURES["1"]})


def test_a_graph_with_one_wrong_output_does_not_run_in_part(client):
    graph = {**PICTURES, "9": {"class_type": "PreviewImage", "inputs": {}}}
    with pytest.raises(ValidationFailed, match=r"node 9 \(PreviewImage\): Required input is missing: images"):
        client.run(graph)
    deadline = time.monotonic() + 10
    while (queue := client.get("/queue"))["queue_running"] or queue["queue_pending"]:
        assert time.monotonic() < deadline


def test_a_failing_node_is_told_with_its_message(client, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"this is no picture")
    name = client.upload(tmp_path / "broken.png")
    graph = {
        **PICTURES,
        "8": {"class_type": "LoadImage", "inputs": {"image": name}},
        "9": {"class_type": "PreviewImage", "inputs": {"images": ["8", 0]}},
    }
    with pytest.raises(ExecutionFailed, match=r"Node 8 \(LoadImage\) failed: .*cannot identify image file") as failure:
        client.run(graph, timeout=60)
    assert (failure.value.node_id, failure.value.node_type, failure.value.exit_code) == ("8", "LoadImage", 4)
    assert "Traceback" in failure.value.traceback or "File " in failure.value.traceback


def test_uploads_never_replace_another_file(client, tmp_path):
    (tmp_path / 'a "quoted".txt').write_text("first")
    first = client.upload(tmp_path / 'a "quoted".txt')
    assert client.upload(tmp_path / 'a "quoted".txt') == first  # the same content is stored once
    (tmp_path / 'a "quoted".txt').write_text("second")
    second = client.upload(tmp_path / 'a "quoted".txt')
    assert second != first
    contents = [client.fetch(OutputFile("", name, "", "input", "")) for name in (first, second)]
    assert contents == [b"first", b"second"]


def test_a_prompt_is_interrupted_at_once(client):
    graph = long_graph()
    asked = []

    def interrupt(event):
        if event.kind == "node" and not asked:
            asked.append(time.monotonic())
            client.interrupt(client.get("/queue")["queue_running"][0][1])

    with pytest.raises(Interrupted, match="was interrupted in node"):
        client.run(graph, interrupt, timeout=120)
    assert time.monotonic() - asked[0] < 20


def test_a_prompt_that_takes_too_long_is_stopped(client):
    with pytest.raises(TimeoutError, match="did not end in time"):
        client.run(long_graph(), timeout=1)
    queue = client.get("/queue")
    assert queue["queue_running"] == queue["queue_pending"] == []


def test_only_the_own_prompt_is_taken_from_the_queue(client, server):
    with Client(server.url) as other:
        running, waiting = other.queue(long_graph(seed=1)), other.queue(long_graph(seed=2))
        client.stop(waiting)
        assert other.pending(running) and not other.pending(waiting)
        other.stop(running)
        assert not other.pending(running)


def test_progress_and_previews_are_followed():
    """The host's own nodes without models report no steps, so its messages are given here as it sends them."""
    stream = EventStream("http://127.0.0.1:9", "me")
    state = {"value": 3, "max": 8, "state": "running", "node_id": "5", "display_node_id": "5"}
    message = {"prompt_id": "p", "nodes": {"5": state, "6": {**state, "state": "finished"}}}
    (event,) = stream._translate("progress_state", message, "p")
    assert (event.kind, event.node, event.value, event.maximum) == ("progress", "5", 3, 8)
    assert list(stream._translate("progress_state", message, "p")) == []  # nothing new
    assert list(stream._translate("progress_state", {**message, "prompt_id": "q"}, "p")) == []
    about = json.dumps({"node_id": "7.0.1", "display_node_id": "7", "prompt_id": "p"}).encode()
    frame = struct.pack(">II", 4, len(about)) + about + b"picture"
    (event,) = stream._preview(frame, "p")
    assert (event.kind, event.node, event.data) == ("preview", "7", {"image": b"picture"})
    assert list(stream._preview(frame, "q")) == []
    stream.close()


def test_no_server_and_another_kind_of_server(server, tmp_path):
    with Client("127.0.0.1:9") as client, pytest.raises(ServerLost, match="No ComfyUI answers at http://127.0.0.1:9"):
        client.run(PICTURES)
    with Client(server.url + "/extensions") as client, pytest.raises(ServerRefused, match="404; is it a ComfyUI"):
        client.get("/nothing")


def test_a_full_disk_while_fetching_leaves_no_piece_of_a_file(client, tmp_path, monkeypatch):
    import shutil

    def full(source, target):
        target.write(source.read(10))
        raise OSError(28, "No space left on device")

    run = client.run(PICTURES, timeout=60)
    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(Failure, match="could not be written .No space left on device.*--out"):
        client.fetch_all(run.files, tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
