"""``farm join`` and ``farm status``: the results put together, and how far the work is."""

from pathlib import Path

from ..client import Client
from ..console import say
from ..failures import UsageMistake
from ..run import report, run_graph, stoppable
from .folder import Folder, place_file
from .manifests import NOT_MADE, differences, finished_units, manifest_of, whole_files
from .plan import Plan, Unit, check_inputs, read_plan
from .servers import farm_server, model_files


def status(args) -> int:
    """The command. Exit code 0 when everything is finished, else 1."""
    folder = Folder(args.out)
    plan = read_plan(folder, same_pack=False)
    done, faults = finished_units(plan, folder, quick=not args.verify)
    say(f"{len(done)} of {len(plan.units)} units are finished in {args.out}")
    damaged = {number: fault for number, fault in faults.items() if fault != NOT_MADE}
    for unit in plan.units:
        if unit.number in damaged:
            say(f"  unit {unit.number} ({unit.title}) is made again: {damaged[unit.number]}")
    if done and faults:
        each = sum(manifest_of(folder, unit)["seconds"] for unit in done) / max(1, sum(unit.size for unit in done))
        left = each * sum(unit.size for unit in plan.units if unit.number in faults)
        say(f"  about {left:.0f} s of computing are left")
    for text in differences(manifest_of(folder, unit) for unit in done):
        say(f"  {text}")
    if not faults:
        say(f"  farm join {args.out} puts them together")
    return 1 if faults else 0


def join(args, host: Path, base: Path) -> None:
    """The command: the workflow's own output files, in ``OUT/output``. ``args``: out, threads."""
    folder = Folder(args.out)
    plan = read_plan(folder)
    folder.make()
    with folder.locked("join"):
        check_inputs(plan, folder)
        done, faults = finished_units(plan, folder)
        if faults:
            listed = "; ".join(f"unit {number}: {fault}" for number, fault in list(faults.items())[:5])
            raise UsageMistake(
                f"{len(faults)} of {len(plan.units)} units are not finished ({listed}). "
                f"Go on with 'farm run {args.out}'."
            )
        for text in differences(manifest_of(folder, unit) for unit in done):
            say(text)
        if not plan.splits:
            report(_copy_whole(folder, done[0]))
            return
        with (
            stoppable(),
            farm_server(folder, host, base, folder.logs / "join.log", args.threads) as server,
            Client(server.url) as client,
        ):
            lacking = sorted(_models_of_join(plan) - model_files(client))
            if lacking:
                raise UsageMistake(f"The join needs model files that are not here: {', '.join(lacking)}.")
            run, paths = run_graph(client, plan.joined, folder.output)
        report(paths)
        say(f"Joined {len(done)} units in {run.seconds:.1f} s")


def _models_of_join(plan: Plan) -> set[str]:
    values = {v for entry in plan.joined.values() for v in entry["inputs"].values() if isinstance(v, str)}
    return {name for name in plan.models if name in values}


def _copy_whole(folder: Folder, unit: Unit) -> list[Path]:
    paths = []
    for name in manifest_of(folder, unit)["files"]:
        target = folder.output / Path(name).relative_to(whole_files(unit))
        place_file(folder.path_of(name), target)
        paths.append(target)
    return paths
