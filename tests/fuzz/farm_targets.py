"""The files of a farm, and what a server says while one is planned: all of it may come from anybody."""

import contextlib
import hashlib
import json
import random
from pathlib import Path

from .json_mutators import damaged_json
from .launcher_targets import _printing
from .target import Target


def _node(kind: str, **inputs) -> dict:
    return {"class_type": kind, "inputs": inputs, "_meta": {"title": kind}}


FRAMES = b"frames"
FRAMES_HASH = hashlib.sha256(FRAMES).hexdigest()
VERSION = "VERSION"  # stands for that of the pack
RERENDER, STYLISE = "BetwixtRerenderKeyFrames", "BetwixtStyliseClip"
GRAPH = {
    "1": _node("LoadImage", image="a.png"),
    "2": _node(RERENDER, key_frames=["1", 0], key_numbers="0, 4", shots="", on_cancel="keep"),
    "3": _node(STYLISE, frames=["1", 0], keys=["2", 0], intervals="", scene_cuts="find"),
    "4": _node("PreviewImage", images=["3", 0]),
    "5": _node("PreviewImage", images=["2", 0]),
    "6": _node("CheckpointLoaderSimple", ckpt_name="model.safetensors"),
}
PLAN = {
    "format": 2,
    "graph": GRAPH,
    "joined": GRAPH,
    "splits": [
        {
            "node": "2",
            "what": "shots",
            "chosen": {"2": "shots"},
            "wires": [{"node": "2", "slot": 0, "carries": "KEYS", "key": "2.0"}],
            "numbers": "0, 4",
        },
        {
            "node": "3",
            "what": "intervals",
            "chosen": {"3": "intervals"},
            "wires": [{"node": "3", "slot": 0, "carries": "IMAGE", "key": "3.0"}],
            "numbers": "",
        },
    ],
    "units": [
        {"split": 0, "part": 1, "size": 2, "title": "shot", "graph": "0"},
        {"split": 1, "part": 1, "size": 3, "title": "first", "graph": "1"},
        {"split": 1, "part": 2, "size": 5, "title": "second", "graph": "2"},
    ],
    "notes": ["a note"],
    "inputs": {"a.png": {"sha256": FRAMES_HASH, "from": "/a.png"}},
    "models": ["model.safetensors"],
    "memory": 6.0,
    "betwixt": VERSION,
    "comfyui": "0.30.0",
}
MANIFEST = {
    "unit": 1,
    "graph": "GRAPH",
    "seconds": 2.5,
    "device": "cpu",
    "torch": "2",
    "threads": 1,
    "files": {"input/segments/2.0_00001.safetensors": {"sha256": FRAMES_HASH, "bytes": 6, "time": 5}},
}
SCHEMA = {"output": ["IMAGE", "MASK", "LATENT"], "output_is_list": [False] * 3, "is_input_list": False}
TOLD = {
    "info": {entry["class_type"]: {**SCHEMA, "output_node": entry["class_type"][0] == "P"} for entry in GRAPH.values()},
    "outputs": {
        "keys.ask": {"text": ["2"]},
        "frames.ask": {"text": ["9"]},
        "cuts.ask": {"text": ["0, 5"]},
        "numbers.ask": {"text": ["0, 4"]},
    },
    "graph": GRAPH,
}


@contextlib.contextmanager
def _folder(path: Path):
    """A farm's folder with one finished unit and inputs; what is written outside of it is a fault."""
    from betwixt.launcher.farm.folder import Folder

    folder = Folder(path.parent / "farm" / "out")
    folder.make()
    for name in ("input/a.png", "input/segments/2.0_00001.safetensors"):
        folder.path_of(name).write_bytes(FRAMES)
    before = {found for found in path.parent.rglob("*") if not found.is_relative_to(folder.out)}
    yield folder
    after = {found for found in path.parent.rglob("*") if not found.is_relative_to(folder.out)}
    if after - before:
        raise PermissionError(f"written outside the folder: {after - before}")


