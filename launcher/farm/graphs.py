"""API graphs as graphs: what leads where."""

import copy
import hashlib
import json
from collections.abc import Iterable, Iterator

Link = tuple[str, int]  # node id, output


def link_of(graph: dict, value: object) -> Link | None:
    """The output that an input's value stands for, or None for a value."""
    if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and value[0] in graph:
        return (value[0], value[1]) if isinstance(value[1], int) else None
    return None


def links_into(graph: dict, node: str) -> Iterator[tuple[str, Link]]:
    """(input, the output connected to it) of a node."""
    for name, value in graph[node]["inputs"].items():
        if (link := link_of(graph, value)) is not None:
            yield name, link


def consumers(graph: dict, node: str) -> Iterator[tuple[int, str, str]]:
    """(output of the node, node behind it, its input)."""
    for other in graph:
        for name, (source, slot) in links_into(graph, other):
            if source == node:
                yield slot, other, name


def ancestors(graph: dict, nodes: Iterable[str]) -> set[str]:
    """The nodes and all that they depend on."""
    found, waiting = set(), list(nodes)
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += [source for _, (source, _) in links_into(graph, node)]
    return found


def descendants(graph: dict, nodes: Iterable[str]) -> set[str]:
    """The nodes and all that depend on them."""
    found = set(nodes)
    for node in in_order(graph):
        if any(source in found for _, (source, _) in links_into(graph, node)):
            found.add(node)
    return found


def in_order(graph: dict) -> list[str]:
    """All nodes, each behind those it depends on; what goes in circles is left out."""
    order: list[str] = []
    done: set[str] = set()
    waiting = dict.fromkeys(graph)
    while True:
        ready = [node for node in waiting if all(source in done for _, (source, _) in links_into(graph, node))]
        if not ready:
            return order
        order += ready
        done |= set(ready)
        waiting = {node: None for node in waiting if node not in done}


def pruned(graph: dict, sinks: Iterable[str]) -> dict:
    """A copy of what the sinks depend on."""
    wanted = ancestors(graph, sinks)
    return copy.deepcopy({node: entry for node, entry in graph.items() if node in wanted})


def replace_link(graph: dict, old: Link, new: Link, keep: Iterable[str] = ()) -> None:
    """Connect every input that was connected to ``old`` to ``new``, those of the nodes ``keep`` excepted."""
    for node, entry in graph.items():
        if node not in keep:
            for name, link in list(links_into(graph, node)):
                if link == old:
                    entry["inputs"][name] = list(new)


def graph_hash(graph: dict) -> str:
    """SHA-256 of what a graph computes: classes and inputs, without titles."""
    bare = {node: [entry["class_type"], entry["inputs"]] for node, entry in graph.items()}
    return hashlib.sha256(json.dumps(bare, sort_keys=True).encode()).hexdigest()
