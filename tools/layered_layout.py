"""Positions of a graph's nodes: stages side by side, each with its columns, each column from top to bottom."""

from dataclasses import dataclass

TITLE_BAR = 30  # a node's position is the corner below its title bar
COLUMN_GAP, ROW_GAP = 50, 36
PADDING, STAGE_TITLE, STAGE_GAP = 20, 40, 40

Box = tuple[float, float, float, float]  # x, y, width, height


@dataclass(frozen=True)
class Stage:
    """Nodes that belong together, drawn as a group. ``columns``: ids from left to right, from top to bottom."""

    title: str
    columns: tuple[tuple[str, ...], ...]

    @property
    def nodes(self) -> list[str]:
        return [node for column in self.columns for node in column]


@dataclass(frozen=True)
class Layout:
    """``nodes``: id -> box without the title bar; ``stages``: boxes in order."""

    nodes: dict[str, Box]
    stages: list[Box]


def columns_by_depth(nodes: list[str], links: set[tuple[str, str]]) -> tuple[tuple[str, ...], ...]:
    """Columns by topological depth among ``nodes``; what none of them feeds stands right before what it feeds.

    Args:
        links: (source id, target id) of the whole graph, which has no loops.
    """
    inner = [(source, target) for source, target in links if source in nodes and target in nodes]
    depth = dict.fromkeys(nodes, 0)
    for _ in nodes:  # longest path: as many rounds as a chain has links
        for source, target in inner:
            depth[target] = max(depth[target], depth[source] + 1)
    for node in reversed(nodes):
        fed = [depth[target] for source, target in inner if source == node]
        if fed and not any(target == node for _, target in inner):
            depth[node] = min(fed) - 1
    return tuple(tuple(node for node in nodes if depth[node] == step) for step in sorted(set(depth.values())))


def arrange(stages: list[Stage], sizes: dict[str, tuple[float, float]]) -> Layout:
    """Place stages from left to right on one line. Nodes of one column get the width of the widest.

    Args:
        sizes: id -> (width, height) the node needs, without the title bar.
    """
    placed, boxes, left = {}, [], 0.0
    for stage in stages:
        x, bottom = left + PADDING, 0.0
        for column in stage.columns:
            width, y = max(sizes[node][0] for node in column), STAGE_TITLE + PADDING
            for node in column:
                height = sizes[node][1]
                placed[node] = (x, y + TITLE_BAR, width, height)
                y += TITLE_BAR + height + ROW_GAP
            x, bottom = x + width + COLUMN_GAP, max(bottom, y - ROW_GAP)
        boxes.append((left, 0.0, x - COLUMN_GAP + PADDING - left, bottom + PADDING))
        left += boxes[-1][2] + STAGE_GAP
    return Layout(placed, boxes)
