"""Positions of a graph's nodes: stages side by side, inside a stage one column per step, lists from top to bottom."""

from dataclasses import dataclass

TITLE_BAR = 30  # a node's position is the corner below its title bar
COLUMN_GAP, ROW_GAP = 50, 24
PADDING, STAGE_TITLE, STAGE_GAP = 20, 40, 40


@dataclass(frozen=True)
class Stage:
    """Nodes that belong together, drawn as a group. ``nodes``: ids; within a column they stand in this order."""

    title: str
    nodes: tuple[str, ...]


@dataclass(frozen=True)
class Layout:
    """``nodes``: id -> (x, y, width, height) without the title bar; ``stages``: (x, y, width, height) in order."""

    nodes: dict[str, tuple[float, float, float, float]]
    stages: list[tuple[float, float, float, float]]


def columns(nodes: tuple[str, ...], links: set[tuple[str, str]]) -> list[list[str]]:
    """Nodes by topological depth inside the stage; what nothing here feeds stands right before what it feeds."""
    inner = [(source, target) for source, target in links if source in nodes and target in nodes]
    depth = dict.fromkeys(nodes, 0)
    for _ in nodes:  # longest path: as many rounds as a chain has links
        for source, target in inner:
            depth[target] = max(depth[target], depth[source] + 1)
    if inner and max(depth.values()) >= len(nodes):
        raise ValueError("the graph has a loop")
    for node in reversed(nodes):
        fed = [depth[target] for source, target in inner if source == node]
        if fed and not any(target == node for _, target in inner):
            depth[node] = min(fed) - 1
    return [[node for node in nodes if depth[node] == step] for step in sorted(set(depth.values()))]


def arrange(stages: list[Stage], links: set[tuple[str, str]], sizes: dict[str, tuple[float, float]]) -> Layout:
    """Place stages from left to right on one line. Nodes of one column get the width of the widest.

    Args:
        links: (source id, target id).
        sizes: id -> (width, height) the node needs.
    """
    placed, boxes, left = {}, [], 0.0
    for stage in stages:
        x, bottom = left + PADDING, 0.0
        for column in columns(stage.nodes, links):
            width, y = max(sizes[node][0] for node in column), STAGE_TITLE + PADDING
            for node in column:
                height = sizes[node][1]
                placed[node] = (x, y + TITLE_BAR, width, height)
                y += TITLE_BAR + height + ROW_GAP
            x, bottom = x + width + COLUMN_GAP, max(bottom, y - ROW_GAP)
        boxes.append((left, 0.0, x - COLUMN_GAP + PADDING - left, bottom + PADDING))
        left += boxes[-1][2] + STAGE_GAP
    return Layout(placed, boxes)
