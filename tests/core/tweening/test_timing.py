"""When frames happen: published timing, easings, timing charts, holds."""

import numpy as np
import pytest
from betwixt.common.errors import BetwixtError
from betwixt.fcvg_core.tweening.easing import EASING_NAMES, cubic_bezier, named_easing
from betwixt.fcvg_core.tweening.timing import charted_fractions, eased_fractions, held_fractions, published_fractions
from betwixt.fcvg_core.tweening.timing_chart import parse_chart


def at(name, *times):
    return named_easing(name)(np.array(times)).tolist()


def test_published_timing_doubles_the_key_frames():
    fractions = published_fractions(25)
    assert fractions[[0, 1, 23, 24]].tolist() == [0, 0, 1, 1]
    assert fractions[1:24] == pytest.approx(np.arange(23) / 22)


@pytest.mark.parametrize(
    ("frames", "expected"), [(2, [0, 1]), (3, [0, 0.5, 1]), (4, [0, 0, 1, 1]), (5, [0, 0, 0.5, 1, 1])]
)
def test_published_timing_of_short_clips(frames, expected):
    assert published_fractions(frames).tolist() == expected


@pytest.mark.parametrize("make", [published_fractions, eased_fractions, lambda n: charted_fractions(n, "")])
@pytest.mark.parametrize("frames", [1, 0, -3])
def test_fewer_than_two_frames_are_refused(make, frames):
    with pytest.raises(BetwixtError, match=f"frame count is {frames}.*'frame_count' to 2"):
        make(frames)


def test_even_timing():
    assert eased_fractions(5).tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert eased_fractions(2).tolist() == [0, 1]


@pytest.mark.parametrize("name", EASING_NAMES)
def test_every_easing_runs_from_0_to_1_exactly_at_the_ends(name):
    assert at(name, 0.0, 1.0) == pytest.approx([0, 1], abs=1e-15)


# Values of R. Penner's equations at a quarter, the middle and three quarters.
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sine-in", [0.076120, 0.292893, 0.617317]),
        ("sine-in-out", [0.146447, 0.5, 0.853553]),
        ("quad-in", [0.0625, 0.25, 0.5625]),
        ("cubic-out", [0.578125, 0.875, 0.984375]),
        ("quart-in-out", [0.03125, 0.5, 0.96875]),
        ("quint-in", [1 / 1024, 1 / 32, 243 / 1024]),
        ("expo-in", [2**-7.5, 2**-5, 2**-2.5]),
        ("expo-in-out", [2**-6, 0.5, 1 - 2**-6]),
        ("circ-in", [0.031754, 0.133975, 0.338562]),
        ("back-in", [-0.064137, -0.087698, 0.182590]),
        ("back-out", [0.817410, 1.087698, 1.064137]),
        ("back-in-out", [-0.099682, 0.5, 1.099682]),
        ("elastic-in", [-0.005524, -0.015625, 0.088388]),
        ("elastic-out", [0.911612, 1.015625, 1.005524]),
        ("elastic-in-out", [0.011969, 0.5, 0.988031]),
        ("bounce-out", [0.472656, 0.765625, 0.972656]),
        ("bounce-in", [0.027344, 0.234375, 0.527344]),
        ("bounce-in-out", [0.117188, 0.5, 0.882813]),
        ("ease", [0.408511, 0.802403, 0.960459]),
        ("ease-in", [0.093465, 0.315357, 0.621862]),
        ("ease-in-out", [0.129162, 0.5, 0.870838]),
        ("hold", [0, 0, 0]),
    ],
)
def test_known_values(name, expected):
    assert at(name, 0.25, 0.5, 0.75) == pytest.approx(expected, abs=2e-6)


def test_overshoot_is_kept():
    times = np.linspace(0, 1, 1001)
    assert named_easing("back-out")(times).max() == pytest.approx(1.1, abs=1e-3)  # Penner's constant means 10 %
    assert named_easing("elastic-out")(times).max() > 1.3
    assert named_easing("back-in")(times).min() == pytest.approx(-0.1, abs=1e-3)
    assert cubic_bezier(0.3, -0.5, 0.7, 1.5)(times).max() > 1.05
    assert eased_fractions(25, named_easing("back-in-out")).max() > 1


def test_a_bezier_on_the_diagonal_is_linear_and_steep_handles_are_solved():
    times = np.linspace(0, 1, 21)
    assert cubic_bezier(1 / 3, 1 / 3, 2 / 3, 2 / 3)(times) == pytest.approx(times, abs=1e-12)
    steep = cubic_bezier(0.95, 0, 0.05, 1)(times)
    assert steep == pytest.approx(1 - steep[::-1], abs=1e-12)
    assert (np.diff(steep) >= 0).all()


def test_charts_in_every_notation():
    assert parse_chart("0, 1/8, 1/4, 1/2, 1").tolist() == [0, 0.125, 0.25, 0.5, 1]
    assert parse_chart(" 0 .125 .25\n.5;1|").tolist() == [0, 0.125, 0.25, 0.5, 1]
    assert parse_chart("12.5% 1.5/3 -0.1 +1.").tolist() == [0.125, 0.5, -0.1, 1]
    assert parse_chart(" \n").tolist() == []


def test_a_chart_covers_all_frames_or_the_inbetweens():
    assert charted_fractions(5, "0 1/8 1/4 1/2 1").tolist() == [0, 0.125, 0.25, 0.5, 1]
    assert charted_fractions(5, "1/8 1/4 1/2").tolist() == [0, 0.125, 0.25, 0.5, 1]
    assert charted_fractions(2, "").tolist() == [0, 1]


@pytest.mark.parametrize(
    ("chart", "message"),
    [
        ("0, 1/8, x, 1/2, 1", r"Entry 3 of the timing chart, 'x' at character 9, is no number"),
        ("0 .5.5", r"Entry 2 .*'\.5\.5' at character 3"),
        ("0 1//8", r"Entry 2 .*'1//8' at character 3"),
        ("1/", r"Entry 1"),
        ("nan", r"Entry 1"),
        ("1/2 1/0", r"Entry 2 .*'1/0' at character 5, divides by zero"),
        ("0 3 1", r"Entry 2 .* is 3\. .*from -1 to 2"),
        ("0 1/8 1/4 1", r"4 entries and the clip 5 frames. Either 3 entries .* or 5"),
        ("0.1 .2 .3 .4 1", r"runs from 0.1 to 1"),
    ],
)
def test_malformed_charts_are_refused_with_their_place(chart, message):
    with pytest.raises(BetwixtError, match=message):
        charted_fractions(5, chart)


def test_holds_keep_every_drawing_and_end_on_the_last_key_frame():
    times = eased_fractions(7)
    assert held_fractions(times, 1).tolist() == times.tolist()
    assert held_fractions(times, 2) == pytest.approx(np.array([0, 0, 2, 2, 4, 4, 6]) / 6)
    assert held_fractions(times, 3) == pytest.approx(np.array([0, 0, 0, 3, 3, 3, 6]) / 6)
    assert held_fractions(eased_fractions(8), 2) == pytest.approx(np.array([0, 0, 2, 2, 4, 4, 6, 7]) / 7)
    assert times.tolist() == eased_fractions(7).tolist()
