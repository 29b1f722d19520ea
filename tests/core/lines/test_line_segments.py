"""Selection of line segments, and how far the quick detector agrees with the exact one."""

import cv2
import numpy as np
import pytest
from betwixt.fcvg_core.lines import segments as line_segments
from betwixt.fcvg_core.lines.lsd.detector import lsd
from betwixt.fcvg_core.lines.segments import SCALES, detect_segments, quick_lsd
from safetensors.numpy import load_file

from support.golden import STORED
from support.truth.segment_agreement import share_found

PICTURES = ("building_120x160", "camera_160x192")


def golden(picture):
    return load_file(STORED / "gluestick" / f"lsd_{picture}.safetensors")


@pytest.mark.parametrize("number", [20, 60, 300])
@pytest.mark.parametrize("picture", PICTURES)
def test_selects_what_the_published_pipeline_selects(picture, number):
    case = golden(picture)
    segments, scores = detect_segments(case["in.image"], number)
    assert segments.dtype == scores.dtype == np.float32
    np.testing.assert_array_equal(segments, case[f"out.lines_max{number}"][0])
    np.testing.assert_array_equal(scores, case[f"out.line_scores_max{number}"][0])


def detector(counts, length=20.0):
    """Stands for a detector: ``counts[scale]`` segments of one length, and the scales it was asked for."""
    asked = []

    def find(grey, scale):
        asked.append(scale)
        return np.tile(np.array([0, scale, length, scale, 0.125], np.float32), (counts[scale], 1))

    return find, asked


def test_stops_at_the_first_scale_with_enough_segments(monkeypatch):
    find, asked = detector(dict(zip(SCALES, (3, 10, 99, 99, 99, 99), strict=True)))
    monkeypatch.setattr(line_segments, "lsd", find)
    segments, _ = detect_segments(np.zeros((9, 9), np.uint8), 10)
    assert asked == [0.3, 0.4]
    assert len(segments) == 10 and (segments[:, :, 1] == np.float32(0.4)).all()


def test_counts_before_the_length_filter(monkeypatch):
    find, asked = detector(dict.fromkeys(SCALES, 10), length=14.9)
    monkeypatch.setattr(line_segments, "lsd", find)
    assert detect_segments(np.zeros((9, 9), np.uint8), 10)[0].shape == (0, 2, 2)
    assert asked == [0.3]


def test_takes_scale_one_if_no_scale_has_enough(monkeypatch):
    find, asked = detector(dict(zip(SCALES, (9, 9, 9, 9, 9, 2), strict=True)))
    monkeypatch.setattr(line_segments, "lsd", find)
    segments, _ = detect_segments(np.zeros((9, 9), np.uint8), 10)
    assert asked == list(SCALES)
    assert len(segments) == 2 and (segments[:, :, 1] == 1.0).all()


def test_keeps_segments_of_exactly_the_least_length(monkeypatch):
    find, _ = detector(dict.fromkeys(SCALES, 1), length=15.0)
    monkeypatch.setattr(line_segments, "lsd", find)
    assert len(detect_segments(np.zeros((9, 9), np.uint8), 1, min_length=15.0)[0]) == 1
    assert len(detect_segments(np.zeros((9, 9), np.uint8), 1, min_length=15.001)[0]) == 0


def test_scores_are_precision_times_root_of_length():
    segments, scores = detect_segments(golden("camera_160x192")["in.image"], 60, min_length=5.0)
    lengths = np.linalg.norm(segments[:, 1] - segments[:, 0], axis=1)
    halvings = np.log2(0.125 * np.sqrt(lengths) / scores)
    np.testing.assert_allclose(halvings, np.round(halvings), atol=1e-5)
    assert (lengths >= 5).all() and (np.diff(scores) <= 0).all() and len(scores) > 30


@pytest.mark.parametrize("method", ["exact", "quick"])
@pytest.mark.parametrize("shape", [(8, 8), (1, 1), (1, 60), (60, 1), (41, 67)])
def test_small_and_flat_pictures_give_no_segments(method, shape):
    for level in (0, 128, 255):
        segments, scores = detect_segments(np.full(shape, level, np.uint8), method=method)
        assert segments.shape == (0, 2, 2) and scores.shape == (0,)


@pytest.mark.parametrize("method", ["exact", "quick"])
def test_is_deterministic_and_keeps_its_input(method):
    image = golden("camera_160x192")["in.image"]
    before = image.copy()
    first, second = (detect_segments(image, 40, method=method) for _ in range(2))
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])
    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(detect_segments(np.asfortranarray(image), 40, method=method)[0], first[0])


def street():
    """A drawn picture with many straight edges: 288x512, grey."""
    random = np.random.default_rng(5)
    picture = np.full((288, 512), 150, np.uint8)
    for x in range(20, 480, 62):
        top = int(random.integers(20, 90))
        cv2.rectangle(picture, (x, top), (x + 50, 270), int(random.integers(40, 240)), -1, cv2.LINE_AA)
        for y in range(top + 12, 250, 38):
            cv2.rectangle(picture, (x + 8, y), (x + 22, y + 24), int(random.integers(0, 256)), -1, cv2.LINE_AA)
            cv2.line(picture, (x + 28, y), (x + 44, y + 20), int(random.integers(0, 256)), 2, cv2.LINE_AA)
    return cv2.GaussianBlur(picture, (3, 3), 0)


# Share of the exact detector's segments that the quick one has too, both endpoints within 1 and 4 px, measured with
# OpenCV 4.14 (0.76 0.84, 0.58 0.84, 1.00 1.00, 0.82 0.96) and lowered by a few segments.
@pytest.mark.parametrize(
    ("name", "scale", "within_1", "within_4"),
    [
        ("camera", 1.0, 0.72, 0.80),
        ("camera", 0.7, 0.54, 0.80),
        ("street", 1.0, 0.98, 0.98),
        ("street", 0.7, 0.78, 0.92),
    ],
)
def test_quick_detector_agrees_with_the_exact_one(name, scale, within_1, within_4):
    picture = golden("camera_160x192")["in.image"] if name == "camera" else street()
    exact, quick = (found[:, :4].reshape(-1, 2, 2) for found in (lsd(picture, scale), quick_lsd(picture, scale)))
    assert len(exact) > 50
    shares = share_found(exact, quick, (1.0, 4.0), either_direction=False)
    assert shares[0] >= within_1 and shares[1] >= within_4


def test_quick_detector_stretches_faint_pictures_without_inventing_segments():
    faint = (street() // 32 + 100).astype(np.uint8)
    found, reference = (find(faint, 0.7)[:, :4].reshape(-1, 2, 2) for find in (quick_lsd, lsd))
    assert len(found) <= 1.2 * len(reference) + 3
