"""Stored tables of benchmarks as documents show them: whole, across, or as one line about a job."""

from dataclasses import dataclass, field

from support.benchmark_results import cell_text, markdown, stored_tables


@dataclass(frozen=True)
class Shown:
    """Stored tables of a benchmark as the README shows them, below one another if there are several.

    Attributes:
        script: whose tables.
        tables: their names; they must have the shown columns.
        columns: the shown ones; all of the first table if empty.
        renamed: shown column to what stands above it instead.
    """

    script: str
    tables: tuple[str, ...]
    columns: tuple[str, ...] = ()
    renamed: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        chosen = _stored(self.script, self.tables)
        columns = self.columns or chosen[0]["columns"]
        rows = [
            [row[table["columns"].index(column)] for column in columns] for table in chosen for row in table["rows"]
        ]
        sources = dict.fromkeys(provenance(table) for table in chosen)
        table = markdown([self.renamed.get(column, column) for column in columns], rows)
        return f"{table}\n\n<sub>{'; '.join(sources)}</sub>"


@dataclass(frozen=True)
class Across:
    """Stored tables of a benchmark with one of their columns laid across.

    Attributes:
        script, tables: as for :class:`Shown`.
        row, column: whose values name the rows and the columns.
        shown: what stands in a cell, joined by slashes.
        order: the columns; those that are not named are left out.
    """

    script: str
    tables: tuple[str, ...]
    row: str
    column: str
    shown: tuple[str, ...]
    order: tuple[str, ...]

    def __str__(self) -> str:
        cells: dict[str, dict[str, str]] = {}
        for table in _stored(self.script, self.tables):
            place = {name: number for number, name in enumerate(table["columns"])}
            for row in table["rows"]:
                values = [cell_text(row[place[name]]) for name in self.shown]
                cells.setdefault(row[place[self.row]], {})[row[place[self.column]]] = " / ".join(filter(None, values))
        rows = [[name, *(found.get(column, "") for column in self.order)] for name, found in cells.items()]
        return markdown([self.row, *self.order], rows)


@dataclass(frozen=True)
class Headline:
    """One line about a job that stored rows measure: their seconds added up, the largest of their memories.

    Attributes:
        job: what the line calls it.
        script, table: whose rows.
        rows: of each row what tells it from the others, by column.
        seconds: the columns that are added up.
        memory: the column of the memory; empty if there is none.
        beside: a last cell.
    """

    job: str
    script: str
    table: str
    rows: tuple[dict[str, str], ...]
    seconds: tuple[str, ...] = ("processor seconds",)
    memory: str = "peak memory, MiB"
    beside: str | None = None

    def cells(self) -> list:
        (table,) = _stored(self.script, (self.table,))
        stored = [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]
        measured = [row for wanted in self.rows for row in stored if wanted.items() <= row.items()]
        if len(measured) != len(self.rows):
            raise LookupError(f"{self.script}.json, {self.table}: {len(measured)} rows are {self.rows}")
        seconds = sum(_median(row[column]) for row in measured for column in self.seconds)
        memory = max(_median(row[self.memory]) for row in measured) if self.memory else None
        return [self.job, float(seconds), memory] + ([self.beside] if self.beside else [])


def _median(cell: dict | float) -> float:
    return cell["median"] if isinstance(cell, dict) else cell


def _stored(script: str, names: tuple[str, ...]) -> list[dict]:
    stored = stored_tables(script)
    if missing := [name for name in names if name not in stored]:
        raise LookupError(f"benchmarks/results/{script}.json lacks {missing}; run benchmarks.{script}")
    return [stored[name] for name in names]


def provenance(table: dict) -> str:
    if "machine" not in table:
        return f"`{table['command']}`, {table['taken']}, Python {table['versions']['python']}"
    machine = table["machine"]
    threads = "1 thread" if machine["threads"] == 1 else f"{machine['threads']} threads"
    load = "" if machine["load_average"] is None else f", load average {machine['load_average']:g}"
    card = f", {machine['card']}" if "card" in machine else ""
    where = f"{machine['processor']}, {machine['cores']} cores{load}{card}"
    return f"`{table['command']}`, {table['taken']}, {threads}, PyTorch {table['versions']['torch']}, {where}"
