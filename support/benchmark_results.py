"""Stored results of the benchmarks: benchmarks/results/NAME.json, one file per script, one entry per table.

A cell is a text, a number, or a spread of measurements ``{"median": ..., "low": ..., "high": ...}``.
"""

import json
from pathlib import Path

from support.bootstrap import ROOT

RESULTS = ROOT / "benchmarks" / "results"


def stored_tables(script: str) -> dict[str, dict]:
    """The tables of one script by name; empty if it has not stored any."""
    path = RESULTS / f"{script}.json"
    return json.loads(path.read_text("utf-8"))["tables"] if path.exists() else {}


def store_table(script: str, name: str, table: dict, module: str | None = None) -> Path:
    """Put one table into the script's file, beside its others; returns the file.

    Args:
        module: what made it, if not the script of that name in ``benchmarks``.
    """
    path = RESULTS / f"{script}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    tables = stored_tables(script) | {name: table}
    made_by = module or f"benchmarks.{script.replace('/', '.')}"
    text = json.dumps({"script": made_by, "tables": tables}, indent=1)
    path.write_text(text + "\n", "utf-8")
    return path


def cell_text(cell: object) -> str:
    """How a table shows a cell: numbers with three digits, spreads as "median (low to high)"."""
    if isinstance(cell, dict):
        median, low, high = (cell_text(cell[key]) for key in ("median", "low", "high"))
        return median if low == high else f"{median} ({low} to {high})"
    if isinstance(cell, float):
        return f"{cell:.0f}" if abs(cell) >= 1000 else f"{cell:#.3g}".rstrip(".")
    return "" if cell is None else str(cell)


def row_text(cells: list) -> str:
    return f"| {' | '.join(map(cell_text, cells))} |"


def markdown(columns: list[str], rows: list[list]) -> str:
    return "\n".join([row_text(columns), "|" + "---|" * len(columns), *map(row_text, rows)])
