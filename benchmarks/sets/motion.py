"""Motion histograms of a clip, after the Frechet video motion distance (Liu et al. 2024), without a network.

A grid of points is carried along by optical flow (DIS; published: PIPs++). Of their velocities and accelerations each
cell of 5 x 5 points and about four frames keeps one histogram over eight directions, weighted by length. Numbers are
not those of FVMD: trackers differ.
"""

import cv2
import numpy as np
import torch
from betwixt.rerender_core.flow.estimation import DenseInverseSearch, estimate_flow, neighbour_pairs

SIDE = 256  # pixels that a clip is resized to, both ways, as published
POINTS, CELL = 20, 5  # of the grid along each side, and of a cell
FRAMES_PER_CELL, DIRECTIONS = 4, 8
LEAST_FRAMES = 3  # for one acceleration


def motion_features(frames: np.ndarray) -> np.ndarray:
    """Feature vector of a clip, uint8 [T, H, W, 3]: :func:`histograms` of its tracks, float64 [D]."""
    small = np.stack([cv2.resize(frame, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for frame in frames])
    clip = torch.from_numpy(small).float() / 255
    flow = estimate_flow(clip, neighbour_pairs(len(clip)), DenseInverseSearch("medium"))
    return histograms(tracks(flow.forward.numpy()))


def tracks(flow: np.ndarray) -> np.ndarray:
    """Positions (x, y) of the grid's points in every frame, float64 [T, POINTS, POINTS, 2].

    Args:
        flow: forward flow of neighbours in pixels, float32 [T - 1, H, W, 2]. Points that leave the picture stay at its
            border.
    """
    height, width = flow.shape[1:3]
    centres = [(np.arange(POINTS) + 0.5) * side / POINTS - 0.5 for side in (width, height)]
    positions = [np.stack(np.meshgrid(*centres), axis=-1)]
    for step in flow:
        points = positions[-1].astype(np.float32)
        moved = positions[-1] + cv2.remap(step, points[..., 0], points[..., 1], cv2.INTER_LINEAR)
        positions.append(np.clip(moved, 0, [width - 1, height - 1]))
    return np.stack(positions)


def histograms(positions: np.ndarray) -> np.ndarray:
    """Mean length of the vectors in each of eight directions, per cell: velocities first, then accelerations.

    Args:
        positions: [T, POINTS, POINTS, 2], pixels, T >= 3.

    Returns:
        float64 [2 * cells in time * (POINTS / CELL)^2 * DIRECTIONS]; the first direction is that from +x towards +y
        up to 45 degrees.
    """
    velocities = np.diff(positions, axis=0)
    times = max(1, len(velocities) // FRAMES_PER_CELL)
    parts = [_cells(vectors, times) for vectors in (velocities, np.diff(velocities, axis=0))]
    return np.concatenate(parts)


def _cells(vectors: np.ndarray, times: int) -> np.ndarray:
    length = np.linalg.norm(vectors, axis=-1)
    angle = np.arctan2(vectors[..., 1], vectors[..., 0]) % (2 * np.pi)
    direction = np.minimum((angle * DIRECTIONS / (2 * np.pi)).astype(int), DIRECTIONS - 1)
    weighted = length[..., None] * np.eye(DIRECTIONS)[direction]  # [T, POINTS, POINTS, DIRECTIONS]
    per_side = POINTS // CELL
    cells = weighted.reshape(len(vectors), per_side, CELL, per_side, CELL, DIRECTIONS).mean(axis=(2, 4))
    return np.concatenate([part.mean(axis=0).ravel() for part in np.array_split(cells, min(times, len(cells)))])
