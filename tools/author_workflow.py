"""``python -m tools.author_workflow [NAME...]``: make workflows/NAME.json and .jpg from workflows/api/NAME.json.

The API graph needs only what differs from the defaults; it is completed by the interface and written back. The file
tools/layouts/NAME.json says what the interface cannot know::

    {"note": ["Markdown lines"], "stages": [["title", ["node id", ...]], ...], "thumbnail": "node id"}

A stage's nodes stand by topological depth; a list of lists says the columns instead. The thumbnail of a workflow that
needs no model file shows what the node ``thumbnail`` puts out; that of any other is an illustration of its inputs and
its graph, and says so. Screenshots are left in .out/workflows. Needs Chromium and playwright.
"""

import io
import json
import re
import sys
import tempfile
import uuid
from pathlib import Path

import av
from betwixt.common.files.published_files import PUBLISHED_FILES, files_named_in
from betwixt.launcher.client import Client
from betwixt.launcher.host_tree import find_host
from betwixt.launcher.server import Server
from PIL import Image

from support.bootstrap import ROOT
from support.frontend import Frontend
from support.models.stand_ins import write_base
from support.thumbnail import illustration, montage, write_thumbnail
from tools.layered_layout import TITLE_BAR, Box, Stage, arrange, columns_by_depth

WORKFLOWS, LAYOUTS, SCREENSHOTS = ROOT / "workflows", ROOT / "tools" / "layouts", ROOT / ".out" / "workflows"
# What the interface's missing-model dialog offers for download.
MODELS = {
    file.name: {"name": file.name, "url": file.url, "directory": file.folder} for file in PUBLISHED_FILES if file.url
}
MEDIA_SIZES = {  # room for the picture or player inside the node
    "LoadImage": (300, 330),
    "PreviewImage": (360, 270),
    "SaveImage": (360, 320),
    "SaveVideo": (360, 380),
    "BetwixtMatchLines": (400, 340),
}
NOTE_WIDTH, NOTE_GAP, LINE_HEIGHT, CHARACTERS = 420, 40, 18, 62
NOTE_COLOURS = {"color": "#432", "bgcolor": "#653"}
STAGE_COLOURS = ("#3f789e", "#8a6d3b", "#4f7a4f", "#7a4f78", "#8a4f4f")


def links_of(graph: dict) -> set[tuple[str, str]]:
    """(source id, target id) of every link of an API graph."""
    return {
        (value[0], node)
        for node, entry in graph.items()
        for value in entry["inputs"].values()
        if isinstance(value, list) and len(value) == 2 and value[0] in graph
    }


def note_node(number: int, lines: list[str]) -> dict:
    """The MarkdownNote left of the graph."""
    return {
        "id": number,
        "type": "MarkdownNote",
        "title": "What this graph does",
        "pos": [-NOTE_WIDTH - NOTE_GAP, TITLE_BAR],
        "size": [NOTE_WIDTH, 40 + LINE_HEIGHT * sum(1 + len(line) // CHARACTERS for line in lines)],
        "flags": {},
        "order": 0,
        "mode": 0,
        "inputs": [],
        "outputs": [],
        "properties": {},
        "widgets_values": ["\n".join(lines)],
        **NOTE_COLOURS,
    }


def stages_of(layout: dict, graph: dict) -> list[Stage]:
    """The stages of a layout file; nodes that it does not put into columns stand by topological depth."""
    links = links_of(graph)
    return [
        Stage(
            title,
            tuple(map(tuple, nodes)) if isinstance(nodes[0], list) else columns_by_depth(nodes, links),
        )
        for title, nodes in layout["stages"]
    ]


def without_nothing(slot: dict) -> dict:
    """A slot without empty keys and without its name in the author's language; an absent link must stay."""
    kept = {key: value for key, value in slot.items() if value is not None or key in ("link", "links")}
    return {key: value for key, value in kept.items() if key != "localized_name"}


def finished_node(node: dict, box: Box, versions: dict[str, str]) -> dict:
    """A serialized node at its place, with the registry name and version of its pack and the files it needs."""
    pack = "betwixt" if node["type"].startswith("Betwixt") else "comfy-core"
    files = [MODELS[value] for value in node.get("widgets_values") or () if isinstance(value, str) and value in MODELS]
    node = {key: value for key, value in node.items() if value is not None}
    node["pos"], node["size"] = [round(box[0]), round(box[1])], [round(box[2]), round(box[3])]
    node["inputs"] = [without_nothing(slot) for slot in node.get("inputs", [])]
    node["outputs"] = [without_nothing(slot) for slot in node.get("outputs", [])]
    if "widgets_values" in node:  # a seed that changes by itself would compute everything again on every run
        node["widgets_values"] = ["fixed" if value == "randomize" else value for value in node["widgets_values"]]
    node["properties"] = {"cnr_id": pack, "ver": versions[pack], **node["properties"]}
    if files:
        node["properties"]["models"] = files
    return node


def finished_workflow(name: str, serialized: dict, graph: dict, sizes: dict, layout: dict, versions: dict) -> dict:
    """The UI-format workflow: placed nodes, groups, note, metadata."""
    stages = stages_of(layout, graph)
    listed = [node for stage in stages for node in stage.nodes]
    if sorted(listed) != sorted(graph):
        raise ValueError(f"'{name}': the layout lists the nodes {sorted(listed)}, the graph has {sorted(graph)}")
    for node, entry in graph.items():
        sizes[node] = tuple(map(max, sizes[node], MEDIA_SIZES.get(entry["class_type"], (0, 0))))
    places = arrange(stages, sizes)
    nodes = [finished_node(node, places.nodes[str(node["id"])], versions) for node in serialized["nodes"]]
    number = 1 + max(node["id"] for node in nodes)
    return {
        **serialized,
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"betwixt/{name}")),
        "last_node_id": number,
        "nodes": [*nodes, note_node(number, layout["note"])],
        "groups": groups_of(stages, places.stages),
        "extra": {},
    }


