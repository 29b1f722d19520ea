"""What the launcher reads: workflows of strangers, and all that a server answers to ``run --server``."""

import contextlib
import io
import json
import random
import shutil
import struct
import time
from functools import cache
from pathlib import Path
from types import SimpleNamespace

from support.bootstrap import ROOT

from .json_mutators import damaged_json
from .target import Target

WORKFLOWS = ("FCVG conditions with poses", "Betwixt 1 First-last frame inbetween, no model", "Rerender a video")
SETTINGS = ("1.x=False", "2.x=1e400", "Load Image.image=a.png", "1.timing.easing=1")
PROMPT = "6f1c"
NODE = {
    "input": {
        "required": {"image": [["a.png", "b.png"], {"image_upload": True}], "count": ["INT", {"default": 1}]},
        "optional": {"timing": ["COMFY_DYNAMICCOMBO_V3", {"options": [{"key": "even", "inputs": {"required": {}}}]}]},
    },
    "output": ["IMAGE"],
    "display_name": "Load Image",
}
GRAPH = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}, "_meta": {"title": "A picture"}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "count": 2}},
}
OUTPUTS = {"2": {"images": [{"filename": "a.png", "subfolder": "", "type": "output"}], "text": ["said"]}}
RUNNING = {"state": "running", "value": 1, "max": 4, "node_id": "2", "prompt_id": PROMPT, "display_node_id": "2"}
EVENTS = [
    {"type": "status", "data": {"status": {"exec_info": {"queue_remaining": 1}}, "sid": "x"}},
    {"type": "execution_start", "data": {"prompt_id": PROMPT, "timestamp": 1}},
    {"type": "execution_cached", "data": {"nodes": ["1"], "prompt_id": PROMPT}},
    {"type": "executing", "data": {"node": "2", "display_node": "2", "prompt_id": PROMPT}},
    {"type": "progress_state", "data": {"prompt_id": PROMPT, "nodes": {"2": RUNNING}}},
    struct.pack(">II", 4, 21).decode("latin-1") + json.dumps({"prompt_id": PROMPT}) + "JPEG",
    struct.pack(">II", 1, 1).decode("latin-1") + "JPEG",
    {"type": "executed", "data": {"node": "2", "output": OUTPUTS["2"], "prompt_id": PROMPT}},
    {"type": "execution_success", "data": {"prompt_id": PROMPT}},
    {"type": "executing", "data": {"node": None, "prompt_id": PROMPT}},
]
FAULT = {"node_id": "2", "node_type": "SaveImage", "exception_type": "x.Error", "exception_message": "m"}
ANSWERS = {
    "/object_info": {"LoadImage": NODE, "SaveImage": NODE},
    "/upload": {"name": "a.png", "subfolder": "", "type": "input"},
    "/prompt": {"prompt_id": PROMPT, "number": 1, "node_errors": {}},
    "/queue": {"queue_running": [[0, PROMPT, {}, {}, []]], "queue_pending": []},
    "/history": {PROMPT: {"outputs": OUTPUTS, "status": {"status_str": "success", "messages": [["x", {}]]}}},
    "/view": "a picture",
    "events": EVENTS,
}
FAILED = {
    **ANSWERS,
    "/history": {PROMPT: {"outputs": OUTPUTS, "status": {"messages": [["execution_error", FAULT]]}}},
    "events": [*EVENTS[:4], {"type": "execution_error", "data": {"prompt_id": PROMPT, **FAULT}}, EVENTS[-1]],
}
REFUSED = {
    **ANSWERS,
    "/prompt": {
        "prompt_id": PROMPT,
        "error": {"type": "invalid_prompt", "message": "m", "details": "d", "extra_info": {}},
        "node_errors": {"2": {"class_type": "SaveImage", "errors": [{"message": "m", "details": "d"}]}},
    },
}


@cache
def _workflows() -> tuple:
    names = [f"workflows/{folder}{name}.json" for folder in ("api/", "") for name in WORKFLOWS]
    return tuple(json.loads((ROOT / name).read_text("utf-8")) for name in names)


@contextlib.contextmanager
def _printing():
    """Whatever is printed must be UTF-8, as on a terminal."""
    from betwixt.launcher.console import say
    from betwixt.launcher.failures import Failure

    with contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO(), "utf-8")) as out:
        try:
            yield
        except Failure as failure:
            say(str(failure))
            raise
        finally:
            out.flush()


