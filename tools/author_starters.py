"""``python -m tools.author_starters [NAME...]``: make the starter workflows and their one-block beginnings.

tools/starters/NAME.json says which part of an existing workflow becomes the block::

    {"from": "workflow", "without": ["node id", ...], "add": {"node id": node}, "set": {"node id.input": value},
     "block": "name", "description": "...", "outside": ["node id", ...],
     "inputs": [["label", ["node id.input", ...]], ...], "outputs": ["label", ...],
     "note": [...], "columns": [["node id", ...], ...]}

``set`` changes values and links; null removes them. All nodes but those ``outside`` go into the block. Its inputs are
the wires from outside under the labels given for them, and the widgets named; ``columns`` places what is outside, with
"block" for the block. Inside, nodes stand as in the workflow they come from. Written are subgraphs/BLOCK.json for the
interface's node library, and workflows/NAME.json with its API form. Needs Chromium and playwright.
"""

import json
import re
import sys
import tempfile
import uuid
from pathlib import Path

from betwixt.launcher.client import Client
from betwixt.launcher.host_tree import find_host
from betwixt.launcher.server import Server

from support.bootstrap import ROOT
from support.frontend import Frontend
from support.models.stand_ins import write_base
from tools.author_workflow import (
    LAYOUTS,
    MEDIA_SIZES,
    SCREENSHOTS,
    WORKFLOWS,
    as_json,
    finished_node,
    groups_of,
    note_node,
    pack_version,
    stages_of,
    take_thumbnail,
)
from tools.layered_layout import Stage, arrange

STARTERS, BLUEPRINTS = ROOT / "tools" / "starters", ROOT / "subgraphs"
BLOCK_WIDTH, BLOCK_MARGIN = 420, 60
CATEGORY = "Betwixt"
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

# Turns the nodes into a subgraph whose inputs are the wires from outside and the widgets named. Returns its node's id
# and the height the node needs.
CONVERT = """([inside, inputs, outputs, name, description]) => {
  const {subgraph, node} = app.graph.convertToSubgraph(new Set(inside.map(id => app.graph.getNodeById(id))))
  const inner = id => subgraph._nodes.find(other => String(other.id) === id)
  const feeds = slot => slot.linkIds.map(id => subgraph.links.get(id)).map(link =>
    `${link.target_id}.${subgraph.getNodeById(link.target_id).inputs[link.target_slot].name}`)
  const wires = subgraph.inputs.filter((slot, index) => node.inputs[index].link != null)
  for (const slot of subgraph.inputs.filter(slot => !wires.includes(slot))) subgraph.removeInput(slot)
  for (const [label, targets] of inputs) {
    let slot = wires.find(wire => feeds(wire).includes(targets[0]))
    if (!slot) {
      for (const target of targets) {
        const [id, widget] = [target.slice(0, target.indexOf('.')), target.slice(target.indexOf('.') + 1)]
        const input = inner(id).inputs.find(other => other.name === widget)
        slot ??= subgraph.addInput(label.replaceAll(' ', '_'), input.type)
        if (!slot.connect(input, inner(id))) throw Error(`no link to ${target}`)
      }
    }
    subgraph.renameInput(slot, label)
  }
  outputs.forEach((label, index) => subgraph.renameOutput(subgraph.outputs[index], label))
  subgraph.name = name
  subgraph.description = description
  node.title = name
  return [Number(node.id), node.computeSize()[1]]
}"""


def without_block(graph: dict) -> dict:
    """An API graph whose block is opened: node "16:4" becomes "4"."""

    def plain(value):
        link = isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)
        return [value[0].rpartition(":")[2], value[1]] if link else value

    return {
        node.rpartition(":")[2]: {**entry, "inputs": {key: plain(value) for key, value in entry["inputs"].items()}}
        for node, entry in graph.items()
    }


def source_graph(spec: dict) -> dict:
    """The flat API graph of a starter."""
    graph = json.loads((WORKFLOWS / "api" / f"{spec['from']}.json").read_text("utf-8"))
    for node in spec.get("without", ()):
        del graph[node]
    graph |= spec.get("add", {})
    for target, value in spec.get("set", {}).items():
        node, _, key = target.partition(".")
        graph[node]["inputs"][key] = value
        if value is None:
            del graph[node]["inputs"][key]
    return graph


def room(entry: dict, size: tuple[float, float]) -> tuple[float, float]:
    """The size of a node with the picture or player that it shows."""
    return tuple(map(max, size, MEDIA_SIZES.get(entry["class_type"], (0, 0))))


def repeatable(workflow: dict, name: str) -> dict:
    """The workflow with the interface's random ids replaced by ids that depend on the block's name alone."""
    text = json.dumps(workflow, ensure_ascii=False)
    for number, found in enumerate(dict.fromkeys(UUID.findall(text))):
        text = text.replace(found, str(uuid.uuid5(uuid.NAMESPACE_URL, f"betwixt/{name}/{number}")))
    return json.loads(text)


