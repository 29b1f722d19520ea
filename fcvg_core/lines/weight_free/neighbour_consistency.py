"""What the neighbours of a line say about where it goes: neighbouring matches share one local similarity."""

import numpy as np

from ..geometry import cross, directions, lengths

NEIGHBOURS = 8
CLOSE = 10.0  # pixels: neighbours at this distance count fully, farther ones less


def _complex(points: np.ndarray) -> np.ndarray:
    return points[..., 0].astype(np.float64) + 1j * points[..., 1]


def _nearest(segments: np.ndarray, start: np.ndarray, apart: bool) -> tuple[np.ndarray, np.ndarray]:
    """Indices and distances (N, K) of the nearest matches to each segment, by midpoints; ``apart``: not itself."""
    middles, others = _complex(segments).mean(axis=1), _complex(start).mean(axis=1)
    distance = np.abs(middles[:, None] - others[None])
    if apart:
        np.fill_diagonal(distance, np.inf)
    count = min(NEIGHBOURS, len(start) - apart)
    order = np.argpartition(distance, count - 1, axis=1)[:, :count]
    return order, np.take_along_axis(distance, order, axis=1)


def neighbour_prediction(segments, start, end, score, apart=False) -> tuple[np.ndarray, np.ndarray]:
    """Where the matches around each segment take it.

    A similarity is fitted robustly to the endpoints of the nearest matches (weighted by score and nearness, Cauchy
    reweighting) and applied to the segment.

    Args:
        segments: (N, 2, 2) of the first frame.
        start, end, score: the matches, (M, 2, 2), (M, 2, 2), (M,); at least two, or three when ``apart``.
        apart: the segments are the matches themselves, each to be predicted without its own help.

    Returns:
        predicted (N, 2, 2) and spread (N,): how much the neighbours disagree, in pixels.
    """
    order, distance = _nearest(segments, start, apart)
    weight = np.repeat(score[order] / (1 + (distance / (CLOSE + np.median(distance))) ** 2), 2, axis=1)
    count = len(segments)
    source, target = (_complex(side[order]).reshape(count, -1) for side in (start, end))
    robust = weight
    for _ in range(4):
        total = robust.sum(axis=1, keepdims=True) + 1e-9
        mean0, mean1 = ((robust * side).sum(axis=1, keepdims=True) / total for side in (source, target))
        centred0, centred1 = source - mean0, target - mean1
        # drawn towards a pure translation where the neighbours are too close together to tell turn and zoom
        power = (robust * np.abs(centred0) ** 2).sum(axis=1, keepdims=True) + 25.0 * total
        turn = ((robust * centred0.conj() * centred1).sum(axis=1, keepdims=True) + 25.0 * total) / power
        residual = np.abs(centred1 - turn * centred0)
        spread = (robust * residual).sum(axis=1, keepdims=True) / total
        robust = weight / (1 + (residual / np.maximum(spread, 1.0)) ** 2)
    moved = mean1 + turn * (_complex(segments) - mean0)
    return np.stack([moved.real, moved.imag], axis=-1).astype(np.float32), spread[:, 0].astype(np.float32)


def order_kept(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Share (M,) of the neighbours of a match that lie on the same side of it in both frames; 1 without neighbours."""
    if len(start) < 2:
        return np.ones(len(start), np.float32)
    order, _ = _nearest(start, start, apart=True)
    sides = []
    for side in (start, end):
        offset = side[order].mean(axis=2) - side[:, None, 0]
        sides.append(cross(directions(side)[:, None], offset))
    clear = np.minimum(np.abs(sides[0]), np.abs(sides[1])) > 3
    same = (sides[0] * sides[1] > 0) & clear
    return ((same.sum(axis=1) + 1) / (clear.sum(axis=1) + 1)).astype(np.float32)


def relative_error(predicted: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Largest endpoint distance (N,) of predicted from matched segments, in units of 3 px and a tenth of the length."""
    distance = np.linalg.norm(predicted - end, axis=-1).max(axis=1)
    return distance / (3 + 0.1 * lengths(end))
