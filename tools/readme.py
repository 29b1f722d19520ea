"""``python -m tools.readme``: write the generated parts of README.md and of documents in docs.

A part stands between ``<!-- begin generated: NAME -->`` and ``<!-- end generated -->``; NAME is one of :func:`parts`.
Nodes come from the schemas, model files from the list of published files, workflows from workflows/api, exit codes from
the launcher, and measured tables from benchmarks/results.
"""

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from betwixt.common.card_choices import CARDS, CHOOSERS, GIB, settings
from betwixt.common.files.published_files import PUBLISHED_FILES, files_named_in
from betwixt.launcher.failures import EXIT_MEANINGS

from support.benchmark_results import cell_text, markdown, stored_tables
from support.bootstrap import ROOT, use_host
from support.schemas import pack_nodes
from support.workflow_files import NAMES, api_graph

README, FAULTS = ROOT / "README.md", ROOT / "docs" / "faults.md"
INBETWEENS = ROOT / "docs" / "methods" / "inbetweens.md"
PART = re.compile(r"(<!-- begin generated: (?P<name>.+?) -->\n).*?(<!-- end generated -->)", re.DOTALL)
SENTENCE_END = re.compile(r"\.\s+(?=[A-Z'])")


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
        sources = dict.fromkeys(_provenance(table) for table in chosen)
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


def _stored(script: str, names: tuple[str, ...]) -> list[dict]:
    stored = stored_tables(script)
    if missing := [name for name in names if name not in stored]:
        raise LookupError(f"benchmarks/results/{script}.json lacks {missing}; run benchmarks.{script}")
    return [stored[name] for name in names]


def _provenance(table: dict) -> str:
    if "machine" not in table:
        return f"`{table['command']}`, {table['taken']}, Python {table['versions']['python']}"
    machine = table["machine"]
    threads = "1 thread" if machine["threads"] == 1 else f"{machine['threads']} threads"
    load = "" if machine["load_average"] is None else f", load average {machine['load_average']:g}"
    card = f", {machine['card']}" if "card" in machine else ""
    where = f"{machine['processor']}, {machine['cores']} cores{load}{card}"
    return f"`{table['command']}`, {table['taken']}, {threads}, PyTorch {table['versions']['torch']}, {where}"


MOVED = (
    *("drawn translation", "drawn rotation", "drawn zoom", "drawn parallax", "drawn independent", "drawn combined"),
    *("drawn lighting", "pictures rotation", "pictures parallax", "pictures independent", "pictures combined"),
)
INBETWEEN_SETS = ("street", *MOVED, "films")
RESULTS = {
    "first click": Shown("first_click", ("first",)),
    "beside": Shown("first_click", ("beside",)),
    "condition frames": Shown(
        "condition_frames", ("node",), ("conditions from", "processor seconds", "peak memory, MiB")
    ),
    "line matching": Shown(
        "line_matching", ("one pair, weight-free",), ("matcher", "matches", "processor seconds", "peak memory, MiB")
    ),
    "line match quality": Shown(
        "line_matching", ("quality, weight-free",), ("motion", "pairs", "precision", "recall", "matches per pair")
    ),
    "line segments": Shown(
        "line_segments",
        ("detectors",),
        ("picture", "exact, numba, s", "exact, python, s", "quick, s", "segments", "found within 2 px"),
        {"found within 2 px": "of these found by quick within 2 px"},
    ),
    "gluestick": Shown("gluestick", ("quick",)),
    "poses": Shown("poses", ("drawing",)),
    "inbetweens": Across(
        "inbetweens",
        INBETWEEN_SETS,
        row="pictures",
        column="way",
        shown=("PSNR, dB", "edges, px"),
        order=("cross-fade", "DIS", "least squares", "RIFE", "layers", "layers, poses"),
    ),
    "fcvg guider": Shown("fcvg_sampling", ("overhead",)),
    "fcvg encoder": Shown("fcvg_sampling", ("encoder",)),
    "fcvg injection": Shown("fcvg_sampling", ("injection",)),
    "rerender": Shown(
        "rerender",
        ("clip",),
        (
            "constraints",
            "model steps, anchor",
            "model steps per key frame",
            "of SD1.5 in fp16, short side 512, GiB",
            "ms per step beside model and VAE",
        ),
        {"of SD1.5 in fp16, short side 512, GiB": "features kept, SD1.5 in fp16, short side 512, GiB"},
    ),
    "patch synthesis": Shown(
        "patch_synthesis",
        ("512",),
        ("engine", "schedule, votes x iterations", "processor seconds", "peak memory, MiB", "total", "PSNR, dB"),
    ),
    "clip steadiness": Shown(
        "clip_propagation",
        ("steadiness, dancer_960x506_25fps",),
        ("made by", "Pixel-MSE x 1000", "against every frame", "processor s per frame"),
    ),
    "clip growth": Shown(
        "clip_propagation", ("growth",), ("frames", "processor s per frame", "peak memory above the clip, MiB")
    ),
    "blending": Shown("blending", ("steps",), ("step", "processor seconds")),
    "measures": Shown("measures", ("time",)),
    "tooncrafter decode": Shown("tooncrafter", ("decode",)),
    "tooncrafter work": Shown("tooncrafter", ("encode", "step")),
    "tooncrafter loading": Shown("tooncrafter_loading", ("loading",)),
    "card": Shown(
        "card",
        ("speed",),
        ("job", "host's memory", "s", "s per step", "limit, s", "times the limit", "GiB allocated", "note"),
    ),
}


