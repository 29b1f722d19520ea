"""``farm plan``: the input files taken in, the workflow split, the parts counted."""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from ...common.files.file_hash import sha256_of
from ...common.files.pack_version import pack_version
from ..answers import Shape, has_shape
from ..client import Client
from ..console import say
from ..doctor import needs_of
from ..failures import UsageMistake
from ..graph import apply_settings, file_inputs, find_file, load_graph, title
from ..host_tree import tree_version
from .counting import count_parts
from .folder import Folder, is_deep, is_inside, place_file
from .plan import MOST_UNITS, Plan, Unit, numbered
from .servers import farm_server
from .splits import Split, find_splits, join_graph


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
            if not is_inside(item.file) or not (folder.input / item.file).is_file():
                if item.certain:
                    raise UsageMistake(
                        f"The input file '{item.file}' of node {item.node} was not found in "
                        f"{', '.join(map(str, places))}. Name it with --input FILE."
                    )
                continue  # a choice among model files; workers say what they have
            taken[item.file] = {"sha256": sha256_of(str(folder.input / item.file)), "from": None}
            continue
        digest = sha256_of(str(path))
        name = path.name if is_inside(path.name) else f"{digest[:8]}.{''.join(filter(str.isalnum, path.suffix))}"
        if name in taken and taken[name]["sha256"] != digest:
            name = f"{digest[:8]}_{name}"
        if not (folder.input / name).is_file() or sha256_of(str(folder.input / name)) != digest:
            place_file(path, folder.input / name)
        taken[name] = {"sha256": digest, "from": str(path.resolve())}
        graph[item.node]["inputs"][item.input] = name
    return taken


def schema_of(object_info: dict) -> Callable[[str], dict]:
    """Node class -> its entry, empty where there is none or where it is not what a ComfyUI says."""
    shape: Shape = {"output": [str], "output_is_list": [bool], "is_input_list": bool, "output_node": bool}

    def schema(kind: str) -> dict:
        entry = object_info.get(kind)
        return entry if has_shape(entry, shape) and entry is not None else {}

    return schema


def make_units(graph: dict, splits: Sequence[Split], sizes: Sequence[Sequence[int]]) -> tuple[Unit, ...]:
    """The units of all splits in the order of work; one whole unit if there is no split."""
    if not splits:
        return (Unit(1, None, 1, 1, (), "the whole workflow"),)
    units: list[tuple[int | None, int, int, str]] = []
    for position, (split, parts) in enumerate(zip(splits, sizes, strict=True)):
        name = title(graph, split.node)
        for part, size in enumerate(parts, 1):
            units.append((position, part, size, f"{name}: {split.what[:-1]} {part} of {len(parts)}"))
    return numbered(graph, splits, units)


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
    if sum(len(entry.sizes) for entry in counted) > MOST_UNITS:
        raise UsageMistake(f"The workflow has more than {MOST_UNITS} parts. Make several workflows of it.")
    units = make_units(graph, splits, [entry.sizes for entry in counted])
    if not splits:
        notes = [*notes, "There is nothing to split in this workflow: it runs as one unit."]
    joined = join_graph(graph, splits, schema) if splits else graph
    return Plan(
        graph, joined, tuple(splits), units, (*notes, *more), inputs, tuple(models), memory, pack_version(), comfyui
    )


def plan(args, host: Path, base: Path) -> None:
    """``farm plan``. ``args``: workflow, out, set, input, memory, replan."""
    folder = Folder(args.out)
    folder.make()
    with folder.locked("plan"):
        if folder.plan.exists() and not args.replan:
            raise UsageMistake(
                f"{args.out} holds a plan already. 'farm run {args.out}' goes on with it; --replan makes a new one and "
                "keeps the finished units that still hold; or name another folder."
            )
        with farm_server(folder, host, base, folder.out / "logs" / "plan.log") as server, Client(server.url) as client:
            schema = schema_of(client.object_info())
            graph = apply_settings(load_graph(args.workflow), args.set, schema)
            if is_deep(graph):
                raise UsageMistake(f"The workflow {args.workflow} is nested far too deeply.")
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
