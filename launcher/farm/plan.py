"""The plan of a farm: the graph, where it is split, the units, what they need; made once, read by everything else."""

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...common.files.file_hash import sha256_of
from ...common.files.pack_version import pack_version
from ..answers import Shape, has_shape
from ..failures import UsageMistake
from .folder import SEGMENTS, Folder, is_inside, read_json, write_json
from .graphs import ancestors
from .splits import CARRIES, Split, is_key, unit_graph

FORMAT = 2
MOST_BYTES = 1_000_000_000
MOST_UNITS = 1_000_000
MOST_MEMORY = 1e5  # GB
GRAPH: Shape = {str: {"class_type!": str, "inputs!": dict}}
WIRE: Shape = {"node!": str, "slot!": int, "carries!": str, "key!": str}
SHAPE: Shape = {
    "graph!": GRAPH,
    "joined!": GRAPH,
    "splits!": [{"node!": str, "what!": str, "chosen!": {str: str}, "wires!": [WIRE], "numbers!": str}],
    "units!": [{"split": int, "part!": int, "size!": int, "title!": str}],
    "notes!": [str],
    "inputs!": {str: {"sha256!": str, "from": str}},
    "models!": [str],
    "memory!": (int, float),
    "betwixt!": str,
    "comfyui!": str,
}


@dataclass(frozen=True)
class Unit:
    """A piece of work.

    Attributes:
        number: from 1; split: position of its split, None for the whole workflow; part: which part, from 1.
        size: frames that are made in it; needs: numbers of the units whose results it reads.
        title: for people.
    """

    number: int
    split: int | None
    part: int
    size: int
    needs: tuple[int, ...]
    title: str


@dataclass(frozen=True)
class Plan:
    """What ``plan.json`` holds.

    Attributes:
        graph: the API graph, its files those of the input folder; joined: the graph of the join.
        splits, units, notes: notes say for people what is not split and why.
        inputs: name in the input folder -> {"sha256", "from"}.
        models: names of the model files that the graph asks for.
        memory: GB of card memory that a unit needs, 0 if that is not known.
        betwixt, comfyui: versions.
    """

    graph: dict
    joined: dict
    splits: tuple[Split, ...]
    units: tuple[Unit, ...]
    notes: tuple[str, ...]
    inputs: dict[str, dict]
    models: tuple[str, ...]
    memory: float
    betwixt: str
    comfyui: str

    def graph_of(self, unit: Unit) -> dict:
        if unit.split is None:
            return self.graph
        return unit_graph(self.graph, list(self.splits), unit.split, unit.part)

    def models_of(self, unit: Unit) -> list[str]:
        """The model files that a unit needs."""
        values = {value for entry in self.graph_of(unit).values() for value in entry["inputs"].values() if _text(value)}
        return sorted(name for name in self.models if name in values)

    def results_of(self, unit: Unit) -> list[str]:
        """The files, below the farm's folder, that hold the results of a unit; none for the whole workflow."""
        wires = () if unit.split is None else self.splits[unit.split].wires
        return sorted({f"input/{SEGMENTS}/{wire.key}_{unit.part:05d}.safetensors" for wire in wires})

    def write(self, folder: Folder) -> None:
        units = [{key: getattr(unit, key) for key in ("split", "part", "size", "title")} for unit in self.units]
        value = {**vars(self), "format": FORMAT, "splits": [split.as_json() for split in self.splits], "units": units}
        write_json(folder.plan, value)


def _text(value: object) -> bool:
    return isinstance(value, str)


def needs_of_splits(graph: dict, splits: Sequence[Split]) -> list[set[int]]:
    """Of each split the positions of those whose results it reads."""
    found = []
    for position, split in enumerate(splits):
        before = ancestors(graph, [split.node])
        found.append({number for number, other in enumerate(splits[:position]) if other.node in before})
    return found


def numbered(graph: dict, splits: Sequence[Split], units: Iterable[tuple[int | None, int, int, str]]) -> tuple:
    """Units of (split, part, size, title) in the order of work, with their numbers and with what they need."""
    needed = needs_of_splits(graph, splits)
    made: list[Unit] = []
    by_split: dict[int | None, list[int]] = {}
    needs: dict[int | None, tuple[int, ...]] = {None: ()}
    for split, part, size, title in units:
        if split not in needs:  # one tuple for all units of a split: there may be thousands
            read = [] if split is None else sorted(needed[split])
            needs[split] = tuple(number for other in read for number in by_split.get(other, ()))
        made.append(Unit(len(made) + 1, split, part, size, needs[split], title))
        by_split.setdefault(split, []).append(len(made))
    return tuple(made)


