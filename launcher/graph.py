"""API-format graphs: reading them, changing single inputs, finding the files they refer to."""

import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .failures import UsageMistake
from .input_values import declaration_of, declared_inputs, typed_value

UPLOAD_FLAGS = ("image_upload", "video_upload", "audio_upload", "file_upload")


def read_workflow(path: Path) -> object:
    """The JSON of a workflow file, whatever it holds. Raises ``UsageMistake`` where it cannot be read."""
    try:
        return json.loads(path.read_text("utf-8-sig"))  # some editors begin a file with a byte order mark
    except OSError as error:
        raise UsageMistake(f"The workflow {path} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise UsageMistake(f"The workflow {path} is not valid JSON: {error}.") from error
    except RecursionError:
        raise UsageMistake(f"The workflow {path} is nested far too deeply.") from None


def load_graph(path: Path) -> dict:
    """The graph in a file. Raises ``UsageMistake`` if it is not an API-format workflow."""
    graph = read_workflow(path)
    if isinstance(graph, dict) and isinstance(graph.get("nodes"), list):
        raise UsageMistake(
            f"{path} is a workflow in the user interface's format; queueing needs the API format. "
            "Open it in ComfyUI and use 'Export (API)'; the pack's own graphs are in workflows/api/."
        )
    if isinstance(graph, dict) and isinstance(graph.get("prompt"), dict) and "class_type" not in graph["prompt"]:
        graph = graph["prompt"]  # the body of a request to the server
    if not isinstance(graph, dict) or not graph:
        raise UsageMistake(f"{path} holds no nodes; an API-format workflow maps node ids to nodes.")
    for node, entry in graph.items():
        if not isinstance(entry, dict) or not isinstance(entry.get("class_type"), str):
            raise UsageMistake(f"{path} is not an API-format workflow: entry '{node}' has no class_type.")
        if not isinstance(entry.setdefault("inputs", {}), dict):
            raise UsageMistake(f"{path} is not an API-format workflow: the inputs of node '{node}' are not a mapping.")
    return graph


def title(graph: dict, node: str) -> str:
    """What people call a node: its title, or its class."""
    entry = graph.get(node, {})
    about = entry.get("_meta")
    given = about.get("title") if isinstance(about, dict) else None
    return (isinstance(given, str) and given) or entry.get("class_type") or f"node {node}"


def parse_setting(graph: dict, setting: str, schema: Callable[[str], dict] | None = None) -> tuple[str, str, object]:
    """(node id, input, value) of ``node.input=value``; the node is named by id, or by a title or class that is unique.

    The value is what the node's schema takes. Where that is not known, the value in the graph decides: a boolean or
    text stays one; anything else is JSON, or plain text if it is not JSON.
    """
    target, separator, text = setting.partition("=")
    names = sorted({name for node in graph for name in (node, title(graph, node), graph[node]["class_type"])})
    name = max((name for name in names if target.startswith(f"{name}.")), key=len, default=None)
    if not separator or name is None:
        known = ", ".join(f"{node} ({title(graph, node)})" for node in graph)
        raise UsageMistake(f"--set {setting}: expected node.input=value with one of these nodes: {known}.")
    nodes = [name] if name in graph else [n for n in graph if name in (title(graph, n), graph[n]["class_type"])]
    if len(nodes) > 1:
        raise UsageMistake(f"--set {setting}: '{name}' could be any of the nodes {', '.join(nodes)}; use the id.")
    node, key = nodes[0], target[len(name) + 1 :]
    present = graph[node]["inputs"].get(key)
    if isinstance(present, list) and present:
        raise UsageMistake(f"--set {setting}: this input is linked to node {present[0]}, so it takes no value.")
    declared = None if schema is None else declaration_of(schema(graph[node]["class_type"]), key, graph[node]["inputs"])
    if declared is None and isinstance(present, bool | str):
        declared = ["BOOLEAN" if isinstance(present, bool) else "STRING"]
    try:
        value = typed_value(text, declared)
    except ValueError as error:
        raise UsageMistake(f"--set {setting}: {error}.") from error
    return node, key, value


def apply_settings(graph: dict, settings: Sequence[str], schema: Callable[[str], dict] | None = None) -> dict:
    """A copy of the graph with the settings applied.

    Args:
        schema: node class -> its entry in the server's object_info: it says what an input takes. Without it, inputs
            that the graph does not mention are taken as they come.
    """
    changed = {node: {**entry, "inputs": dict(entry["inputs"])} for node, entry in graph.items()}
    for setting in settings:
        node, key, value = parse_setting(changed, setting, schema)
        inputs = changed[node]["inputs"]
        if key not in inputs and schema is not None:
            known = {name: None for _, name, _ in declared_inputs(schema(changed[node]["class_type"]))}
            if key.split(".")[0] not in known:
                listed = ", ".join({**inputs, **known})
                raise UsageMistake(f"--set {setting}: node {node} has no input '{key}'. It has: {listed}.")
        inputs[key] = value
    return changed


@dataclass(frozen=True)
class FileInput:
    """An input that names, or may name, a file in the server's input folder.

    Attributes:
        certain: the node declares an upload; otherwise it only offers a choice, and the value is not among it.
        offered: whether the server has the value already.
    """

    node: str
    input: str
    file: str
    certain: bool
    offered: bool


def file_inputs(graph: dict, schema: Callable[[str], dict]) -> Iterator[FileInput]:
    """Every choice of the graph that names a file to upload, or a value the server does not offer."""
    for node, entry in graph.items():
        for _, name, (kind, *more) in declared_inputs(schema(entry["class_type"])):
            options = more[0] if more else {}
            value = entry["inputs"].get(name)
            if not isinstance(value, str) or value.endswith((" [output]", " [temp]")):
                continue
            choices = options.get("options") if kind == "COMBO" else None
            if isinstance(kind, list):
                choices = kind
            choices = choices if isinstance(choices, list) else None
            certain = any(options.get(flag) for flag in UPLOAD_FLAGS)
            offered = value in (choices or ())
            if certain or (choices is not None and not offered):
                yield FileInput(node, name, re.sub(r" \[input\]$", "", value), certain, offered)


def find_file(name: str, given: Sequence[Path], folders: Sequence[Path], anywhere: bool = False) -> Path | None:
    """The local file a graph means: one given by that name, or one of that name inside the folders.

    Args:
        anywhere: the name may be a path that leads out of the folders.
    """
    by_name = [path for path in given if path.name == Path(name).name]
    inside = [
        folder / name
        for folder in folders
        if anywhere or Path(os.path.normpath(folder / name)).is_relative_to(os.path.normpath(folder))
    ]
    return next((path for path in (*by_name, *inside) if _is_file(path)), None)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False