def _commands(folder, *lists: list[str]) -> None:
    """Commands that need no server, as the command line carries them out."""
    from betwixt.launcher.commands import parser
    from betwixt.launcher.failures import Failure
    from betwixt.launcher.farm import command

    for words in lists:
        args = parser().parse_args(["farm", words[0], str(folder.out), *words[1:]])
        with contextlib.suppress(Failure):
            command.check(args)
            if words[0] in command.WITHOUT_HOST:
                command.perform(args, None, None)


def _version() -> str:
    from betwixt.common.files.pack_version import pack_version

    return pack_version()


def _use_plan(path: Path) -> None:
    from betwixt.launcher.farm.dispatch import Dispatch, Offer
    from betwixt.launcher.farm.folder import is_inside, write_json
    from betwixt.launcher.farm.graphs import graph_hash
    from betwixt.launcher.farm.plan import read_plan

    with _printing(), _folder(path) as folder:
        folder.plan.write_bytes(path.read_bytes().replace(VERSION.encode(), _version().encode()))
        exports = [["export", "--to", kind, "--file", "-"] for kind in ("commands", "openjd")]
        _commands(folder, ["status"], ["run"], ["unit", "1"], ["join"], *exports)
        plan = read_plan(folder)
        dispatch, worker = Dispatch(plan, 1), Offer("w", frozenset(plan.models), float("inf"))
        dispatch.require_workable([worker])
        while not dispatch.over and dispatch.take(worker) is not None:
            unit = dispatch.done("w")
            write_json(folder.manifest(unit.number), {**MANIFEST, "graph": graph_hash(plan.graph_of(unit))})
            for name in plan.results_of(unit):
                if not is_inside(name):
                    raise PermissionError(name)
                folder.path_of(name).write_bytes(FRAMES)
        _commands(folder, ["status"])


def _use_manifest(path: Path) -> None:
    from betwixt.launcher.farm.graphs import graph_hash
    from betwixt.launcher.farm.manifests import fault_of
    from betwixt.launcher.farm.plan import read_plan

    with _printing(), _folder(path) as folder:
        folder.plan.write_text(json.dumps({**PLAN, "betwixt": _version()}))
        plan = read_plan(folder)
        unit = plan.units[0]
        contents = path.read_bytes().replace(b"GRAPH", graph_hash(plan.graph_of(unit)).encode())
        folder.manifest(1).write_bytes(contents)
        if fault_of(plan, unit, folder) is None and set(json.loads(contents)["files"]) != set(plan.results_of(unit)):
            raise ValueError("finished without its results")
        _commands(folder, ["status"], ["status", "--verify"])


def _use_answers(path: Path) -> None:
    from betwixt.launcher import answers
    from betwixt.launcher.failures import UsageMistake
    from betwixt.launcher.farm.folder import is_deep
    from betwixt.launcher.farm.plan import read_plan
    from betwixt.launcher.farm.planning import make_plan, schema_of, take_inputs
    from betwixt.launcher.graph import load_graph

    told = json.loads(path.read_bytes())
    if not answers.has_shape(told, {"info!": {str: dict}, "outputs!": {str: dict}}):
        return  # the client refuses it
    written = path.parent / "graph.json"
    written.write_text(json.dumps(told.get("graph")))
    with _printing(), _folder(path) as folder:
        graph, schema = load_graph(written), schema_of(told["info"])
        if is_deep(graph):
            raise UsageMistake("nested far too deeply")
        inputs = take_inputs(graph, folder, [], [folder.input], schema)
        plan = make_plan(graph, schema, lambda asked: told["outputs"], inputs, [], 0.0, "-")
        plan.write(folder)
        if read_plan(folder) != plan:
            raise ValueError("another plan was read than was written")


def _told(draws: random.Random) -> bytes:
    """What a server says and the workflow, parts of them damaged, as JSON that can be read."""
    while True:
        case = damaged_json(TOLD, draws)
        with contextlib.suppress(ValueError, RecursionError):
            json.loads(case)
            return case


TARGETS = {
    "farm plan": Target(lambda draws: damaged_json(PLAN, draws), _use_plan, ".json", ("betwixt.launcher.farm.join",)),
    "farm manifest": Target(
        lambda draws: damaged_json(MANIFEST, draws), _use_manifest, ".json", ("betwixt.launcher.farm.join",)
    ),
    "farm server": Target(_told, _use_answers, ".json", ("betwixt.launcher.farm.planning",)),
}
