"""How many of one detector's line segments another one has found too."""

import numpy as np


def share_found(expected, found, tolerances, either_direction=True) -> list[float]:
    """Share of the ``expected`` segments (N, 2, 2) of which ``found`` (M, 2, 2) has one with both endpoints within
    each tolerance (pixels); ``either_direction``: the endpoints may be swapped."""
    if not len(expected):
        return [1.0] * len(tolerances)
    if not len(found):
        return [0.0] * len(tolerances)

    def farther_end(candidates):
        return np.linalg.norm(expected[:, None] - candidates[None], axis=-1).max(axis=-1).min(axis=1)

    distance = farther_end(found)
    if either_direction:
        distance = np.minimum(distance, farther_end(found[:, ::-1]))
    return [float((distance <= tolerance).mean()) for tolerance in tolerances]
