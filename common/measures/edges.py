"""Chamfer distance of the drawn edges of two clips, the measure that line animation is judged by."""

import math

import cv2
import numpy as np
import torch

from .measurement import MeanMap, Measurement, grey8, mean

LOW, HIGH = 100, 200  # gradient thresholds of Canny on 8-bit grey values


def edge_map(frame: torch.Tensor) -> np.ndarray:
    """bool (H, W): Canny's edges of a float frame [H, W, 3]."""
    return cv2.Canny(grey8(frame), LOW, HIGH) > 0


def edge_chamfer(first: torch.Tensor, second: torch.Tensor) -> Measurement:
    """Symmetric chamfer distance: how far an edge pixel is from the nearest edge of the other picture, on average.

    The mean of both directions, each the mean over its picture's edge pixels. Two pictures without edges are 0 apart;
    where only one has edges, the distance is the diagonal, the largest there can be.

    Args:
        first, second: float32 [T, H, W, 3] 0..1, from :func:`.measurement.checked_pair`.

    Returns:
        pixels; lower is better. The heat map holds the distances at the edges of both.
    """
    height, width = first.shape[1:3]
    diagonal = math.hypot(height, width)
    heat, values = MeanMap(height, width), []
    for one, two in zip(first, second, strict=True):
        edges = edge_map(one), edge_map(two)
        distances = [_distance(edges[1], diagonal), _distance(edges[0], diagonal)]
        there = [distance[edge] for distance, edge in zip(distances, edges, strict=True) if edge.any()]
        missing = len(there) == 1
        values.append(diagonal if missing else mean([float(part.mean()) for part in there]) if there else 0.0)
        heat.add(np.maximum(distances[0] * edges[0], distances[1] * edges[1]))
    return Measurement("Edge chamfer", mean(values), tuple(values), "px", False, heat.mean())


def _distance(edges: np.ndarray, diagonal: float) -> np.ndarray:
    """float32 (H, W): pixels to the nearest edge; the diagonal everywhere where there is none."""
    if not edges.any():
        return np.full(edges.shape, diagonal, np.float32)
    return cv2.distanceTransform((~edges).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
