"""The benchmark harness: what it measures and what it stores."""

import argparse
import importlib
import time

import pytest
import torch

from support import benchmark_results
from support.benchmark_results import cell_text, markdown, stored_tables
from support.bootstrap import ROOT
from support.counted_memory import CountedMemory


@pytest.fixture
def harness(host, monkeypatch):
    """Module of the harness by name; importing ``benchmarks`` takes the checkout from the path again."""
    monkeypatch.syspath_prepend(str(ROOT))
    return lambda name: importlib.import_module(f"benchmarks.{name}")


def test_a_clock_tells_waiting_from_computing(harness):
    with harness("common").Clock() as clock:
        time.sleep(0.1)
    assert clock.wall >= 0.1 and clock.processor < 0.05
    first = clock.wall
    with clock:
        time.sleep(0.01)
    assert clock.wall >= first + 0.01


def test_work_is_timed_in_turns_after_a_warm_up(harness):
    order = []
    works = {name: lambda name=name: order.append(name) for name in "ab"}
    taken = harness("common").in_turns(works, repeats=2, warm_up=1)
    assert order == list("ababab") and list(taken) == ["a", "b"]
    assert 0 <= taken["a"].wall.low <= taken["a"].wall.median <= taken["a"].wall.high


def test_peak_memory_counts_what_was_freed_before_the_end(harness):
    with harness("memory").PeakMemory() as memory:
        torch.ones(16 * 2**20)  # 64 MiB, freed at once
    assert 60 < memory.mebibytes < 90


def test_counted_memory_is_the_largest_sum_alive():
    with CountedMemory() as memory:
        first = torch.empty(1000, device="meta")
        second = first + 1
        del first
        torch.empty(500, device="meta")
        second.view(10, 100)
    assert memory.peak == 8000


def test_a_finished_table_is_stored_beside_the_others(harness, tmp_path, monkeypatch, capsys):
    common = harness("common")
    monkeypatch.setattr(benchmark_results, "RESULTS", tmp_path)
    monkeypatch.setattr(common, "ROOT", tmp_path)
    report = common.Report("some", argparse.Namespace(threads=1, repeats=3, dry=False))
    for name in ("one", "two"):
        with report.table(name, "A title", ["what", "seconds"]) as table:
            table.add("row", common.Spread(0.123456, 0.1, 0.2))
    with pytest.raises(ZeroDivisionError), report.table("three", "A title", ["what"]):
        _ = 1 / 0
    tables = stored_tables("some")
    assert list(tables) == ["one", "two"]
    assert tables["two"]["rows"] == [["row", {"median": 0.1235, "low": 0.1, "high": 0.2}]]
    assert tables["two"]["machine"]["cores"] >= 1 and tables["two"]["versions"]["torch"] == torch.__version__
    assert tables["two"]["repeats"] == 3 and tables["two"]["command"].startswith("python -m benchmarks.some")
    with (
        pytest.raises(ValueError, match="has 1 columns, the row 2 cells"),
        report.table("x", "A title", ["a"]) as table,
    ):
        table.add(1, 2)
    common.Report("other", argparse.Namespace(threads=1, repeats=1, dry=True)).table("t", "T", ["a"]).__exit__(None)
    assert stored_tables("other") == {}
    assert "| row | 0.123 (0.100 to 0.200) |" in capsys.readouterr().out


def test_numbers_are_shown_with_three_digits():
    cells = [17271.4, 152.0, 26.34, 1.0, 0.0403, 12, None, "text", {"median": 2.0, "low": 2.0, "high": 2.0}]
    assert list(map(cell_text, cells)) == ["17271", "152", "26.3", "1.00", "0.0403", "12", "", "text", "2.00"]
    assert markdown(["a", "b"], [["x", 1.0]]) == "| a | b |\n|---|---|\n| x | 1.00 |"