OF_FAULTS = {
    "fuzz": Shown("fuzz", ("counts",)),
    "scene cuts": Shown("scene_cuts", ("totals",)),
    "long spans": Shown("long_spans", ("lengths",)),
    "hosts and libraries": Shown("host_matrix", ("hosts", "libraries", "pythons")),
}


def models() -> str:
    columns = ["file", "size", "folder in `models`", "for", "licence", "from"]
    rows = [
        [
            f"`{file.name}`",
            file.size,
            f"`{file.folder}`",
            f"{file.purpose}; {file.instead} will do" if file.instead else file.purpose,
            file.licence,
            f"[{file.source}]({file.url})" if file.url else file.source,
        ]
        for file in PUBLISHED_FILES
    ]
    return markdown(columns, rows)


def workflows() -> str:
    rows = [
        [name, ", ".join(file.instead or f"`{file.name}`" for file in files_named_in(api_graph(name))) or "none"]
        for name in NAMES
    ]
    return markdown(["workflow", "model files"], rows)


def nodes() -> str:
    """A table per family, in the order the nodes are registered; of each description the first sentence."""
    families: dict[str, list[list[str]]] = {}
    for node in pack_nodes():
        schema = node.GET_SCHEMA()
        does = SENTENCE_END.split(schema.description)[0].rstrip(".")
        families.setdefault(schema.category.split("/", 1)[1], []).append([schema.display_name, does])
    return "\n\n".join(f"**{family}**\n\n{markdown(['node', 'does'], rows)}" for family, rows in families.items())


def exit_codes() -> str:
    return markdown(["exit code", "means"], [[code, meaning] for code, meaning in EXIT_MEANINGS.items()])


def cards() -> str:
    """What cards should choose; under it what every setting holds, computed, and measured where the card benchmark
    ran just that."""
    chosen = [[f"{gib} GB", *(choose(gib * GIB).short() for choose in CHOOSERS.values())] for gib in CARDS]
    speed = stored_tables("card")["speed"]
    columns = [speed["columns"].index(name) for name in ("job", "host's memory", "s", "s per step", "GiB allocated")]
    measured = {}
    for job, memory, *values in ([row[column] for column in columns] for row in speed["rows"]):
        if memory == "plain":
            measured[job] = values
    rows = []
    for setting in settings():
        seconds, per_step, allocated = measured.get(setting.measured, (None, None, None))
        if "as a card" in setting.measured:
            seconds = None  # of a few steps only
        parts = setting.weights / GIB, setting.peak / GIB
        rows.append([setting.system, setting.setting, *parts, sum(parts), allocated, seconds, per_step])
    card = speed["machine"]["card"]
    names = ["system", "setting", "weights, GiB, *computed*", "activations, GiB, *computed*", "sum, GiB, *computed*"]
    names += [f"{what}, *measured on {card}*" for what in ("GiB", "s", "s per step")]
    first = markdown(["card", *(f"{system}, *computed*" for system in CHOOSERS)], chosen)
    return f"{first}\n\n{markdown(names, rows)}\n\n<sub>Measured: {_provenance(speed)}</sub>"


def _results(shown: dict[str, Shown | Across]) -> dict[str, Callable[[], str]]:
    return {f"results {name}": table.__str__ for name, table in shown.items()}


def parts() -> dict[Path, dict[str, Callable[[], str]]]:
    """What makes each part of each document, by name."""
    readme = {
        "models": models,
        "nodes": nodes,
        "workflows": workflows,
        "exit codes": exit_codes,
        "cards": cards,
        **_results(RESULTS),
    }
    every = {"inbetweens": Shown("inbetweens", INBETWEEN_SETS), "inbetweens cost": Shown("inbetweens", ("cost",))}
    return {README: readme, FAULTS: _results(OF_FAULTS), INBETWEENS: _results(every)}


def renewed(text: str, makers: dict[str, Callable[[], str]]) -> str:
    """A document with every generated part made anew.

    Args:
        makers: what makes each of its parts, by name.

    Raises:
        LookupError: a part has an unknown name, or a known one is not in the text.
    """
    present = [found["name"] for found in PART.finditer(text)]
    if sorted(present) != sorted(makers):
        raise LookupError(f"The document holds the parts {sorted(present)}, made are {sorted(makers)}")
    return PART.sub(lambda found: f"{found[1]}\n{makers[found['name']]()}\n\n{found[3]}", text)


def main() -> int:
    use_host()
    for document, makers in parts().items():
        document.write_text(renewed(document.read_text("utf-8"), makers), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
