"""Workflows and servers of strangers: what they name, say and send (the fuzzing's targets go through the rest)."""

import types

import pytest
from betwixt.launcher import answers, run, websocket
from betwixt.launcher.client import Client
from betwixt.launcher.console import printable, say
from betwixt.launcher.doctor import needs_of
from betwixt.launcher.events import EventStream
from betwixt.launcher.failures import ServerRefused, UsageMistake
from betwixt.launcher.graph import find_file, load_graph, title
from betwixt.launcher.websocket import BINARY, TEXT, WebSocket

SCHEMA = {"input": {"required": {"image": [["a.png"], {"image_upload": True}]}}}


@pytest.mark.parametrize(
    "name", ["../secret.png", "{outside}/secret.png", "inside/../../secret.png", "..", "\x00", "."]
)
def test_a_workflow_names_no_files_outside_its_folder(tmp_path, name):
    (tmp_path / "secret.png").touch()
    (tmp_path / "here" / "inside").mkdir(parents=True)
    name = name.format(outside=tmp_path)
    assert find_file(name, [], [tmp_path / "here"]) is None
    outside = name.endswith("secret.png")
    assert (find_file(name, [], [tmp_path / "here"], anywhere=True) is not None) == outside


def test_only_a_setting_sends_a_file_from_elsewhere(tmp_path):
    (tmp_path / "secret.png").touch()
    (tmp_path / "here").mkdir()
    name, sent = str(tmp_path / "secret.png"), []
    client = types.SimpleNamespace(upload=lambda path: sent.append(path) or "sent.png")
    graph = {"1": {"class_type": "LoadImage", "inputs": {"image": name}}}
    with pytest.raises(UsageMistake, match=r"secret\.png.*was not found"):
        run.send_files(client, graph, [], [tmp_path / "here"], lambda kind: SCHEMA)
    assert sent == []
    run.send_files(client, graph, [], [tmp_path / "here"], lambda kind: SCHEMA, [f"1.image={name}"])
    assert sent == [tmp_path / "secret.png"] and graph["1"]["inputs"]["image"] == "sent.png"


def test_a_deeply_nested_workflow_is_refused(tmp_path):
    path = tmp_path / "deep.json"
    path.write_text("[" * 100_000 + "]" * 100_000)
    for read in (load_graph, needs_of):
        with pytest.raises(UsageMistake, match="nested far too deeply"):
            read(path)


def test_names_of_models_are_found_at_any_depth(tmp_path):
    path = tmp_path / "deep.json"
    path.write_text("[" * 900 + '"other.safetensors"' + "]" * 900)
    assert needs_of(path) == ([], ["other.safetensors"])


@pytest.mark.parametrize("about", [None, 1, [], {"title": 3}, {"title": None}, {"title": ""}])
def test_a_node_without_a_readable_title_is_called_by_its_class(about):
    assert title({"1": {"class_type": "Blur", "_meta": about}}, "1") == "Blur"


def test_what_is_printed_moves_no_cursor(capsys):
    assert printable("a\x1b]0;x\x07b\rc\x9b1m") == "a\\x1b]0;x\\x07b\\rc\\x9b1m"
    assert printable("한국어, 中文\n\tø") == "한국어, 中文\n\tø"
    say("a\ud83d\u202eb")
    assert capsys.readouterr().out == "a\\ud83d\\u202eb\n"


@pytest.mark.parametrize(
    ("value", "shape", "fits"),
    [
        ({"name": "a"}, answers.UPLOAD, True),
        ({"name": "a", "subfolder": None}, answers.UPLOAD, True),
        ({"subfolder": "a"}, answers.UPLOAD, False),
        ({"name": 1}, answers.UPLOAD, False),
        ({"queue_running": [[0, "x"]], "queue_pending": []}, answers.QUEUE, True),
        ({"queue_running": [3], "queue_pending": []}, answers.QUEUE, False),
        ({"x": {"outputs": {"1": {"images": []}}}}, answers.HISTORY, True),
        ({"x": {"outputs": {"1": []}}}, answers.HISTORY, False),
        ({"x": []}, answers.HISTORY, False),
    ],
)
def test_the_shape_of_an_answer(value, shape, fits):
    assert answers.has_shape(value, shape) is fits


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b"[" * 100_000, b"\xff", b'{"x": 1}'])
def test_an_answer_that_is_none_of_comfyui_is_refused(body):
    with pytest.raises(ServerRefused, match="is it a ComfyUI"):
        Client("127.0.0.1:9")._read(body, "/queue", answers.QUEUE)


@pytest.mark.parametrize(
    "message",
    [
        *((TEXT, body) for body in (b"", b"[]", b"{", b"\xff", b"[" * 100_000, b'{"type": [], "data": 3}')),
        (TEXT, b'{"type": "progress_state", "data": {"prompt_id": "x", "nodes": [1]}}'),
        (TEXT, b'{"type": "progress_state", "data": {"prompt_id": "x", "nodes": {"1": {"value": "1", "max": NaN}}}}'),
        *((BINARY, body) for body in (b"", b"\0\0\0\4", b"\0\0\0\4\xff\xff\xff\xff{}", b"\0\0\0\4\0\0\0\2[]", b"\0")),
    ],
)
def test_a_message_that_is_none_of_comfyui_is_no_event(message):
    stream = EventStream("http://127.0.0.1:9", "id")
    stream._socket = types.SimpleNamespace(connected=True, receive=lambda timeout: message)
    assert stream.read("x", 1) == []


@pytest.mark.parametrize(
    "frames", [b"\x82\x7f" + b"\x7f" * 8, (b"\x02\x7f" + (900).to_bytes(8, "big") + bytes(900)) * 3]
)
def test_a_message_without_end_is_not_kept(frames, monkeypatch):
    monkeypatch.setattr(websocket, "MESSAGE_LIMIT", 2000)
    closed = []
    stream = WebSocket.__new__(WebSocket)
    stream._buffer, stream._parts, stream.connected = bytearray(frames), [], True
    stream._socket = types.SimpleNamespace(close=lambda: closed.append(True))
    with pytest.raises(ConnectionError, match="without end"):
        stream.receive(1)
    assert closed and not stream.connected