def pack_version() -> str:
    return re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[1]


def groups_of(stages: list[Stage], boxes: list[Box]) -> list[dict]:
    """The stages as the interface's groups."""
    return [
        {
            "id": index + 1,
            "title": stage.title,
            "bounding": [round(value) for value in box],
            "color": STAGE_COLOURS[index % len(STAGE_COLOURS)],
            "font_size": 24,
            "flags": {},
        }
        for index, (stage, box) in enumerate(zip(stages, boxes, strict=True))
    ]


def as_json(value: dict) -> str:
    """JSON with a line per key, but lists of numbers and words on one line."""
    text = json.dumps(value, ensure_ascii=False, indent=1) + "\n"
    return re.sub(r"\[\n\s*([^\[\]{}]*?)\n\s*\]", lambda found: "[" + re.sub(r",\n\s*", ", ", found[1]) + "]", text)


def author(name: str, frontend: Frontend, versions: dict[str, str]) -> None:
    """Write both forms of one workflow, and its screenshot."""
    source, layout = WORKFLOWS / "api" / f"{name}.json", json.loads((LAYOUTS / f"{name}.json").read_text("utf-8"))
    sizes = frontend.sizes(json.loads(source.read_text("utf-8")), name)
    graph = frontend.prompt()
    workflow = finished_workflow(name, frontend.serialize(), graph, sizes, layout, versions)
    frontend.load_workflow(workflow)
    faults = frontend.faults()["faults"]
    back = frontend.prompt()
    if back != graph:
        changed = [node for node in graph if back.get(node) != graph[node]]
        faults = faults or f"other values in {', '.join(f'{n}: {graph[n]} / {back.get(n)}' for n in changed)}"
    if faults:
        raise ValueError(f"'{name}' does not come back as it was written: {faults}")
    source.write_text(as_json(graph), "utf-8")
    (WORKFLOWS / f"{name}.json").write_text(as_json(workflow), "utf-8")
    frontend.screenshot(SCREENSHOTS / f"{name}.png")


def upstream(graph: dict, node: str) -> dict:
    """The part of an API graph that a node needs, itself included."""
    needed, links = {node}, links_of(graph)
    while more := {source for source, target in links if target in needed} - needed:
        needed |= more
    return {name: entry for name, entry in graph.items() if name in needed}


def take_thumbnail(name: str, node: str | None, client: Client) -> None:
    """Write the thumbnail: what ``node`` puts out, or an illustration where that takes model files."""
    graph = json.loads((WORKFLOWS / "api" / f"{name}.json").read_text("utf-8"))
    if node is None or files_named_in(graph):
        workflow = json.loads((WORKFLOWS / f"{name}.json").read_text("utf-8"))
        picture = illustration(workflow, [example_picture(file) for file in inputs_of(graph)])
    else:
        run = client.run(upstream(graph, node), timeout=600)
        picture = montage([part for file in run.files if file.node == node for part in frames(client.fetch(file))])
    write_thumbnail(picture, WORKFLOWS / f"{name}.jpg")


def inputs_of(graph: dict) -> list[str]:
    """The pictures and clips that a graph loads, each once."""
    values = [value for entry in graph.values() for value in entry["inputs"].values() if isinstance(value, str)]
    return [value for value in dict.fromkeys(values) if value.endswith((".png", ".mp4"))]


def example_picture(name: str) -> Image.Image:
    """One of the pack's example inputs; the first frame of a clip."""
    return Image.open(io.BytesIO(frames((ROOT / "demo" / "inputs" / name).read_bytes())[0]))


def frames(data: bytes) -> list[bytes]:
    """A picture file as it is, or the frames of a video file as PNG files."""
    if data[4:8] != b"ftyp":
        return [data]
    pictures = []
    with av.open(io.BytesIO(data)) as video:
        for frame in video.decode(video=0):
            png = io.BytesIO()
            frame.to_image().save(png, "PNG")
            pictures.append(png.getvalue())
    return pictures


def main(names: list[str]) -> int:
    names = names or sorted(path.stem for path in LAYOUTS.glob("*.json"))
    versions = {"betwixt": pack_version()}
    with tempfile.TemporaryDirectory() as folder:
        with Server(find_host(), write_base(Path(folder)), cpu=True, threads=1) as server, Client(server.url) as client:
            versions["comfy-core"] = client.get("/system_stats")["system"]["comfyui_version"]
            for name in names:
                # A page of its own: what a graph leaves at the default would get the value that the node of the same
                # number had in the graph before.
                with Frontend(server.url) as frontend:
                    author(name, frontend, versions)
                print(f"workflows/{name}.json", flush=True)
            for name in names:
                take_thumbnail(name, json.loads((LAYOUTS / f"{name}.json").read_text("utf-8")).get("thumbnail"), client)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
