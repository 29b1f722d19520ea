"""Client of a running ComfyUI: upload, queue, follow, fetch, interrupt, free."""

import contextlib
import json
import mimetypes
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from . import answers
from .events import Event, EventStream
from .failures import (
    ExecutionFailed,
    Failure,
    Interrupted,
    ServerLost,
    ServerRefused,
    UntrustedNames,
    ValidationFailed,
)
from .output_files import PREVIEWS, OutputFile, is_plain_name, open_unused, output_files
from .server_address import split_credentials

QUIET_SECONDS = 20  # after so long without a message the history is asked whether the prompt is still there
REFUSALS = 4  # unanswered questions in a row until a server counts as lost
BREAKS = 50  # broken connections in a row, though it answers, until it counts as lost
HISTORY_SECONDS = 10  # the history is written shortly after the last event


@dataclass
class Run:
    """What happened to one prompt.

    Attributes:
        outputs: node id -> the node's ui output, as the server's history has it.
        nodes: ids of the nodes that ran, in order; cached: those that did not need to.
        progress: node id -> the (value, maximum) pairs it reported.
        previews: node id ("" if the server did not tell) -> number of preview images received.
        seconds: from queueing to the last event.
    """

    prompt_id: str
    outputs: dict = field(default_factory=dict)
    nodes: list[str] = field(default_factory=list)
    cached: list[str] = field(default_factory=list)
    progress: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    previews: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def files(self) -> list[OutputFile]:
        return output_files(self.outputs)


