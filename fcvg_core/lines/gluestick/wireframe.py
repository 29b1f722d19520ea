"""Wireframe of a picture: line segments joined at junctions, plus interest points (GlueStick;
docs/methods/lines.md, Wireframe)."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse.csgraph import connected_components

from .superpoint import Keypoints, sample_descriptors

JUNCTION_RADIUS = 3.0  # endpoints at most this far apart are one junction, px
POINT_CLEARANCE = 4.0  # interest points nearer than this to an endpoint are dropped, px


@dataclass(frozen=True)
class Wireframe:
    """J junctions followed by interest points, n nodes in all, and N line segments between junctions.

    Attributes:
        keypoints: float32 (n, 2), pixel (x, y).
        keypoint_scores: float32 (n,), 0..1.
        descriptors: float32 (c, n), unit length.
        lines: float32 (N, 2, 2), the segments with their endpoints moved to the junctions, pixel (x, y).
        line_scores: float32 (N,), relative to the best segment, 0..1.
        line_junctions: int64 (N, 2), the node index of each endpoint.
    """

    keypoints: torch.Tensor
    keypoint_scores: torch.Tensor
    descriptors: torch.Tensor
    lines: torch.Tensor
    line_scores: torch.Tensor
    line_junctions: torch.Tensor


def cluster_endpoints(endpoints: np.ndarray, radius: float) -> np.ndarray:
    """int64 (n,) cluster of each of the endpoints (n, 2), numbered by first appearance.

    A cluster is a connected component of the graph that joins endpoints at most ``radius`` apart, so chains merge.
    """
    endpoints = endpoints.astype(np.float64)
    near = ((endpoints[:, None] - endpoints[None]) ** 2).sum(-1) <= radius**2
    labels = connected_components(near, directed=False)[1]
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return first.argsort().argsort()[inverse]


def build_wireframe(points: Keypoints, segments: np.ndarray, scores: np.ndarray) -> Wireframe:
    """Join interest points and segments of one picture.

    Args:
        points: from :meth:`.superpoint.SuperPoint.detect`; sets the device of the result.
        segments: float32 (N, 2, 2), pixel (x, y); N may be 0.
        scores: float32 (N,), > 0.
    """
    endpoints = segments.reshape(-1, 2)
    junction_of = cluster_endpoints(endpoints, JUNCTION_RADIUS)
    line_scores = scores / (scores.max(initial=0) + np.float32(1e-8))
    members = np.bincount(junction_of).astype(np.float32)
    positions, junction_scores = np.zeros((len(members), 2), np.float32), np.zeros(len(members), np.float32)
    np.add.at(positions, junction_of, endpoints)
    np.add.at(junction_scores, junction_of, np.repeat(line_scores, 2))
    positions, junction_scores = positions / members[:, None], junction_scores / members

    device = points.positions.device
    junctions, scores_there = (torch.from_numpy(a).to(device) for a in (positions, junction_scores))
    kept = _clear_of(points.positions, torch.from_numpy(endpoints).to(device))
    keypoints = torch.cat([junctions, points.positions[kept]])
    line_junctions = torch.from_numpy(junction_of.reshape(-1, 2)).to(device)
    return Wireframe(
        keypoints=keypoints,
        keypoint_scores=torch.cat([scores_there, points.scores[kept]]),
        descriptors=sample_descriptors(keypoints, points.descriptors),
        lines=junctions[line_junctions],
        line_scores=torch.from_numpy(line_scores).to(device),
        line_junctions=line_junctions,
    )


def _clear_of(positions: torch.Tensor, endpoints: torch.Tensor) -> torch.Tensor:
    """Boolean (n,): positions (n, 2) at least the clearance away from all endpoints (m, 2)."""
    distances = torch.linalg.vector_norm(positions[:, None] - endpoints[None], dim=-1)
    return (distances >= POINT_CLEARANCE).all(dim=1)
