"""Straight motion of lines and their colours."""

import numpy as np
import pytest
from betwixt.fcvg_core.lines.drawing import draw_segments
from betwixt.fcvg_core.lines.palette import husl_palette, line_colours
from betwixt.fcvg_core.tweening.line_interpolation import interpolate_segments, pair_endpoints


def segments(*rows):
    return np.array(rows, np.float32).reshape(-1, 2, 2)


def test_endpoints_are_paired_the_shorter_way_and_crossed_on_a_tie():
    start = segments([0, 0, 10, 0], [0, 0, 10, 0], [5, 0, 5, 0])
    end = segments([11, 1, 1, 1], [1, 1, 11, 1], [0, 5, 9, 5])
    assert pair_endpoints(start, end).reshape(-1, 4).tolist() == [[1, 1, 11, 1], [1, 1, 11, 1], [9, 5, 0, 5]]


def test_motion_is_linear_overshoots_and_keeps_the_key_frames_verbatim():
    start, end = segments([0, 0, 10, 0]), segments([30, 20, 20, 20])
    moved = interpolate_segments(start, end, [0, 0.5, 1.5, 1])
    assert moved.dtype == np.float32
    assert moved[:, 0].reshape(-1, 4).tolist() == [
        [0, 0, 10, 0],
        [10, 10, 20, 10],
        [30, 30, 40, 30],
        [30, 20, 20, 20],  # the order of the last key frame, not of the motion
    ]
    assert interpolate_segments(start, end, [0, 1, 0.5])[1].reshape(4).tolist() == [20, 20, 30, 20]


def test_inputs_stay_as_they_are():
    start, end = segments([0, 0, 10, 0]), segments([30, 20, 20, 20])
    copies = start.copy(), end.copy()
    moved = interpolate_segments(start, end, [0, 1])
    moved += 1
    assert (start == copies[0]).all() and (end == copies[1]).all()


def test_no_lines_give_black_pictures():
    none = segments()
    moved = interpolate_segments(none, none, [0, 0.5, 1])
    assert moved.shape == (3, 0, 2, 2)
    assert not draw_segments(moved[0], line_colours(0, 0), 8, 9).any()


def test_drawing_truncates_covers_and_clips():
    picture = draw_segments(
        segments([2.9, 1.9, 2.9, 1.9], [-5, 3, 50, 3], [4, -9, 4, 99]),
        np.uint8([[1, 2, 3], [4, 5, 6], [7, 8, 9]]),
        6,
        8,
    )
    assert picture[1, 2].tolist() == [1, 2, 3]
    assert picture[3, [0, 3, 4, 7]].tolist() == [[4, 5, 6], [4, 5, 6], [7, 8, 9], [4, 5, 6]]
    assert picture[:, 4].tolist() == [[7, 8, 9]] * 6
    assert picture.any(axis=-1).sum() == 1 + 8 + 6 - 1


def test_colours_are_distinct_seeded_and_complete():
    first, again, other = line_colours(60, 5), line_colours(60, 5), line_colours(60, 2**63)
    assert (first == again).all() and (first != other).any()
    palette = {tuple(colour) for colour in (255 * husl_palette(60)).astype(np.uint8).tolist()}
    assert {tuple(colour[::-1]) for colour in first.tolist()} == palette and len(palette) == 60


def test_the_shuffle_is_numpys():
    np.random.seed(7)
    rows = husl_palette(9).tolist()
    np.random.shuffle(rows)
    assert line_colours(9, 7)[:, ::-1].tolist() == [[int(255 * channel) for channel in row] for row in rows]


@pytest.mark.parametrize("count", [1, 2, 500])
def test_the_palette_stays_in_gamut_with_even_lightness(count):
    palette = husl_palette(count)
    assert palette.shape == (count, 3) and (palette >= 0).all() and (palette <= 1).all()
    linear = np.where(palette > 0.04045, ((palette + 0.055) / 1.055) ** 2.4, palette / 12.92)
    assert linear @ (0.2126, 0.7152, 0.0722) == pytest.approx(((64.35 + 16) / 116) ** 3, abs=2e-4)