class Client:
    """Synchronous client; a context manager that closes its connection.

    Args:
        url: the server's address; "host:port" means http. A name and password in it are sent as basic authorization
            and left out of :attr:`url` and of every message.
        timeout: seconds to wait for the answer to one request.
        headers: sent with every request, e.g. ``{"Authorization": "Bearer ..."}``.
    """

    def __init__(self, url: str, timeout: float = 30, headers: Mapping[str, str] | None = None):
        self.url, credentials = split_credentials(url)
        self.headers = {**credentials, **(headers or {})}
        self.timeout = timeout
        self.client_id = uuid.uuid4().hex
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self._events: EventStream | None = None

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        if self._events is not None:
            self._events.close()
            self._events = None

    # Requests

    def _open(self, path: str, data: bytes | None = None, content_type: str = "application/json"):
        """The open answer. Raises ``ServerRefused`` for an HTTP error and ``ServerLost`` when nobody answers."""
        request = urllib.request.Request(self.url + path, data, self.headers)
        if data is not None:
            request.add_header("Content-Type", content_type)
        try:
            return self._opener.open(request, timeout=self.timeout)
        except urllib.error.HTTPError as error:
            raise ServerRefused(self.url + path, error.code, error.read()) from error
        except (OSError, ValueError) as error:
            raise ServerLost(f"No answer from the server at {self.url} ({getattr(error, 'reason', error)}).") from error

    def get(self, path: str, shape: answers.Shape = dict) -> dict:
        """The JSON answer to GET ``path``."""
        with self._open(path) as answer:
            return self._read(answer.read(), path, shape)

    def names(self, path: str) -> list[str]:
        """The list of texts that GET ``path`` answers with."""
        with self._open(path) as answer:
            body = answer.read()
        try:
            found = json.loads(body)
        except (ValueError, RecursionError):
            found = None
        if not answers.has_shape(found, [str]):
            raise ServerRefused(self.url + path, 200, body)
        return found

    def _read(self, body: bytes, path: str, shape: answers.Shape) -> dict:
        return answers.read_answer(body, self.url + path, shape)

    def post(self, path: str, body: dict) -> bytes:
        """The raw answer to POST ``path`` with a JSON body."""
        with self._open(path, json.dumps(body).encode()) as answer:
            return answer.read()

    def object_info(self, node_class: str | None = None) -> dict:
        """Schemas of all node classes, or of one (empty if the server does not have it)."""
        path = "/object_info" + (f"/{urllib.parse.quote(node_class, errors='replace')}" if node_class else "")
        return self.get(path, answers.OBJECT_INFO)

    def history(self, prompt_id: str) -> dict | None:
        """The record of a finished prompt, or None."""
        return self.get(f"/history/{urllib.parse.quote(prompt_id, errors='replace')}", answers.HISTORY).get(prompt_id)

    def free(self) -> None:
        """Unload all models and drop cached results before the next prompt."""
        self.post("/free", {"unload_models": True, "free_memory": True})

    def interrupt(self, prompt_id: str) -> None:
        """Stop the prompt if it runs; take it from the queue if it waits. Others on the server are not touched."""
        self.post("/queue", {"delete": [prompt_id]})
        self.post("/interrupt", {"prompt_id": prompt_id})

    def stop(self, prompt_id: str, timeout: float = 15) -> None:
        """Interrupt the prompt and wait until it has stopped, for ``timeout`` seconds at most."""
        deadline = time.monotonic() + timeout
        with contextlib.suppress(ServerLost):  # then it has stopped for sure
            self.interrupt(prompt_id)
            while self.pending(prompt_id) and time.monotonic() < deadline:
                time.sleep(0.05)

    def pending(self, prompt_id: str) -> bool:
        """Whether the prompt runs or waits."""
        queue = self.get("/queue", answers.QUEUE)
        return any(prompt_id in item[1:2] for item in (*queue["queue_running"], *queue["queue_pending"]))

    def upload(self, path: Path, *, overwrite: bool = False) -> str:
        """Send a file to the server's input folder.

        Returns the name to use in the graph, which differs from the file's if another file of that name is there.
        """
        boundary = uuid.uuid4().hex
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        name = path.name.replace("\\", "\\\\").replace('"', '\\"')
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="overwrite"\r\n\r\n{str(overwrite).lower()}\r\n'
        head += f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n'
        head += f"Content-Type: {kind}\r\n\r\n"
        body = head.encode() + path.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
        with self._open("/upload/image", body, f"multipart/form-data; boundary={boundary}") as answer:
            stored = self._read(answer.read(), "/upload/image", answers.UPLOAD)
        return "/".join(part for part in (stored.get("subfolder"), stored["name"]) if part)

    # Prompts

    def queue(self, graph: dict) -> str:
        """Queue an API-format graph; returns the prompt's id.

        Raises:
            ValidationFailed: the server refused the graph or a part of it (nothing runs then).
        """
        body = {"prompt": graph, "client_id": self.client_id}
        try:
            answer = self._read(self.post("/prompt", body), "/prompt", answers.PROMPT)
        except ServerRefused as refused:
            report = _json_or_nothing(refused.body)
            if refused.status != 400 or "error" not in report:
                raise
            raise ValidationFailed(_explain(graph, report), _node_errors(report)) from refused
        if answer.get("node_errors"):  # the host would run the valid outputs and say nothing about the others
            self.interrupt(answer["prompt_id"])
            raise ValidationFailed(_explain(graph, answer), _node_errors(answer))
        return answer["prompt_id"]

    def run(self, graph: dict, watch: Callable[[Event], None] | None = None, timeout: float | None = None) -> Run:
        """Queue a graph and follow it to its end.

        Args:
            watch: called with every event; may call ``interrupt``.
            timeout: seconds until the prompt is interrupted and ``TimeoutError`` raised.

        Raises:
            ValidationFailed, ExecutionFailed, Interrupted, ServerLost: see ``failures``.
        """
        stream = self._connect()
        began = time.monotonic()
        run = Run(self.queue(graph))
        try:
            self._follow(stream, run, watch, began + timeout if timeout else None)
        except (KeyboardInterrupt, TimeoutError):
            self.stop(run.prompt_id)
            raise
        run.seconds = time.monotonic() - began
        record = self._finished(run.prompt_id)
        run.outputs = record.get("outputs") or {}
        for message in (record.get("status") or {}).get("messages") or ():
            kind, data = message if len(message) == 2 and isinstance(message[1], dict) else (None, {})
            if kind == "execution_error":
                raise ExecutionFailed(run.prompt_id, data)
            if kind == "execution_interrupted":
                raise Interrupted(
                    f"The prompt was interrupted in node {data.get('node_id')} ({data.get('node_type')})."
                )
        return run

    def _connect(self) -> EventStream:
        try:
            if self._events is None:
                self._events = EventStream(self.url, self.client_id, self.headers)
            if not self._events.connected:
                self._events.connect(self.timeout)
            return self._events
        except Exception as error:
            raise ServerLost(f"No ComfyUI answers at {self.url} ({error}).") from error

    def _follow(
        self, stream: EventStream, run: Run, watch: Callable[[Event], None] | None, deadline: float | None
    ) -> None:
        """Read events until the prompt is over, reconnecting and asking the history where the stream is silent."""
        refusals = 0
        while True:
            wait = QUIET_SECONDS if deadline is None else min(QUIET_SECONDS, deadline - time.monotonic())
            if wait <= 0:
                raise TimeoutError(f"Prompt {run.prompt_id} did not end in time.")
            try:
                events = stream.read(run.prompt_id, wait)
                if events is None and self.history(run.prompt_id) is not None:
                    return
                refusals = 0
            except (ConnectionError, ServerLost) as error:
                refusals += 1
                time.sleep(0.2)
                self._recover(stream, run.prompt_id, refusals, error)
                continue
            for event in events or ():
                _note(run, event)
                if watch is not None:
                    watch(event)
            if any(event.kind == "idle" for event in events or ()):
                return

    def _recover(self, stream: EventStream, prompt_id: str, refusals: int, error: Exception) -> None:
        """Connect again, or raise ``ServerLost`` when the server is gone or has forgotten the prompt."""
        cause = error.__cause__
        if refusals < REFUSALS and isinstance(getattr(cause, "reason", cause), TimeoutError):
            return  # busy, not gone
        try:
            if not stream.connected:
                stream.connect(self.timeout)
            known = self.pending(prompt_id) or self.history(prompt_id) is not None
        except Exception as gone:
            raise ServerLost(f"The server at {self.url} was lost while the workflow ran ({gone}).") from gone
        if refusals >= BREAKS:
            raise ServerLost(f"The connection to the server at {self.url} breaks every time ({error}).")
        if not known:
            raise ServerLost(f"The server at {self.url} was restarted and no longer knows the workflow.")

    def _finished(self, prompt_id: str) -> dict:
        deadline = time.monotonic() + HISTORY_SECONDS
        while (record := self.history(prompt_id)) is None:
            if time.monotonic() > deadline:
                raise Interrupted("The prompt was taken from the queue before it ran.")
            time.sleep(0.02)
        return record

    def fetch(self, file: OutputFile) -> bytes:
        """The contents of an output file."""
        with self._view(file) as answer:
            return answer.read()

    def fetch_all(self, files: Iterable[OutputFile], folder: Path) -> list[Path]:
        """Copy output files into a folder, previews into its subfolder ``previews``; never overwrites a file.

        Returns their paths in the order of ``files``.

        Raises:
            UntrustedNames: the server named files that would lie elsewhere; the others have been copied.
        """
        paths, refused = [], []
        for file in files:
            if is_plain_name(file.filename):
                paths.append(self._copy(file, (folder / PREVIEWS if file.folder == "temp" else folder) / file.filename))
            else:
                refused.append(file.filename)
        if refused:
            raise UntrustedNames(refused, folder, len(paths))
        return paths

    def _copy(self, file: OutputFile, wanted: Path) -> Path:
        target = None
        try:
            wanted.parent.mkdir(parents=True, exist_ok=True)
            with self._view(file) as answer:
                target, out = open_unused(wanted)
                with out:
                    shutil.copyfileobj(answer, out)
        except OSError as error:
            if target is not None:
                target.unlink(missing_ok=True)
            reason = error.strerror or error
            raise Failure(f"{wanted} could not be written ({reason}). Choose another folder with --out.") from error
        return target

    def _view(self, file: OutputFile):
        query = {"filename": file.filename, "subfolder": file.subfolder, "type": file.folder}
        return self._open(f"/view?{urllib.parse.urlencode(query, errors='replace')}")


