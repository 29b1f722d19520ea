"""One unit: made on a server, its results put in place, its manifest written last."""

import os
import shutil
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..client import Client, output_files
from ..console import say
from ..events import Event
from ..failures import Failure, UsageMistake
from ..run import stoppable
from .folder import Folder, fault_of, now, place_file, write_json
from .graphs import graph_hash
from .plan import Plan, Unit, check_inputs, read_plan
from .servers import device_of, farm_server, model_files, model_hashes


@dataclass(frozen=True)
class Machine:
    """Where units are made.

    Attributes:
        about: what goes into manifests: device, memory, versions, threads, name of the machine.
        models: the names of the model files it has; hashes: of those, as far as they are known.
    """

    about: Mapping
    models: frozenset[str]
    hashes: Callable[[list[str]], dict[str, str]]


def machine_of(client: Client, base: Path, threads: int | None) -> Machine:
    """What a server has to offer."""
    system = client.get("/system_stats").get("system", {})
    about = {
        **device_of(client),
        "threads": threads or os.cpu_count(),
        "torch": system.get("pytorch_version"),
        "comfyui": system.get("comfyui_version"),
        "machine": socket.gethostname(),
    }
    return Machine(about, frozenset(model_files(client)), lambda names: model_hashes(base, names))


def missing_models(plan: Plan, unit: Unit, machine: Machine) -> list[str]:
    """The model files that a unit needs and a machine lacks."""
    return [name for name in plan.models_of(unit) if name not in machine.models]


def make_unit(
    plan: Plan,
    unit: Unit,
    folder: Folder,
    client: Client,
    results: Path,
    machine: Machine,
    watch: Callable[[Event], None] | None = None,
) -> dict:
    """Make one unit; returns its manifest.

    Args:
        results: the server's output folder.

    Raises:
        Failure: the server refused the graph, a node failed, the server was lost.
    """
    graph = plan.graph_of(unit)
    run = client.run(graph, watch)
    if unit.split is None:
        target = folder.units / f"{unit.number:04d}"
        made = {path: path for path in client.fetch_all(output_files(run.outputs), target / "new")}
        shutil.rmtree(target / "files", ignore_errors=True)
        files = {
            str((target / "files" / path.relative_to(target / "new")).relative_to(folder.out)): path for path in made
        }
    else:
        split = plan.splits[unit.split]
        names = {f"segments/{wire.key}_{unit.part:05d}.safetensors" for wire in split.wires}
        files = {f"input/{name}": results / name for name in sorted(names)}
    placed = {}
    for name, path in files.items():
        size = path.stat().st_size
        placed[name] = {"sha256": place_file(path, folder.path_of(name)), "bytes": size}
        path.unlink()
    manifest = {
        "unit": unit.number,
        "title": unit.title,
        "graph": graph_hash(graph),
        "inputs": {name: file["sha256"] for name, file in plan.inputs.items()},
        "models": machine.hashes(plan.models_of(unit)),
        "betwixt": plan.betwixt,
        **machine.about,
        "seconds": round(run.seconds, 3),
        "finished": now(),
        "files": placed,
    }
    write_json(folder.manifest(unit.number), manifest)
    return manifest


def unit(args, host: Path, base: Path) -> None:
    """``farm unit``: one unit on this machine. ``args``: out, number, threads."""
    folder = Folder(args.out)
    plan = read_plan(folder)
    wanted = next((unit for unit in plan.units if unit.number == args.number), None)
    if wanted is None:
        raise UsageMistake(f"There is no unit {args.number} in {args.out}; its units are 1 to {len(plan.units)}.")
    folder.make()
    check_inputs(plan, folder)
    if fault_of(folder, wanted.number, graph_hash(plan.graph_of(wanted))) is None:
        say(f"Unit {wanted.number} ({wanted.title}) is finished already.")
        return
    waiting = [n for n in wanted.needs if fault_of(folder, n, graph_hash(plan.graph_of(plan.units[n - 1]))) is not None]
    if waiting:
        raise UsageMistake(
            f"Unit {wanted.number} reads the results of the units {', '.join(map(str, waiting))}, which are not "
            "finished. Run those first."
        )
    began = time.monotonic()
    log = folder.logs / f"unit-{wanted.number:04d}.log"
    with (
        stoppable(),
        farm_server(folder, host, base, log, args.threads) as server,
        Client(server.url) as client,
    ):
        machine = machine_of(client, base, args.threads)
        lacking = missing_models(plan, wanted, machine)
        if lacking:
            raise Failure(f"Unit {wanted.number} needs model files that are not here: {', '.join(lacking)}.")
        manifest = make_unit(plan, wanted, folder, client, server.results, machine)
    in_all = time.monotonic() - began
    say(f"Unit {wanted.number} ({wanted.title}): {manifest['seconds']:.1f} s, with start-up {in_all:.1f} s")
