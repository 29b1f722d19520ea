"""Arcs: what is rigid in the key frames stays rigid in between."""

import numpy as np
import pytest
from betwixt.fcvg_core.tweening.arcs import arc_segments
from betwixt.fcvg_core.tweening.line_interpolation import interpolate_segments
from betwixt.fcvg_core.tweening.rigid_groups import find_groups

CANVAS = (576, 1024)
TIMES = [0, 0.25, 0.5, 0.75, 1]


def moved_by(points, degrees=0.0, zoom=1.0, centre=(0, 0), shift=(0, 0)):
    factor = zoom * np.exp(1j * np.radians(degrees))
    centre = complex(*centre)
    image = factor * (points @ (1, 1j) - centre) + centre + complex(*shift)
    return np.stack([image.real, image.imag], axis=-1)


def thing(count=24, centre=(420, 280), reach=110, seed=0):
    """Segments of a rigid thing, float64 (count, 2, 2)."""
    rng = np.random.default_rng(seed)
    middle = rng.uniform(-1, 1, (count, 1, 2)) * reach + centre
    half = rng.normal(size=(count, 1, 2))
    half *= rng.uniform(10, 40, (count, 1, 1)) / np.linalg.norm(half, axis=-1, keepdims=True)
    return np.concatenate([middle - half, middle + half], axis=1)


def flipped(segments, seed=1):
    """Endpoints in random order, as detectors give them."""
    flip = np.random.default_rng(seed).random(len(segments)) < 0.5
    return np.where(flip[:, None, None], segments[:, ::-1], segments)


def undirected_error(actual, expected):
    """Largest distance of endpoints, whichever order they are in."""
    straight, crossed = (
        np.linalg.norm(actual - other, axis=-1).max(axis=-1) for other in (expected, expected[..., ::-1, :])
    )
    return np.minimum(straight, crossed).max()


@pytest.mark.parametrize("degrees", [-150, -90, -30, 20, 60, 120, 175, 180])
@pytest.mark.parametrize("zoom", [1.0, 1.5])
def test_a_turning_thing_stays_rigid(degrees, zoom):
    start = thing()
    end = flipped(moved_by(start, degrees, zoom, (400, 300)))
    moved = arc_segments(start.astype("f"), end.astype("f"), TIMES, CANVAS)
    for frame, t in zip(moved, TIMES, strict=True):
        assert undirected_error(frame, moved_by(start, degrees * t, zoom**t, (400, 300))) < 0.05


def test_lengths_are_kept_where_linear_motion_shrinks_them():
    start = thing()
    end = moved_by(start, 120, 1.0, (400, 300), (200, 30)).astype("f")
    start = start.astype("f")

    def ratios(segments):
        return np.linalg.norm(segments[:, 1] - segments[:, 0], axis=-1) / np.linalg.norm(
            start[:, 1] - start[:, 0], axis=-1
        )

    assert ratios(arc_segments(start, end, [0.5], CANVAS)[0]) == pytest.approx(1, abs=1e-4)
    assert ratios(interpolate_segments(start, end, [0.5])[0]).max() < 0.87  # the cosine of half the turn at best


def test_two_things_and_a_background_move_on_their_own():
    parts = [thing(seed=2), thing(centre=(800, 200), seed=3), thing(40, (500, 300), 280, seed=4)]
    motions = [(120, 1.0, (420, 280)), (-60, 0.8, (800, 200)), (0, 1.0, (0, 0), (6, -3))]
    start = np.concatenate(parts)
    rng = np.random.default_rng(5)
    end = flipped(np.concatenate([moved_by(part, *motion) for part, motion in zip(parts, motions, strict=True)]))
    end += rng.normal(0, 0.5, end.shape)
    factors = find_groups(start, end, np.hypot(*CANVAS)).factor
    expected = [zoom * np.exp(1j * np.radians(degrees)) for degrees, zoom, *_ in motions]
    for rows, factor in zip(np.split(factors, [24, 48]), expected, strict=True):
        assert np.mean(np.abs(rows - factor) < 0.02) > 0.9
    middle = arc_segments(start.astype("f"), end.astype("f"), [0.5], CANVAS)[0]
    turned = np.abs(factors[:24] - expected[0]) < 0.02
    assert undirected_error(middle[:24][turned], moved_by(parts[0], 60, 1.0, (420, 280))[turned]) < 3


