"""Which line matches are true: judged by the known motion of a :class:`support.pictures.moved_pictures.MovedPair`."""

import numpy as np
from betwixt.common.pictures import grey
from betwixt.fcvg_core.lines.matches import LineMatches
from betwixt.fcvg_core.lines.weight_free.matcher import HALF_PIXEL, WeightFreeLineMatcher

from support.pictures.moved_pictures import MovedPair, apply

TOLERANCE = 3.0  # pixels


def _lookup(labels: np.ndarray, points: np.ndarray, radius: int) -> np.ndarray:
    """Nearest layer (largest number) within ``radius`` px of each (..., 2) point; -1 outside the picture."""
    height, width = labels.shape
    best = np.full(points.shape[:-1], -1)
    x, y = np.floor(points + 0.5).astype(int)[..., 0], np.floor(points + 0.5).astype(int)[..., 1]
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    for dy in range(-radius, radius + 1):
        for dx in range(-radius, radius + 1):
            found = labels[(y + dy).clip(0, height - 1), (x + dx).clip(0, width - 1)]
            best = np.maximum(best, np.where(inside, found, -1))
    return best


def _along(segments: np.ndarray, shares: np.ndarray) -> np.ndarray:
    return segments[:, None, 0] + shares[:, None] * (segments[:, None, 1] - segments[:, None, 0])


def layer_of(segments: np.ndarray, pair: MovedPair) -> np.ndarray:
    """The layer (N,) that most of a segment (N, 2, 2) of the first frame lies on; outlines belong to the nearer one."""
    seen = _lookup(pair.first_layer, _along(segments, np.linspace(0.1, 0.9, 9)), radius=2)
    counts = np.stack([(seen == layer).sum(axis=1) for layer in range(len(pair.motions))], axis=1)
    return counts.argmax(axis=1)


def true_image(segments: np.ndarray, pair: MovedPair) -> np.ndarray:
    """Where segments (N, 2, 2) of the first frame really are in the last."""
    layers = layer_of(segments, pair)
    images = np.zeros(segments.shape)
    for layer, motion in enumerate(pair.motions):
        images[layers == layer] = apply(motion, segments[layers == layer].astype(np.float64))
    return images


def true_matches(start: np.ndarray, end: np.ndarray, pair: MovedPair) -> np.ndarray:
    """Boolean (M,): both end endpoints within 3 px of the true image of the start endpoints, in either order."""
    image = true_image(start, pair)
    straight, crossed = (np.linalg.norm(image - side, axis=-1).max(axis=1) for side in (end, end[:, ::-1]))
    return np.minimum(straight, crossed) <= TOLERANCE


def covered_share(segments: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(N, M): share of each segment (N, 2, 2) that each other (M, 2, 2) covers, 0 where it is not on it within 3 px."""
    span = segments[:, 1] - segments[:, 0]
    length = np.maximum(np.linalg.norm(span, axis=1), 1e-6)
    along = span / length[:, None]
    offset = others[None] - segments[:, None, None, 0]  # (N, M, 2 endpoints, 2)
    place = (offset * along[:, None, None]).sum(-1)
    across = offset[..., 1] * along[:, None, None, 0] - offset[..., 0] * along[:, None, None, 1]
    low, high = place.min(axis=-1), place.max(axis=-1)
    left, right = np.maximum(low, 0), np.minimum(high, length[:, None])
    # distance at both ends of the common part, linear between the endpoints of the other
    swapped = place[..., 0] > place[..., 1]
    first, second = (np.where(swapped, across[..., 1 - end], across[..., end]) for end in (0, 1))
    slope = (second - first) / np.maximum(high - low, 1e-6)
    near = [np.abs(first + (edge - low) * slope) <= TOLERANCE for edge in (left, right)]
    return np.where((right > left) & near[0] & near[1], (right - left) / length[:, None], 0.0)


def detectable(first: np.ndarray, last: np.ndarray, pair: MovedPair) -> np.ndarray:
    """Boolean (N,): segments of the first frame that can be found again.

    The true image lies inside the last frame, nothing nearer hides more than a fifth of it, and one detected segment of
    the last frame lies on it within 3 px and covers at least half of it.
    """
    image, layers = true_image(first, pair), layer_of(first, pair)
    seen = _lookup(pair.last_layer, _along(image, np.linspace(0.1, 0.9, 9)), radius=1)
    height, width = pair.last_layer.shape
    inside = ((image >= 0) & (image <= (width - 1, height - 1))).all(axis=(1, 2))
    visible = (seen == layers[:, None]).mean(axis=1) >= 0.8
    return inside & visible & (covered_share(image, last) >= 0.5).any(axis=1)


def recalled(first: np.ndarray, start: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Boolean (N,): segments of the first frame of which true matches (start (M, 2, 2), true (M,)) cover half."""
    return (covered_share(first, start[true]) >= 0.5).any(axis=1)


def measure(matches: LineMatches, pair: MovedPair) -> np.ndarray:
    """Counts (4,): true matches, matches, segments found again, segments that can be found again.

    The segments are those of the weight-free matcher's detector, whatever matcher is measured.
    """
    detect = WeightFreeLineMatcher().detect
    first, last = (detect(grey(picture)) for picture in (pair.first, pair.last))
    start, end = matches.start - HALF_PIXEL, matches.end - HALF_PIXEL
    true = true_matches(start, end, pair)
    findable = first[detectable(first, last, pair)]
    return np.array([true.sum(), len(true), recalled(findable, start, true).sum(), len(findable)])
