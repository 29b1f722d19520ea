"""One unit: made on a server, its results put in place, its manifest written last."""

import os
import shutil
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..client import Client
from ..console import say
from ..events import Event
from ..failures import Failure, ServerLost, UsageMistake
from ..output_files import output_files
from ..run import stoppable
from .folder import Folder, move_file, now, write_json
from .graphs import graph_hash
from .manifests import fault_of, whole_files
from .plan import Plan, Unit, check_inputs, read_plan
from .servers import SYSTEM_STATS, device_of, farm_server, model_files, model_hashes


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
    stats = client.get("/system_stats", SYSTEM_STATS)
    system = stats.get("system") or {}
    about = {
        **device_of(stats),
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
        place = folder.path_of(whole_files(unit))
        shutil.rmtree(place, ignore_errors=True)
        made = client.fetch_all(output_files(run.outputs), results / "whole")
        files = {whole_files(unit) + path.relative_to(results / "whole").as_posix(): path for path in made}
    else:
        names = plan.results_of(unit)
        files = {name: results / Path(name).relative_to("input") for name in names}
    placed = {}
    for name, path in files.items():
        if not path.is_file():
            raise ServerLost(f"The server says that it made {path.name}, which is not in its output folder.")
        target = folder.path_of(name)
        digest, state = move_file(path, target), target.stat()
        placed[name] = {"sha256": digest, "bytes": state.st_size, "time": state.st_mtime_ns}
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
    if fault_of(plan, wanted, folder) is None:
        say(f"Unit {wanted.number} ({wanted.title}) is finished already.")
        return
    waiting = [number for number in wanted.needs if fault_of(plan, plan.units[number - 1], folder) is not None]
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
