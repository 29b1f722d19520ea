"""The plan of a farm: the graph, where it is split, the units, what they need; made once, read by everything else."""

import json
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...common.files.file_hash import sha256_of
from ...common.files.pack_version import pack_version
from ..client import Client
from ..console import say
from ..doctor import needs_of
from ..failures import UsageMistake
from ..graph import apply_settings, file_inputs, find_file, load_graph
from ..host_tree import tree_version
from .counting import count_parts
from .folder import Folder, write_json
from .graphs import ancestors, graph_hash
from .splits import Split, find_splits, join_graph, unit_graph

FORMAT = 1


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

    def write(self, folder: Folder) -> None:
        units = [{**vars(unit), "graph": graph_hash(self.graph_of(unit))} for unit in self.units]
        value = {**vars(self), "format": FORMAT, "splits": [split.as_json() for split in self.splits], "units": units}
        write_json(folder.plan, value)


def _text(value: object) -> bool:
    return isinstance(value, str)


def read_plan(folder: Folder, same_pack: bool = True) -> Plan:
    """The plan in a folder.

    Raises:
        UsageMistake: none there, unreadable, of another version of the pack (unless not ``same_pack``).
    """
    try:
        value = json.loads(folder.plan.read_text("utf-8"))
        version = value.pop("format")
        units = tuple(
            Unit(**{**{k: v for k, v in unit.items() if k != "graph"}, "needs": tuple(unit["needs"])})
            for unit in value["units"]
        )
        splits = tuple(Split.of_json(split) for split in value["splits"])
        lists = {name: tuple(value[name]) for name in ("notes", "models")}
        plan = Plan(**{**value, **lists, "units": units, "splits": splits})
    except FileNotFoundError as error:
        raise UsageMistake(
            f"{folder.out} holds no plan. Make one with: betwixt.py farm plan WORKFLOW.json {folder.out}"
        ) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageMistake(f"{folder.plan} cannot be read as a plan ({error}). Plan again.") from error
    if version != FORMAT or (same_pack and plan.betwixt != pack_version()):
        raise UsageMistake(
            f"{folder.plan} was made by Betwixt {plan.betwixt}, and this is {pack_version()}: parts of both would not "
            "fit together. Use the other version, or plan again with --replan (what still holds is kept)."
        )
    return plan


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


def take_inputs(graph: dict, folder: Folder, given: Sequence[Path], places: Sequence[Path], schema) -> dict[str, dict]:
    """Copy the files that a graph names into the input folder, and name them there.

    Args:
        given: files by path; places: folders in which files are looked for.

    Raises:
        UsageMistake: a file that is nowhere.
    """
    taken: dict[str, dict] = {}
    for item in list(file_inputs(graph, schema)):
        path = find_file(item.file, given, places)
        if path is None:
            if not (folder.input / item.file).is_file():
                if item.certain:
                    raise UsageMistake(
                        f"The input file '{item.file}' of node {item.node} was not found in "
                        f"{', '.join(map(str, places))}. Name it with --input FILE."
                    )
                continue  # a choice among model files; workers say what they have
            taken[item.file] = {"sha256": sha256_of(str(folder.input / item.file)), "from": None}
            continue
        digest = sha256_of(str(path))
        name = path.name
        if name in taken and taken[name]["sha256"] != digest:
            name = f"{digest[:8]}_{name}"
        if not (folder.input / name).is_file() or sha256_of(str(folder.input / name)) != digest:
            shutil.copyfile(path, folder.input / name)
        taken[name] = {"sha256": digest, "from": str(path.resolve())}
        graph[item.node]["inputs"][item.input] = name
    return taken


def make_units(graph: dict, splits: Sequence[Split], sizes: Sequence[Sequence[int]]) -> tuple[Unit, ...]:
    """The units of all splits in the order of work; one whole unit if there is no split."""
    if not splits:
        return (Unit(1, None, 1, 1, (), "the whole workflow"),)
    units: list[Unit] = []
    for position, (split, parts) in enumerate(zip(splits, sizes, strict=True)):
        before = ancestors(graph, [split.node])
        needed = {number for number, other in enumerate(splits[:position]) if other.node in before}
        needs = tuple(unit.number for unit in units if unit.split in needed)
        name = (graph[split.node].get("_meta") or {}).get("title") or graph[split.node]["class_type"]
        for part, size in enumerate(parts, 1):
            title = f"{name}: {split.what[:-1]} {part} of {len(parts)}"
            units.append(Unit(len(units) + 1, position, part, size, needs, title))
    return tuple(units)


def make_plan(
    graph: dict,
    schema: Callable[[str], Mapping],
    run: Callable[[dict], dict],
    inputs: dict[str, dict],
    models: Iterable[str],
    memory: float,
    comfyui: str,
) -> Plan:
    """The plan of a graph whose files are in place.

    Args:
        schema: node class -> its entry in object_info; run: see :func:`.counting.count_parts`.

    Raises:
        UsageMistake: a node that this server does not have; a graph without any output.
    """
    unknown = sorted({entry["class_type"] for entry in graph.values() if not schema(entry["class_type"])})
    if unknown:
        raise UsageMistake(f"The workflow uses nodes that are not installed: {', '.join(unknown)}.")
    if not any(schema(entry["class_type"]).get("output_node") for entry in graph.values()):
        raise UsageMistake("The workflow has no output node; add one, e.g. 'Save Video' or 'Preview Image'.")
    found, notes = find_splits(graph, schema)
    counted, more = count_parts(graph, found, run)
    splits = [entry.split for entry in counted]
    units = make_units(graph, splits, [entry.sizes for entry in counted])
    if not splits:
        notes = [*notes, "There is nothing to split in this workflow: it runs as one unit."]
    joined = join_graph(graph, splits, schema) if splits else graph
    return Plan(
        graph, joined, tuple(splits), units, (*notes, *more), inputs, tuple(models), memory, pack_version(), comfyui
    )


def plan(args, host: Path, base: Path) -> None:
    """``farm plan``. ``args``: workflow, out, set, input, memory, replan."""
    from .servers import farm_server

    folder = Folder(args.out)
    folder.make()
    with folder.locked("plan"):
        if folder.plan.exists() and not args.replan:
            raise UsageMistake(
                f"{args.out} holds a plan already. 'farm run {args.out}' goes on with it; --replan makes a new one and "
                "keeps the finished units that still hold; or name another folder."
            )
        with farm_server(folder, host, base, folder.out / "logs" / "plan.log") as server, Client(server.url) as client:
            everything = client.object_info()

            def schema(kind: str) -> dict:
                return everything.get(kind, {})

            graph = apply_settings(load_graph(args.workflow), args.set, schema)
            places = (Path.cwd(), args.workflow.resolve().parent, base / "input")
            inputs = take_inputs(graph, folder, args.input, places, schema)
            known, others = needs_of(args.workflow)
            models = [*(file.name for file in known), *others]
            version = tree_version(host) or "unknown"
            made = make_plan(graph, schema, lambda g: client.run(g).outputs, inputs, models, args.memory, version)
        made.write(folder)
    for note in made.notes:
        say(f"  not split: {note}" if note[:4] == "node" else f"  {note}")
    say(f"Planned {len(made.units)} units in {folder.plan}")
    for split in made.splits:
        sizes = [unit.size for unit in made.units if made.splits[unit.split or 0] is split and unit.split is not None]
        say(f"  node {split.node}: {len(sizes)} {split.what}, {min(sizes)} to {max(sizes)} frames each")
    shown = str(args.out)
    say(f"Go on with: {Path(sys.argv[0]).name} farm run {shown}, or farm export {shown} --to commands")