def test_a_rolling_thing_keeps_its_centre_on_the_straight_way():
    start = thing()
    centre = start.mean(axis=(0, 1))
    end = flipped(moved_by(start, 120, 1.2, centre, (300, 20)))
    moved = arc_segments(start.astype("f"), end.astype("f"), TIMES, CANVAS, pivot="own centre")
    for frame, t in zip(moved, TIMES, strict=True):
        expected = moved_by(start, 120 * t, 1.2**t, centre, (300 * t, 20 * t))
        assert undirected_error(frame, expected) < 0.05


def test_rolling_ends_where_the_lines_were_matched():
    start = thing()
    end = moved_by(start, 70, 1.0, (400, 300)) + np.random.default_rng(8).normal(0, 1.5, start.shape)
    late = arc_segments(start.astype("f"), end.astype("f"), [1, 0.5], CANVAS, pivot="own centre")[0]
    assert (
        undirected_error(late.mean(axis=1, keepdims=True).repeat(2, 1), end.mean(axis=1, keepdims=True).repeat(2, 1))
        < 1e-3
    )
    assert undirected_error(late, end) < 1e-3


def test_false_matches_do_not_spin():
    """A segment without group turns by its own angle, a quarter turn at most."""
    start = np.array([[[100, 100], [140, 100]]], "f")
    end = np.array([[[300, 200], [280, 234.6]]], "f")  # 40 px at 120 degrees, that is -60 undirected
    moved = arc_segments(start, end, [0, 0.5, 1], CANVAS)[:, 0]
    span = moved[1, 1] - moved[1, 0]
    assert np.degrees(np.arctan2(span[1], span[0])) == pytest.approx(-30, abs=0.1)
    assert np.linalg.norm(span) == pytest.approx(40, abs=0.1)
    assert np.linalg.norm(moved[1].mean(axis=0) - [205, 158.65]) < 35


def test_pure_shifts_are_straight_and_key_frames_verbatim():
    start = thing().astype("f")
    end = flipped(thing() + (30, -12)).astype("f")
    moved = arc_segments(start, end, [0, 0.3, 1], CANVAS)
    assert (moved[0] == start).all() and (moved[2] == end).all()
    assert undirected_error(moved[1], start + np.float32([9, -3.6])) < 0.01


def test_overshoot_follows_the_same_arc():
    start = thing()
    end = moved_by(start, 60, 1.0, (400, 300)).astype("f")
    moved = arc_segments(start.astype("f"), end, [-0.2, 1.2], CANVAS)
    assert undirected_error(moved[0], moved_by(start, -12, 1.0, (400, 300))) < 0.05
    assert undirected_error(moved[1], moved_by(start, 72, 1.0, (400, 300))) < 0.05


@pytest.mark.parametrize("count", [0, 1, 2, 4])
def test_points_and_few_lines_give_finite_positions(count):
    rng = np.random.default_rng(6)
    start = rng.uniform(0, 500, (count, 1, 2)).repeat(2, axis=1).astype("f")  # segments of no length
    end = rng.uniform(0, 500, (count, 2, 2)).astype("f")
    for first, last in ((start, end), (end, start), (start, start)):
        moved = arc_segments(first, last, [0, 0.5, 1.3], CANVAS)
        assert moved.shape == (3, count, 2, 2) and np.isfinite(moved).all()


def test_inputs_stay_as_they_are():
    start, end = thing().astype("f"), thing(seed=9).astype("f")
    copies = start.copy(), end.copy()
    arc_segments(start, end, TIMES, CANVAS)
    assert (start == copies[0]).all() and (end == copies[1]).all()
