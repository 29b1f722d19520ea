"""The flow that key frames need: each from its predecessor and from its anchor."""

from ..flow.estimation import Flow
from .constraints import KeyframeConstraints
from .rendering import Correspondence


def anchors(count: int, refresh: frozenset[int]) -> list[int]:
    """The anchor's position for each of ``count`` key frames; a key frame that takes over serves from the next on."""
    current, result = 0, []
    for position in range(count):
        result.append(current)
        if position in refresh:
            current = position
    return result


def needed_pairs(count: int, refresh: frozenset[int], constraints: KeyframeConstraints) -> list[tuple[int, int]]:
    """(earlier, later) positions among the key frames."""
    pairs = set()
    for position, anchor in list(enumerate(anchors(count, refresh)))[1:]:
        if constraints.needs_flow:
            pairs.add((anchor, position))
        if constraints.pixel_aware is not None:
            pairs.add((position - 1, position))
    return sorted(pairs)


def check_flow(flow: Flow, pairs: list[tuple[int, int]], height: int, width: int) -> None:
    """Refuse, by a BetwixtError, flow of another size, with NaN, or without one of the pairs."""
    flow.check(
        pairs,
        height,
        width,
        "the frames connected to 'key_frames'",
        "Every key frame needs the flow from its predecessor and from the anchor, counted among the key frames.",
        "Connect 'flow_model' instead, or set 'Estimate Flow' to the list "
        + ", ".join(f"{earlier}-{later}" for earlier, later in pairs)
        + ".",
    )


def correspondence_from(flow: Flow):
    """(earlier, later position) -> :class:`Correspondence`, for the renderer."""

    def between(earlier: int, later: int) -> Correspondence:
        index = flow.pairs.index((earlier, later))
        return Correspondence(flow.channels_first(index)[1], flow.occlusion[index : index + 1])

    return between
