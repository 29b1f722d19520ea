"""Each measure against a second implementation that is written from its definition, on a real picture that moves."""

import cv2
import numpy as np
import pytest
import torch
from betwixt.common.measures.edges import HIGH, LOW, edge_chamfer
from betwixt.common.measures.keyframes import end_frame_error
from betwixt.common.measures.motion import pace_error, pixel_mse, warp_error
from betwixt.common.measures.steadiness import brightness_drift, flicker
from scipy.ndimage import map_coordinates
from scipy.spatial import cKDTree

from support.bootstrap import ROOT

FRAMES = 5


@pytest.fixture(scope="module")
def clip() -> np.ndarray:
    """float64 (5, 96, 160, 3): parts of a drawing, one further to the right and brighter than the other."""
    pixels = cv2.imread(str(ROOT / "demo" / "inputs" / "betwixt_key_00.png"))[40:136, ::-1] / 255
    return np.stack([pixels[:, 10 * t : 10 * t + 160] * (0.8 + 0.04 * t * (t % 3)) for t in range(FRAMES)])


@pytest.fixture(scope="module")
def motion() -> tuple[np.ndarray, np.ndarray]:
    """Flow (4, 96, 160, 2) that is nowhere a whole number, partly out of the picture, and what it does not show."""
    random = np.random.default_rng(0)
    coarse = random.normal(0, 6, (FRAMES - 1, 6, 10, 2)).astype(np.float32)
    flow = np.stack([cv2.resize(part, (160, 96), interpolation=cv2.INTER_CUBIC) for part in coarse])
    return flow, random.random(flow.shape[:3]) < 0.2


def tensors(*arrays: np.ndarray) -> list[torch.Tensor]:
    return [torch.from_numpy(array if array.dtype == bool else array.astype(np.float32)) for array in arrays]


def test_warp_error_and_pixel_mse(clip, motion):
    """SciPy's bilinear interpolation in double precision."""
    flow, hidden = motion
    rows, columns = np.mgrid[:96, :160]
    expected = []
    for t in range(1, FRAMES):
        y, x = rows + flow[t - 1, ..., 1].astype(float), columns + flow[t - 1, ..., 0].astype(float)
        seen = (x >= 0) & (x <= 159) & (y >= 0) & (y <= 95) & ~hidden[t - 1]
        before = np.stack([map_coordinates(clip[t - 1, ..., c], [y, x], order=1, mode="nearest") for c in range(3)], -1)
        expected.append(np.square(clip[t] - before).sum(-1)[seen].mean())
    given = tensors(clip, flow, hidden)
    assert warp_error(*given).per_frame == pytest.approx(expected, rel=1e-5)
    assert pixel_mse(*given).value == pytest.approx(np.mean(expected) / 3, rel=1e-5)


def test_pace(motion):
    flow, hidden = motion
    steps = [np.hypot(*part.T).T[~covered].mean() for part, covered in zip(flow, hidden, strict=True)]
    way = np.array([sum(steps[:t]) for t in range(FRAMES)]) / sum(steps)
    chart = np.array([0, 0.1, 0.3, 0.6, 1])
    found = pace_error(*tensors(flow, hidden), chart.tolist())
    assert found.per_frame == pytest.approx((way - chart).tolist(), abs=1e-6)
    assert found.value == pytest.approx(np.abs(way - chart)[1:-1].mean(), abs=1e-6)


def test_flicker_and_drift(clip):
    """The straight line is NumPy's; BT.601 is written out."""
    (frames,) = tensors(clip)
    level = (clip @ [0.299, 0.587, 0.114]).mean(axis=(1, 2))
    bends = [abs(level[t] - (level[t - 1] + level[t + 1]) / 2) for t in range(1, FRAMES - 1)]
    assert flicker(frames).per_frame == pytest.approx([0, *bends, 0], abs=1e-6)
    assert flicker(frames).value == pytest.approx(np.mean(bends), abs=1e-6)
    rise = np.polyfit(range(FRAMES), level, 1)[0] * (FRAMES - 1)
    assert brightness_drift(frames).value == pytest.approx(rise, abs=1e-6)


def test_edge_chamfer(clip):
    """Nearest edge pixels from a tree of them instead of a distance transform."""
    first, second = clip[:-1], clip[1:]
    expected = []
    for pair in zip(first, second, strict=True):
        greys = [cv2.cvtColor(np.round(p * 255).astype(np.uint8), cv2.COLOR_RGB2GRAY) for p in pair]
        one, two = (np.argwhere(cv2.Canny(grey, LOW, HIGH)) for grey in greys)
        expected.append((cKDTree(two).query(one)[0].mean() + cKDTree(one).query(two)[0].mean()) / 2)
    assert edge_chamfer(*tensors(first, second)).per_frame == pytest.approx(expected, rel=1e-5)


def test_end_frames(clip):
    frames, start, end = tensors(clip, clip[1], clip[2])
    expected = [np.abs(clip[0] - clip[1]).mean(), np.abs(clip[-1] - clip[2]).mean()]
    assert end_frame_error(frames, start, end).per_frame == pytest.approx(expected, rel=1e-5)
