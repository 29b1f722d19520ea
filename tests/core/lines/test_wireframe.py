import numpy as np
import pytest
import torch
from betwixt.fcvg_core.lines.gluestick.superpoint import Keypoints
from betwixt.fcvg_core.lines.gluestick.wireframe import build_wireframe, cluster_endpoints


def points(positions):
    positions = torch.tensor(positions, dtype=torch.float32).reshape(-1, 2)
    cells = torch.randn(6, 8, 10, generator=torch.Generator().manual_seed(0))
    return Keypoints(positions, torch.linspace(0.1, 0.9, len(positions)), cells)


def test_chains_of_endpoints_are_one_junction():
    endpoints = np.array([[50, 50], [0, 0], [3, 0], [53.01, 50], [6, 0], [50, 53]], np.float32)
    assert cluster_endpoints(endpoints, 3.0).tolist() == [0, 1, 1, 2, 1, 0]


def test_clusters_equal_a_search_through_neighbours():
    endpoints = np.random.default_rng(4).uniform(0, 60, (120, 2)).astype(np.float32)
    labels = cluster_endpoints(endpoints, 3.0)
    numbered, expected = 0, np.full(120, -1)
    for first in range(120):
        if expected[first] >= 0:
            continue
        waiting = [first]
        while waiting:
            index = waiting.pop()
            if expected[index] < 0:
                expected[index] = numbered
                waiting += np.flatnonzero(np.hypot(*(endpoints - endpoints[index]).T) <= 3.0).tolist()
        numbered += 1
    assert np.array_equal(labels, expected) and 60 < numbered < 120


def test_junctions_come_first_and_lines_end_in_them():
    segments = np.array([[[10, 10], [40, 10]], [[42, 10], [40, 40]]], np.float32)
    frame = build_wireframe(points([[60, 20]]), segments, np.array([2.0, 1.0], np.float32))
    assert frame.keypoints.tolist() == [[10, 10], [41, 10], [40, 40], [60, 20]]
    assert frame.line_junctions.tolist() == [[0, 1], [1, 2]]
    assert frame.lines.tolist() == [[[10, 10], [41, 10]], [[41, 10], [40, 40]]]
    assert frame.line_scores.tolist() == pytest.approx([1.0, 0.5])
    assert frame.keypoint_scores.tolist() == pytest.approx([1.0, 0.75, 0.5, 0.1])
    assert torch.allclose(frame.descriptors.norm(dim=0), torch.ones(4))


def test_points_near_an_original_endpoint_are_dropped():
    segments = np.array([[[10, 10], [40, 10]]], np.float32)
    frame = build_wireframe(points([[10, 13.9], [14, 10], [25, 10]]), segments, np.ones(1, np.float32))
    assert frame.keypoints[2:].tolist() == [[14, 10], [25, 10]]


@pytest.mark.parametrize("positions", [[], [[20, 20], [30, 5]]])
def test_without_lines_only_points_remain(positions):
    frame = build_wireframe(points(positions), np.zeros((0, 2, 2), np.float32), np.zeros(0, np.float32))
    assert frame.keypoints.tolist() == positions and frame.descriptors.shape == (6, len(positions))
    assert frame.lines.shape == (0, 2, 2) and frame.line_junctions.shape == (0, 2) and len(frame.line_scores) == 0


def test_inputs_stay_as_they_are():
    segments, scores = np.array([[[10, 10], [40, 10]]], np.float32), np.array([3.0], np.float32)
    build_wireframe(points([[20, 20]]), segments, scores)
    assert segments.tolist() == [[[10, 10], [40, 10]]] and scores.tolist() == [3.0]
