"""Where a workflow can be split: which nodes take a part, which wires carry the results, how they are put together.

A unit is the same graph with a part chosen, up to 'Save Segment' nodes on those wires. The join is the same graph with
'Load Segment' nodes there: whatever spans parts (joints, colour drift, conditions, encoding) runs in it.
"""

import copy
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

from ..graph import title
from .folder import SEGMENTS
from .graphs import Link, ancestors, consumers, descendants, in_order, link_of, links_into, pruned, replace_link

Schema = Callable[[str], Mapping]

PAIRS, PROMPTS, JOIN = "BetwixtKeyFramePairs", "BetwixtPerGapPrompts", "BetwixtJoinSegments"
INBETWEEN, LAYERS = "BetwixtInbetweenWithoutModel", "BetwixtFindMotionLayers"
STYLISE, PROPAGATE, BLEND = "BetwixtStyliseClip", "BetwixtEbSynthPropagate", "BetwixtEbSynthBlend"
RERENDER, PLACE = "BetwixtRerenderKeyFrames", "BetwixtPlaceKeyFrames"
SAVE, LOAD = "BetwixtSaveSegment", "BetwixtLoadSegment"
FRAMES = ("IMAGE", "MASK")  # what a segment can carry
CARRIES = (*FRAMES, "KEYS")
PART_INPUT = {PAIRS: "gaps", INBETWEEN: "gaps", STYLISE: "intervals", PROPAGATE: "intervals", RERENDER: "shots"}
# node class -> output -> what it carries; other outputs are about the whole clip and cannot be had from parts
CARRIED = {
    INBETWEEN: {0: "IMAGE", 1: "MASK"},
    STYLISE: {0: "IMAGE"},
    PROPAGATE: {1: "IMAGE", 2: "IMAGE", 5: "IMAGE"},
    BLEND: {0: "IMAGE", 1: "MASK"},
    RERENDER: {0: "IMAGE", 2: "KEYS"},
}


@dataclass(frozen=True)
class Wire:
    """An output whose value is made in parts.

    Attributes:
        node, slot: the output; carries: "IMAGE", "MASK" or "KEYS".
        key: name of its segment files.
    """

    node: str
    slot: int
    carries: str
    key: str


@dataclass(frozen=True)
class Split:
    """A place where a graph is split.

    Attributes:
        node: the splitting node's id; what: "gaps", "intervals" or "shots".
        chosen: node id -> the input that takes the part.
        wires: what is carried from the units to the join.
        numbers: of 'Rerender Key Frames', the frame numbers of what comes out of it.
    """

    node: str
    what: str
    chosen: dict[str, str]
    wires: tuple[Wire, ...]
    numbers: str = ""

    def as_json(self) -> dict:
        return asdict(self)

    @classmethod
    def of_json(cls, value: Mapping) -> "Split":
        wires = (Wire(*(wire[name] for name in ("node", "slot", "carries", "key"))) for wire in value["wires"])
        return cls(value["node"], value["what"], value["chosen"], tuple(wires), value["numbers"])


def find_splits(graph: dict, schema: Schema) -> tuple[list[Split], list[str]]:
    """The splits of a graph in the order of work, and why other nodes cannot be split, for people."""
    splits, reasons = [], []
    for node in in_order(graph):
        kind = graph[node]["class_type"]
        if kind not in PART_INPUT:
            continue
        if str(graph[node]["inputs"].get(PART_INPUT[kind], "")).strip():
            reasons.append(f"{_called(graph, node)}: '{PART_INPUT[kind]}' is set already")
            continue
        found = _of_pairs(graph, node, schema) if kind == PAIRS else _of_node(graph, node)
        if isinstance(found, Split):
            splits.append(found)
        else:
            reasons.append(f"{_called(graph, node)}: {found}")
    return splits, reasons


def _called(graph: dict, node: str) -> str:
    return f"node {node} ({title(graph, node)})"


def _key(node: str, slot: int) -> str:
    plain = "".join(c if c.isalnum() else "-" for c in node)
    if plain != node or len(node) > 40:  # names of other nodes could look the same, or be too long for a file
        plain = f"{plain[:40]}-{hashlib.sha256(node.encode()).hexdigest()[:8]}"
    return f"{plain}.{slot}"


def is_key(text: str) -> bool:
    """Whether a text can be the name of segment files."""
    return 0 < len(text) <= 150 and text[0] != "." and all(c.isalnum() or c in "-." for c in text)


def _of_node(graph: dict, node: str) -> Split | str:
    """A node that makes several parts itself and puts them together."""
    kind = graph[node]["class_type"]
    members = [node]
    if kind == PROPAGATE:
        members += [other for slot, other, _ in consumers(graph, node) if slot == 0]
        if any(graph[other]["class_type"] != BLEND for other in members[1:]):
            return "its propagation goes elsewhere than to 'EbSynth Blend'"
    wires: dict[Link, Wire] = {}
    for member in members:
        for slot, other, _ in consumers(graph, member):
            if kind == PROPAGATE and member == node and slot == 0:
                continue
            carries = CARRIED[graph[member]["class_type"]].get(slot)
            if carries is None:
                return f"output {slot} of {_called(graph, member)} is about the whole clip and goes to node {other}"
            wires[member, slot] = Wire(member, slot, carries, _key(member, 0 if carries == "KEYS" else slot))
    if not wires:
        return "nothing is connected behind it"
    chosen = {node: PART_INPUT[kind]}
    layers = link_of(graph, graph[node]["inputs"].get("layers"))
    if layers is not None:
        if graph[layers[0]]["class_type"] != LAYERS:
            return "its layers do not come from 'Find Motion Layers'"
        chosen[layers[0]] = "gaps"
    return Split(node, PART_INPUT[kind], chosen, tuple(wires.values()))


