"""Positions of a graph's nodes: stages in rows, each with its columns, each column from top to bottom."""

from dataclasses import dataclass

TITLE_BAR = 30  # a node's position is the corner below its title bar
COLUMN_GAP, ROW_GAP = 50, 36
PADDING, STAGE_TITLE, STAGE_GAP = 20, 40, 40
SCREEN, NOTE_SPACE = (16, 9), 460  # a screen's shape; the width the note takes

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
    """Place stages from left to right in as many rows as show the graph largest on a screen of :data:`SCREEN`'s shape.

    Nodes of one column get the width of the widest.

    Args:
        sizes: id -> (width, height) the node needs, without the title bar.
    """
    return max((_rows(stages, sizes, count) for count in range(1, len(stages) + 1)), key=_scale)


def _scale(layout: Layout) -> float:
    """How large the layout is shown, the note beside it included."""
    width = max(x + w for x, _, w, _ in layout.stages) + NOTE_SPACE
    height = max(y + h for _, y, _, h in layout.stages)
    return min(SCREEN[0] / width, SCREEN[1] / height)


def _rows(stages: list[Stage], sizes: dict[str, tuple[float, float]], count: int) -> Layout:
    """The layout in ``count`` rows at most, each about as wide as the others."""
    widths = [_stage_width(stage, sizes) + STAGE_GAP for stage in stages]
    limit = max(sum(widths) / count, *widths)
    placed, boxes, row = {}, [], []
    left = top = 0.0
    for stage, width in zip(stages, widths, strict=True):
        if row and left + width / 2 > limit:
            left, top, row = 0.0, max(y + h for _, y, _, h in row) + STAGE_GAP, []
        row.append(_place(stage, sizes, left, top, placed))
        boxes.append(row[-1])
        left += width
    return Layout(placed, boxes)


def _stage_width(stage: Stage, sizes: dict[str, tuple[float, float]]) -> float:
    columns = sum(max(sizes[node][0] for node in column) + COLUMN_GAP for column in stage.columns)
    return columns - COLUMN_GAP + 2 * PADDING


def _place(stage: Stage, sizes: dict, left: float, top: float, placed: dict[str, Box]) -> Box:
    """Put a stage's nodes into ``placed``; returns the stage's box."""
    x, bottom = left + PADDING, top
    for column in stage.columns:
        width, y = max(sizes[node][0] for node in column), top + STAGE_TITLE + PADDING
        for node in column:
            height = sizes[node][1]
            placed[node] = (x, y + TITLE_BAR, width, height)
            y += TITLE_BAR + height + ROW_GAP
        x, bottom = x + width + COLUMN_GAP, max(bottom, y - ROW_GAP)
    return left, top, x - COLUMN_GAP + PADDING - left, bottom + PADDING - top
