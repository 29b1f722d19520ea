"""Numbers in text fields: what is read, and what is refused with which words."""

import pytest
from betwixt.common.errors import BetwixtError
from betwixt.common.number_lists import MOST_NUMBERS, parse_numbers, parse_part, parse_whole_numbers
from betwixt.fcvg_core.tweening.timing_chart import parse_chart


def test_numbers_are_read_from_text():
    assert parse_numbers(" 25, 14;20 7\n", "x") == [25, 14, 20, 7]
    assert parse_numbers(".5 -1. +2e-1 1E2", "x") == [0.5, -1, 0.2, 100]
    assert parse_numbers("", "x") == parse_whole_numbers(" ,\n", "x") == []
    assert parse_whole_numbers("0,012; +3", "x") == [0, 12, 3]
    assert parse_whole_numbers("0 7 -1", "x", negative=True) == [0, 7, -1]


@pytest.mark.parametrize(
    "entry", ["x", "2x", "nan", "inf", "-Infinity", "1_000", "0x10", "²", "١٢", "１", "1e999", "1,-"]
)
def test_what_is_no_number_is_named(entry):
    named = entry.split(",")[-1]
    with pytest.raises(BetwixtError) as told:
        parse_numbers(f"1, {entry}", "weights")
    assert told.value.wrong == f"'{named}' in 'weights' is not a number."
    for wrong in (entry, "1.5", "1e2"):
        with pytest.raises(BetwixtError, match="in 'numbers' is not a whole number from 0"):
            parse_whole_numbers(f"1, {wrong}", "numbers")


def test_negative_frames_are_named_where_there_are_none():
    with pytest.raises(BetwixtError, match="^'-1' in 'numbers' is not a whole number from 0. Whole numbers from 0 "):
        parse_whole_numbers("0, -1", "numbers")


def test_absurd_lengths_are_refused_in_a_short_sentence():
    with pytest.raises(BetwixtError) as told:
        parse_whole_numbers("9" * 5000, "numbers")
    assert len(str(told.value)) < 200
    with pytest.raises(BetwixtError, match=f"holds {MOST_NUMBERS + 1} numbers"):
        parse_numbers("1 " * (MOST_NUMBERS + 1), "numbers")


def test_parts_count_from_one_and_lie_within():
    assert parse_part("", "gaps", 5, "gaps") == range(5)
    assert parse_part(" 3 ", "gaps", 5, "gaps") == range(2, 3)
    assert parse_part("2 - 4", "gaps", 5, "gaps") == range(1, 4)
    for text in ("0", "6", "4-2", "3-6", "1,2", "-1", "1-", "a", "9" * 300, "²"):
        with pytest.raises(BetwixtError, match="the gaps here are 1 to 5"):
            parse_part(text, "gaps", 5, "gaps")
    with pytest.raises(BetwixtError, match="the intervals here are none"):
        parse_part("1", "intervals", 0, "intervals")


@pytest.mark.parametrize("read", [lambda text: parse_numbers(text, "weights"), parse_chart])
def test_a_text_beyond_all_lists_is_not_taken_apart(read):
    with pytest.raises(BetwixtError, match="3000000 characters"):
        read("1, " * 1_000_000)