def _of_pairs(graph: dict, node: str, schema: Schema) -> Split | str:
    """'Key Frame Pairs': everything behind it runs once per gap, up to nodes that take lists."""
    prompts = [other for other in graph if graph[other]["class_type"] == PROMPTS]
    listed = _listed(graph, [node, *prompts], schema)
    wires: dict[Link, Wire] = {}
    behind = descendants(graph, [node])

    def carry(link: Link) -> None:
        source, slot = link
        if source not in listed or source not in behind:
            return
        types = schema(graph[source]["class_type"]).get("output", [])
        carries = types[slot] if slot < len(types) else None
        if carries in FRAMES:
            wires[link] = Wire(source, slot, carries, _key(source, slot))
        else:
            for _, before in links_into(graph, source):
                carry(before)

    for other in graph:
        takes_lists = schema(graph[other]["class_type"]).get("is_input_list", False)
        if takes_lists or (other in listed and schema(graph[other]["class_type"]).get("output_node")):
            for _, link in links_into(graph, other):
                carry(link)
    if not wires:
        return "no frames come from behind it"
    before = ancestors(graph, {source for source, _ in wires})
    for other in before - {node, *prompts}:
        if any(schema(graph[other]["class_type"]).get("output_is_list", ())):
            return f"{_called(graph, other)} makes lists of its own"
    chosen = {node: "gaps", **{other: "gaps" for other in prompts if other in before}}
    return Split(node, "gaps", chosen, tuple(wires.values()))


def _listed(graph: dict, sources: list[str], schema: Schema) -> set[str]:
    """The nodes that run once per entry of the sources' lists."""
    found: set[str] = set()
    for node in in_order(graph):
        takes_lists = schema(graph[node]["class_type"]).get("is_input_list", False)
        from_lists = any(source in found or source in sources for _, (source, _) in links_into(graph, node))
        if from_lists and not takes_lists and node not in sources:
            found.add(node)
    return found


def unit_graph(graph: dict, splits: list[Split], number: int, part: int) -> dict:
    """The graph of one unit.

    Args:
        number: position of the split in ``splits``; part: which of its parts, from 1.
    """
    changed = copy.deepcopy(graph)
    for earlier in splits[:number]:
        _read_results(changed, earlier)
    split, sinks = splits[number], set()
    for node, name in split.chosen.items():
        changed[node]["inputs"][name] = str(part)
    for entry in changed.values():
        if "on_cancel" in entry["inputs"]:
            entry["inputs"]["on_cancel"] = "stop"  # a unit is finished as a whole or not at all
    for wire in split.wires:
        source = [wire.node, wire.slot if wire.carries != "KEYS" else 0]
        if wire.carries == "MASK":
            changed[f"{wire.key}.picture"] = _node("MaskToImage", mask=source)
            source = [f"{wire.key}.picture", 0]
        sinks.add(f"{wire.key}.save")
        changed[f"{wire.key}.save"] = _node(SAVE, images=source, name=f"{SEGMENTS}/{wire.key}", first=part)
    return pruned(changed, sinks)


def join_graph(graph: dict, splits: list[Split], schema: Schema) -> dict:
    """The graph that puts everything together, with the outputs of the whole one."""
    changed = copy.deepcopy(graph)
    for split in splits:
        _read_results(changed, split)
    return pruned(changed, [node for node in graph if schema(graph[node]["class_type"]).get("output_node")])


def _read_results(graph: dict, split: Split) -> None:
    """Take the split's results from segment files."""
    entry = graph[split.node]
    for wire in split.wires:
        load = f"{wire.key}.load"
        graph[load] = _node(LOAD, name=f"{SEGMENTS}/{wire.key}", numbers="")
        value: Link = (load, 1)
        if entry["class_type"] == PAIRS:
            value = (load, 0)
        elif entry["class_type"] == INBETWEEN:
            published = entry["inputs"].get("timing") == "published"
            loop = entry["inputs"].get("loop", False)
            graph[f"{wire.key}.join"] = _node(JOIN, segments=[load, 0], loop=loop, published_timing=published)
            value = (f"{wire.key}.join", 0)
        if wire.carries == "MASK":
            graph[f"{wire.key}.mask"] = _node("ImageToMask", image=list(value), channel="red")
            value = (f"{wire.key}.mask", 0)
        elif wire.carries == "KEYS":
            graph[f"{wire.key}.keys"] = _node(PLACE, pictures=list(value), numbers=split.numbers)
            value = (f"{wire.key}.keys", 0)
        replace_link(graph, (wire.node, wire.slot), value)


def _node(kind: str, **inputs) -> dict:
    return {"class_type": kind, "inputs": inputs}
