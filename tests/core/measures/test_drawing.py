"""Plots, heat maps and sheets: what is drawn where, and texts, numbers and sizes that nobody means."""

import math

import numpy as np
import pytest
import torch
from betwixt.common.errors import BetwixtError
from betwixt.common.measures.drawing import _ticks, contact_sheet, heat_map, labelled, plot, wipe, write
from betwixt.common.measures.measurement import Measurement


def drawn(*values: float) -> np.ndarray:
    """bool (480, 960): where the curve of these numbers is."""
    picture = (plot(Measurement("Test", values[0], values, "px", None))[0].numpy() * 255).round()
    return (np.abs(picture - np.array([32, 96, 168])) < 12).all(axis=-1)


def test_the_plot_rises_with_the_numbers():
    rows, columns = np.nonzero(drawn(0.0, 1.0, 2.0, 3.0))
    assert columns.min() == pytest.approx(100, abs=6) and columns.max() == pytest.approx(936, abs=6)
    assert np.corrcoef(rows, columns)[0, 1] < -0.99


def test_the_plot_leaves_undefined_numbers_out_and_puts_infinite_ones_on_the_rim():
    rows, columns = np.nonzero(drawn(1.0, math.nan, 1.0, 1.0, math.inf))
    assert not ((columns > 110) & (columns < 500)).any()
    assert rows[columns > 900].min() < rows[columns < 110].min() - 100
    assert drawn(math.nan).sum() == 0 and drawn(math.inf, math.inf).any() and drawn(0.5).any() and drawn(0.0, 0.0).any()
    assert drawn(*np.linspace(0, 1, 2000)).sum() < 480 * 20  # a thin curve, not a band of dots


@pytest.mark.parametrize(
    "values",
    [(0.0, 0.0707), (0.0, 1.0), (-3.0, 40.0), (0.97, 0.97), (0.0, 0.0), (-2.0, -2.0), (0.0, 3e9), (12, 13)],
)
def test_the_rules_stand_at_round_numbers(values):
    found = _ticks(*values)
    step = found[1] - found[0]
    assert 2 <= len(found) <= 7 and found[0] <= values[0] and values[1] <= found[-1]
    assert round(step / 10 ** math.floor(math.log10(step) + 1e-9), 6) in (1, 2, 5)


@pytest.mark.parametrize("text", ["a\n\x00\r\n\ud83d", "9" * 5000, "한국어 中文", "\u202e", ""])
def test_any_text_can_be_written(text):
    picture = np.zeros((26, 100, 3), np.uint8)
    write(picture, text, 4, 13, 15, (255, 255, 255))
    assert picture.any() == bool(text)


def test_the_heat_map_is_brightest_where_there_is_most():
    heat = np.zeros((20, 30), np.float32)
    heat[3, 5] = 2
    picture = heat_map(Measurement("Test", 0, (0.0,), "", None, heat), 20, 30)[0].sum(-1)
    assert picture.shape == (20, 30) and picture.argmax() == 3 * 30 + 5 and picture.flatten()[0] < 0.1
    assert heat_map(Measurement("Test", 0, (0.0,), "", None), 20, 30).max() < 0.1


@pytest.mark.parametrize("shape", [(1, 1, 1, 3), (2, 100, 1, 3), (1, 1, 500, 3), (3, 41, 7, 3)])
def test_any_size_has_a_place(shape):
    clip = torch.full(shape, 0.5)
    sheet = contact_sheet([clip, clip.transpose(1, 2)], ["\ud83d"], 4, 32)
    assert sheet.shape[2] == 4 * 40 + 8 and sheet.shape[1] <= 2 * (4 * 32 + 52)
    assert (torch.round(sheet * 255) == 128).any()
    assert labelled(clip.clone(), [("name", 0)]).shape == shape
    assert wipe(clip, clip, 0.5).shape == shape


def test_a_sheet_too_large_is_refused():
    with pytest.raises(BetwixtError, match="would be 131592x"):
        contact_sheet([torch.zeros(1, 8, 8, 3)], [], 64, 2048)
