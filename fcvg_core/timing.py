"""When each frame of an inbetween clip happens: fractions of the way from the first key frame (0) to the last (1)."""

import numpy as np


def published_fractions(frame_count: int) -> np.ndarray:
    """FCVG's timing: both key frames, and between them ``frame_count - 2`` frames from 0 to 1 *inclusive*, so that
    frames 0 and 1 coincide, as do the last two (spec fcvg.md 5).

    With three frames, where the formula is undefined, the middle one is half-way.

    Args:
        frame_count: 2 or more.

    Returns:
        float64 (frame_count,).
    """
    inner = frame_count - 2
    between = np.arange(inner) / (inner - 1) if inner > 1 else np.full(inner, 0.5)
    return np.concatenate([[0.0], between, [1.0]])