def _note(run: Run, event: Event) -> None:
    if event.kind == "node":
        run.nodes.append(event.node)
    elif event.kind == "cached":
        run.cached.extend(str(node) for node in event.data["nodes"])
    elif event.kind == "progress":
        run.progress.setdefault(event.node, []).append((event.value, event.maximum))
    elif event.kind == "preview":
        run.previews[event.node] = run.previews.get(event.node, 0) + 1


def _json_or_nothing(body: bytes) -> dict:
    with contextlib.suppress(ServerRefused):
        return answers.read_answer(body, "")
    return {}


def _node_errors(answer: dict) -> dict:
    """Node id -> errors; some servers write an empty list where there are none."""
    found = answer.get("node_errors") or {}
    return found if answers.has_shape(found, answers.NODE_ERRORS) else {}


def _explain(graph: dict, answer: dict) -> str:
    """One line per error the server reported, each naming the node and the input."""
    lines = []
    for node, report in _node_errors(answer).items():
        kind = report.get("class_type") or graph.get(node, {}).get("class_type", "?")
        for error in report.get("errors") or ():
            lines.append(f"  node {node} ({kind}): {error.get('message')}: {error.get('details')}")
    error = answer.get("error")
    if not lines and isinstance(error, dict):
        lines.append(f"  {error.get('message')}: {error.get('details') or error.get('extra_info') or ''}".rstrip(": "))
    elif not lines:
        lines.append(f"  {error}")
    return "\n".join(["The server refused the workflow:", *lines])