def _read_workflow(path: Path) -> None:
    from betwixt.launcher import doctor, graph
    from betwixt.launcher.console import say
    from betwixt.launcher.failures import Failure

    with _printing():
        with contextlib.suppress(Failure):
            doctor._report_workflow(path, {name: [path.parent] for name in doctor.MODEL_FOLDERS})
        contents = graph.load_graph(path)
        for setting in SETTINGS:
            with contextlib.suppress(Failure):
                graph.apply_settings(contents, [setting], lambda kind: NODE)
        for item in graph.file_inputs(contents, lambda kind: NODE):
            graph.find_file(item.file, [], [path.parent])
        for node in contents:
            say(graph.title(contents, node))


class _Opener:
    """Answers requests with the bodies of a case."""

    def __init__(self, bodies: dict):
        self.bodies, self.asked = bodies, 0

    def open(self, request, timeout):
        self.asked += 1
        if self.asked > 200:
            raise OSError("enough")
        path = next((path for path in ANSWERS if f"x{path}" in request.full_url), "/view")
        return io.BytesIO(self.bodies[path])


class _Socket:
    """Receives the messages of a case, then nothing a few times, then breaks."""

    def __init__(self, messages: list):
        self.messages, self.connected, self.silent = messages, True, 0

    def receive(self, timeout):
        if self.messages:
            return self.messages.pop(0)
        self.silent += 1
        self.connected = self.silent < 5
        if not self.connected:
            raise ConnectionError("broken")
        return None

    def send(self, kind, payload):
        pass

    def close(self):
        self.connected = False


def _answers(draws: random.Random) -> bytes:
    answers = draws.choice((ANSWERS, ANSWERS, FAILED, REFUSED))
    changed = draws.choice(list(answers))
    return json.dumps(
        {**answers, changed: damaged_json(answers[changed], draws).decode("latin-1"), "changed": changed}
    ).encode()


def _bodies(path: Path) -> tuple[dict, list]:
    """(path -> body, websocket messages as (type, contents)) of a case."""
    case = json.loads(path.read_bytes())
    changed = case.pop("changed")
    damaged = case[changed].encode("latin-1")
    events = case.pop("events")
    if changed == "events":
        try:
            events = json.loads(damaged)
        except (ValueError, RecursionError):
            events = [damaged.decode("latin-1"), *EVENTS]
        events = events if isinstance(events, list) else [events]
    messages = [
        (2, event.encode("latin-1", "replace")) if isinstance(event, str) else (1, json.dumps(event).encode())
        for event in events
    ]
    if changed == "events" and draws_text(damaged):
        messages.insert(2, (1, damaged))
    return {name: damaged if name == changed else json.dumps(body).encode() for name, body in case.items()}, messages


def draws_text(damaged: bytes) -> bool:
    """Whether a case's events are also sent as one message as they are."""
    return len(damaged) % 3 == 0


def _hear_server(path: Path) -> None:
    from betwixt.launcher import client as module
    from betwixt.launcher import events, graph, run

    module.time = SimpleNamespace(monotonic=time.monotonic, sleep=lambda seconds: None)
    module.HISTORY_SECONDS = 0.01
    out = path.parent / "out" / "here"
    out.mkdir(parents=True)
    bodies, messages = _bodies(path)
    client = module.Client("http://127.0.0.1:9/x", timeout=0.1)
    client._opener = _Opener(bodies)
    client._events = events.EventStream(client.url, client.client_id)
    client._events._socket = _Socket(messages)
    try:
        with _printing():

            def schema(kind):
                return client.object_info(kind).get(kind, {})

            contents = graph.apply_settings(GRAPH, ["2.count=3"], schema)
            run.send_files(client, contents, [path], [path.parent], schema)
            done, paths = run.run_graph(client, contents, out)
            run.report(paths)
    finally:
        outside = [found.name for found in out.parent.iterdir() if found != out]
        shutil.rmtree(out.parent)
    if outside:
        raise PermissionError(f"written outside the folder: {outside}")


TARGETS = {
    "workflows": Target(
        lambda draws: damaged_json(draws.choice(_workflows()), draws),
        _read_workflow,
        ".json",
        ("betwixt.launcher.doctor",),
    ),
    "server": Target(_answers, _hear_server, ".json", ("betwixt.launcher.run",)),
}
