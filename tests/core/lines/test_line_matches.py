import numpy as np
import pytest
from betwixt.common.errors import BetwixtError
from betwixt.fcvg_core.lines.matches import LineMatches


def matches():
    start = np.array([[[0, 0], [10, 0]], [[5, 5], [5, 9]], [[20, 20], [40, 20]]], np.float32)
    return LineMatches(start, start + 1, np.array([0.9, 0.5, 0.7]), (50, 60))


def test_filtering_keeps_order_and_limits_by_score():
    kept = matches().filtered(max_number=2)
    assert kept.score.tolist() == pytest.approx([0.9, 0.7])
    assert len(matches().filtered(min_length=8)) == 2
    assert len(matches().filtered(min_score=0.6)) == 2


def test_regions_select_by_midpoint_and_must_fit():
    region = np.zeros((50, 60), bool)
    region[15:25, 25:35] = True
    assert matches().inside(region, None).start.tolist() == [[[20, 20], [40, 20]]]
    with pytest.raises(BetwixtError, match="60x50"):
        matches().inside(np.ones((10, 10), bool), None)


def test_inputs_are_copied_and_read_only():
    value = matches()
    with pytest.raises(ValueError):
        value.start[0] = 0
