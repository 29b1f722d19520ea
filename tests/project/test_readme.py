"""README.md and docs: generated parts are what the tools make of the sources today."""

import re
from urllib.parse import unquote

import pytest

from support import benchmark_results
from support.workflow_files import WEIGHT_FREE
from tools import readme
from tools.shown_tables import Across, Headline, Shown


def test_the_generated_parts_are_current(host):
    for document, makers in readme.parts().items():
        text = document.read_text("utf-8")
        assert readme.renewed(text, makers) == text, "run: python -m tools.readme"


def test_a_part_that_is_missing_or_unknown_is_told(host):
    text, makers = readme.README.read_text("utf-8"), readme.parts()[readme.README]
    with pytest.raises(LookupError, match="holds the parts"):
        readme.renewed(text.replace("begin generated: workflows", "begin generated: graphs"), makers)
    with pytest.raises(LookupError, match="holds the parts"):
        readme.renewed("", makers)


def test_measured_tables_come_from_the_stored_results(tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark_results, "RESULTS", tmp_path)
    about = {"command": "python -m benchmarks.some", "taken": "2026-01-02", "repeats": 3, "versions": {"torch": "2.9"}}
    about["machine"] = {"processor": "Some CPU", "cores": 2, "threads": 1, "load_average": None}
    for name, value in (("one", 1.5), ("two", {"median": 2.5, "low": 2.0, "high": 3.0})):
        table = {"title": "T", "columns": ["what", "hidden", "s"], "rows": [[name, 7, value]], **about}
        benchmark_results.store_table("some", name, table)
    shown = str(Shown("some", ("one", "two"), ("what", "s"), {"s": "seconds"}))
    table, source = shown.split("\n\n")
    assert table.splitlines() == ["| what | seconds |", "|---|---|", "| one | 1.50 |", "| two | 2.50 (2.00 to 3.00) |"]
    assert source == "<sub>`python -m benchmarks.some`, 2026-01-02, 1 thread, PyTorch 2.9, Some CPU, 2 cores</sub>"
    across = str(Across("some", ("one", "two"), "hidden", "what", ("s", "hidden"), ("two", "one")))
    assert across.splitlines()[::2] == ["| hidden | two | one |", "| 7 | 2.50 (2.00 to 3.00) / 7 | 1.50 / 7 |"]
    rows = ({"what": "two"},)
    assert Headline("Job", "some", "two", rows, ("s", "hidden"), "hidden", "note").cells() == ["Job", 9.5, 7, "note"]
    with pytest.raises(LookupError, match="some.json, one: 0 rows are"):
        Headline("Job", "some", "one", rows, ("s",), "").cells()
    with pytest.raises(LookupError, match=r"lacks \['three'\]; run benchmarks.some"):
        str(Shown("some", ("three",)))


def test_its_pictures_are_there_and_show_what_the_pack_computes():
    pictures = [
        readme.ROOT / unquote(found) for found in re.findall(r"!\[.*?\]\((.*?)\)", readme.README.read_text("utf-8"))
    ]
    assert len(pictures) >= 7 and all(picture.is_file() for picture in pictures)
    of_workflows = {picture.stem for picture in pictures if picture.parent.name == "workflows"}
    assert of_workflows and of_workflows <= set(WEIGHT_FREE)  # of the others the thumbnail is an illustration