def finish_inside(subgraph: dict, spec: dict, graph: dict, sizes: dict, versions: dict) -> None:
    """Place the nodes of a block by the layout of the workflow they come from."""
    inner = {str(node["id"]) for node in subgraph["nodes"]}
    layout = json.loads((LAYOUTS / f"{spec['from']}.json").read_text("utf-8"))

    def kept(nodes: list) -> list:
        parts = [kept(node) if isinstance(node, list) else node for node in nodes]
        return [part for part in parts if part and (isinstance(part, list) or part in inner)]

    stages = [["Settings", list(spec.get("add", ()))]] if spec.get("add") else []
    stages += [[title, kept(nodes)] for title, nodes in layout["stages"]]
    stages = stages_of({"stages": [stage for stage in stages if stage[1]]}, graph)
    places = arrange(stages, {node: room(graph[node], sizes[node]) for node in inner})
    subgraph["nodes"] = [finished_node(node, places.nodes[str(node["id"])], versions) for node in subgraph["nodes"]]
    subgraph["groups"] = groups_of(stages, places.stages)
    right = max(x + width for x, _, width, _ in places.stages)
    for side, x in (("inputNode", -240), ("outputNode", right + 80)):
        subgraph[side]["bounding"] = [round(x), 100, *subgraph[side]["bounding"][2:]]
    for key in ("inputs", "outputs"):
        for slot in subgraph[key]:
            slot.pop("localized_name", None)
            slot.pop("pos", None)
    subgraph["category"], subgraph["extra"] = CATEGORY, {}


def blueprint(workflow: dict, block: int, subgraph: dict) -> dict:
    """The workflow's block alone, as the host's node library reads it."""
    node = next(node for node in workflow["nodes"] if node["id"] == block)
    alone = json.loads(json.dumps({**node, "pos": [0, 0]}))
    for slot in alone["inputs"]:
        slot["link"] = None
    for slot in alone["outputs"]:
        slot["links"] = []
    return {
        "id": workflow["id"],
        "revision": 0,
        "last_node_id": block,
        "last_link_id": 0,
        "nodes": [alone],
        "links": [],
        "version": 0.4,
        "definitions": {"subgraphs": [subgraph]},
        "extra": {},
    }


def author(name: str, frontend: Frontend, versions: dict[str, str]) -> None:
    """Write one starter in both forms, its block and its screenshot."""
    spec = json.loads((STARTERS / f"{name}.json").read_text("utf-8"))
    sizes = frontend.sizes(source_graph(spec), name)
    graph = frontend.prompt()
    inside = [int(node) for node in graph if node not in spec["outside"]]
    block, height = frontend.page.evaluate(
        CONVERT, [inside, spec["inputs"], spec["outputs"], spec["block"], spec["description"]]
    )
    serialized = repeatable(frontend.serialize(), name)
    (subgraph,) = serialized["definitions"]["subgraphs"]
    finish_inside(subgraph, spec, graph, sizes, versions)
    sizes[str(block)] = (BLOCK_WIDTH, height + BLOCK_MARGIN)
    columns = tuple(tuple(str(block) if node == "block" else node for node in column) for column in spec["columns"])
    sizes |= {node: room(graph[node], sizes[node]) for node in spec["outside"]}
    places = arrange([Stage("", columns)], sizes)
    nodes = [finished_node(node, places.nodes[str(node["id"])], versions) for node in serialized["nodes"]]
    next(node for node in nodes if node["id"] == block)["properties"].update(cnr_id="betwixt", ver=versions["betwixt"])
    number = max(node["id"] for node in nodes) + 1
    workflow = {
        **serialized,
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"betwixt/{name}")),
        "last_node_id": number,
        "nodes": [*nodes, note_node(number, spec["note"])],
        "groups": [],
        "extra": {},
    }
    frontend.load_workflow(workflow)
    faults, back = frontend.faults()["faults"], frontend.prompt()
    if faults or without_block(back) != graph:
        changed = [node for node, entry in without_block(back).items() if entry != graph.get(node)]
        raise ValueError(f"'{name}' does not come back as it was written: {faults or changed}")
    (WORKFLOWS / f"{name}.json").write_text(as_json(workflow), "utf-8")
    (WORKFLOWS / "api" / f"{name}.json").write_text(as_json(back), "utf-8")
    (BLUEPRINTS / f"{spec['block']}.json").write_text(as_json(blueprint(workflow, block, subgraph)), "utf-8")
    frontend.screenshot(SCREENSHOTS / f"{name}.png")


def saved_video(name: str) -> str:
    """The node that saves a starter's clip."""
    graph = json.loads((WORKFLOWS / "api" / f"{name}.json").read_text("utf-8"))
    return next(node for node, entry in graph.items() if entry["class_type"] == "SaveVideo")


def main(names: list[str]) -> int:
    versions = {"betwixt": pack_version()}
    with tempfile.TemporaryDirectory() as folder:
        with Server(find_host(), write_base(Path(folder)), cpu=True, threads=1) as server, Client(server.url) as client:
            versions["comfy-core"] = client.get("/system_stats")["system"]["comfyui_version"]
            for name in names or sorted(path.stem for path in STARTERS.glob("*.json")):
                with Frontend(server.url) as frontend:
                    author(name, frontend, versions)
                print(f"workflows/{name}.json", flush=True)
                take_thumbnail(name, saved_video(name), client)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
