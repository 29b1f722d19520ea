"""The host's websocket as a stream of events of one prompt."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from .websocket import BINARY, TEXT, WebSocket

PREVIEW, PREVIEW_WITH_METADATA = 1, 4  # types of binary frames, the first four bytes


@dataclass(frozen=True)
class Event:
    """Something the server said about a prompt.

    Attributes:
        kind: "start", "cached", "node" (begins), "progress", "preview", "output", "success", "error", "interrupted" and
            at last "idle": the server has nothing left to do for this prompt and its history is complete.
        node: id of the node in the queued graph; empty where no node is meant.
        value, maximum: steps done and in all ("progress").
        data: the message of the server; for "preview" ``{"image": bytes}``; for "cached" ``{"nodes": [ids]}``.
    """

    kind: str
    node: str = ""
    value: float = 0
    maximum: float = 0
    data: dict = field(default_factory=dict)


class EventStream:
    """A websocket connection that is read synchronously.

    Args:
        url: the server's http address.
        client_id: the id that prompts are queued with.
        headers: further headers of the handshake, e.g. credentials.
    """

    def __init__(self, url: str, client_id: str, headers: Mapping[str, str] | None = None):
        self._address, self._headers = f"{url}/ws?clientId={client_id}", dict(headers or {})
        self._socket: WebSocket | None = None
        self._progress: dict[str, tuple[float, float]] = {}

    def connect(self, timeout: float) -> None:
        """Open the connection, again after it broke. Raises ``OSError`` if there is no server."""
        self._socket = WebSocket(self._address, self._headers, timeout)
        wishes = {"type": "feature_flags", "data": {"supports_preview_metadata": True}}
        self._socket.send(TEXT, json.dumps(wishes).encode())

    @property
    def connected(self) -> bool:
        return self._socket is not None and self._socket.connected

    def read(self, prompt_id: str, timeout: float) -> list[Event] | None:
        """The events of the next message that concern the prompt (often none; none of a message that is no ComfyUI's).

        Returns None when nothing arrived within ``timeout`` seconds. Raises ``ConnectionError`` on a broken connection.
        """
        if self._socket is None or not self._socket.connected:
            raise ConnectionError("the websocket was closed")
        message = self._socket.receive(timeout)
        if message is None:
            return None
        kind, contents = message
        if kind == BINARY:
            return list(self._preview(contents, prompt_id))
        body = _read(contents)
        data = body.get("data")
        return list(self._translate(str(body.get("type")), data, prompt_id)) if isinstance(data, dict) else []

    def _preview(self, frame: bytes, prompt_id: str) -> Iterator[Event]:
        kind = int.from_bytes(frame[:4], "big")
        if kind == PREVIEW_WITH_METADATA:
            length = int.from_bytes(frame[4:8], "big")
            about = _read(frame[8 : 8 + length])
            if about.get("prompt_id") == prompt_id:
                node = about.get("display_node_id") or about.get("node_id") or ""
                yield Event("preview", str(node), data={"image": frame[8 + length :]})
        elif kind == PREVIEW:  # old form: four more bytes name the image format, the node is not told
            yield Event("preview", data={"image": frame[8:]})

    def _translate(self, kind: str, data: dict, prompt_id: str) -> Iterator[Event]:
        if data.get("prompt_id") != prompt_id:
            return
        if kind == "execution_start":
            self._progress.clear()
            yield Event("start", data=data)
        elif kind == "execution_cached":
            nodes = data.get("nodes")
            yield Event("cached", data=data | {"nodes": nodes if isinstance(nodes, list) else []})
        elif kind == "executing":
            yield Event("node", _shown(data), data=data) if data.get("node") is not None else Event("idle", data=data)
        elif kind == "executed":
            yield Event("output", _shown(data), data=data)
        elif kind == "progress_state":
            yield from self._changes(data.get("nodes"))
        elif kind in ("execution_success", "execution_error", "execution_interrupted"):
            yield Event(kind.removeprefix("execution_"), str(data.get("node_id") or ""), data=data)

    def _changes(self, nodes: object) -> Iterator[Event]:
        """Each message repeats the state of every node; only what changed is news."""
        for node, state in nodes.items() if isinstance(nodes, dict) else ():
            now = (state.get("value", 0), state.get("max", 0)) if isinstance(state, dict) else ()
            if not now or not all(isinstance(number, int | float) and math.isfinite(number) for number in now):
                continue
            if self._progress.get(node) != now and state.get("state") == "running" and now[0] > 0:
                yield Event("progress", str(state.get("display_node_id") or node), *now, data=state)
            self._progress[node] = now

    def close(self) -> None:
        """Close the connection. Safe to call twice."""
        if self._socket is not None:
            self._socket.close()


def _read(contents: bytes) -> dict:
    """The JSON object of a message; empty where it is none."""
    try:
        body = json.loads(contents)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _shown(data: dict) -> str:
    """Nodes made by expansion report the node of the user's graph that made them."""
    return str(data.get("display_node") or data.get("node"))