def read_plan(folder: Folder, same_pack: bool = True) -> Plan:
    """The plan in a folder.

    Raises:
        UsageMistake: none there, unreadable, of another version of the pack (unless not ``same_pack``).
    """
    try:
        value = read_json(folder.plan, MOST_BYTES)
        if not isinstance(value, dict):
            raise ValueError("it is no mapping")
        version, betwixt = value.get("format"), value.get("betwixt")
        if version == FORMAT and (fault := _fault_of(value)):
            raise ValueError(fault)
    except FileNotFoundError as error:
        raise UsageMistake(
            f"{folder.out} holds no plan. Make one with: betwixt.py farm plan WORKFLOW.json {folder.out}"
        ) from error
    except (OSError, ValueError) as error:
        raise UsageMistake(f"{folder.plan} cannot be read as a plan ({error}). Plan again with --replan.") from error
    if version != FORMAT or (same_pack and betwixt != pack_version()):
        raise UsageMistake(
            f"{folder.plan} was made by Betwixt {str(betwixt)[:80]}, and this is {pack_version()}: parts of both would "
            "not fit together. Use the other version, or plan again with --replan (what still holds is kept)."
        )
    splits = tuple(Split.of_json(split) for split in value["splits"])
    units = [(unit.get("split"), unit["part"], unit["size"], unit["title"]) for unit in value["units"]]
    lists = {name: tuple(value[name]) for name in ("notes", "models")}
    fields: dict[str, Any] = {field.name: value[field.name] for field in dataclasses.fields(Plan)}
    fields |= {**lists, "splits": splits, "units": numbered(value["graph"], splits, units)}
    return Plan(**fields)


def _fault_of(value: dict) -> str | None:
    """What is wrong with the contents of a plan's file: it may come from anybody."""
    if not has_shape(value, SHAPE):
        return "its entries are not those of a plan"
    graph, splits, units = value["graph"], value["splits"], value["units"]
    for split in splits:
        wires = split["wires"]
        if not {split["node"], *split["chosen"], *(wire["node"] for wire in wires)} <= set(graph):
            return "a split is at a node that is not there"
        if not wires or not all(is_key(wire["key"]) and wire["carries"] in CARRIES for wire in wires):
            return "the results of a split have no usable names"
    wanted: set[int | None] = {*range(len(splits))} or {None}
    if {unit.get("split") for unit in units} != wanted or not len(units) <= MOST_UNITS:
        return "its units are not those of its splits"
    if not 0 <= value["memory"] < MOST_MEMORY:
        return "no card has that much memory"
    if not splits and len(units) != 1:
        return "a workflow without splits is one unit"
    if not all(0 < unit["part"] <= MOST_UNITS and 0 <= unit["size"] <= MOST_UNITS for unit in units):
        return "a unit has no part or no size"
    if len({(unit.get("split"), unit["part"]) for unit in units}) != len(units):
        return "two units are the same part"
    return None if all(map(is_inside, value["inputs"])) else "an input file lies outside its folder"


def check_inputs(plan: Plan, folder: Folder) -> None:
    """Raises:
    UsageMistake: an input file is no longer the one that was planned with.
    """
    for name, file in plan.inputs.items():
        path = folder.input / name
        if not path.is_file():
            raise UsageMistake(f"The input file {path} is missing. Put it back, or plan again with --replan.")
        if sha256_of(str(path)) != file["sha256"]:
            raise UsageMistake(
                f"The input file {path} was changed after the plan was made: finished and new parts would not fit "
                "together. Put the old one back, or plan again with --replan."
            )


def changed_originals(plan: Plan) -> list[str]:
    """Input files whose original is another one now; the farm keeps to the copies."""
    origins = [(Path(file["from"]), file["sha256"]) for file in plan.inputs.values() if file["from"]]
    return [str(path) for path, digest in origins if path.is_file() and sha256_of(str(path)) != digest]
