"""Engines that stand in for ComfyUI servers in a farm: units that wait instead of computing."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from betwixt.common.files.pack_version import pack_version
from betwixt.launcher.client import Client
from betwixt.launcher.failures import ExecutionFailed, ServerLost, ValidationFailed
from betwixt.launcher.farm.folder import Folder, now, place_file, write_json
from betwixt.launcher.farm.graphs import graph_hash
from betwixt.launcher.farm.plan import Plan, read_plan
from betwixt.launcher.farm.planning import make_units
from betwixt.launcher.farm.servers import FarmServer
from betwixt.launcher.farm.splits import Split, Wire
from betwixt.launcher.farm.units import Machine
from betwixt.launcher.farm.worker import ServerEngine

from .bootstrap import ROOT

SECONDS = 0.01  # per frame of a unit's size
NAME = "sleeping"
SLEEPING = "support.farm_engines:SleepingEngine"


def write_plan(out: Path, sizes: Sequence[int]) -> Plan:
    """A plan of one split with parts of those sizes, in a farm's folder."""
    graph = {"1": {"class_type": "A", "inputs": {"gaps": ""}}}
    split = Split("1", "gaps", {"1": "gaps"}, (Wire("1", 0, "IMAGE", "1.0"),))
    plan = Plan(graph, graph, (split,), make_units(graph, [split], [sizes]), (), {}, (), 0.0, pack_version(), "-")
    Folder(out).make()
    plan.write(Folder(out))
    return plan


class SleepingEngine:
    """Waits as long as a unit is large, on a machine ``options["paces"]`` times as slow (by worker, in turn), with a
    card of ``options["cards"]`` GB.

    Files in the farm's folder steer it: ``lose-server-N``: the first try of unit N loses its server; ``die-N``: the
    first try loses its worker (in this process only); ``die-after-N``: the same, when unit N is finished and nobody
    knows; ``fail-N``: a node fails; ``refuse-N``: the server refuses the graph; ``needs-N`` with a number: GB that the
    unit needs.
    """

    def __init__(self, out: Path, options: Mapping):
        self.folder, self.plan = Folder(out), read_plan(Folder(out))
        self.folder.make()
        self.now = "waiting 1/2"
        turn = len(list(self.folder.logs.glob("engine-*")))
        self.name = f"{os.getpid()}-{turn}"
        (self.folder.logs / f"engine-{self.name}").touch()
        paces, cards = options.get("paces", [1.0]), options.get("cards", [0.0])
        self.pace, self.card = paces[turn % len(paces)], cards[turn % len(cards)]
        self.result = self.folder.logs / f"source-{self.name}"
        self.result.write_bytes(bytes(options.get("bytes", 6)))

    def about(self) -> dict:
        return {"models": [], "memory": self.card, "device": NAME}

    def _obey(self, number: int) -> None:
        for what in ("lose-server", "die"):
            sign = self.folder.out / f"{what}-{number}"
            if sign.exists():
                sign.unlink()
                if what == "die":
                    raise InlineRay.exceptions.RayActorError("as told")
                raise ServerLost("as told")
        needs = self.folder.out / f"needs-{number}"
        if needs.exists() and self.card < float(needs.read_text("utf-8")):
            self._log("tried", number)
            raise ExecutionFailed("", {"exception_type": "torch.OutOfMemoryError", "exception_message": "as told"})
        if (self.folder.out / f"refuse-{number}").exists():
            self._log("tried", number)
            raise ValidationFailed("Node as told")
        if (self.folder.out / f"fail-{number}").exists():
            self._log("tried", number)
            raise ExecutionFailed("", {"exception_type": "BetwixtError", "exception_message": "as told"})

    def _log(self, what: str, number: int) -> None:
        with open(self.folder.logs / f"{what}-{self.name}", "a", encoding="utf-8") as log:
            log.write(f"{number}\n")

    def make(self, number: int) -> dict:
        self._obey(number)
        unit = self.plan.units[number - 1]
        began = time.monotonic()
        time.sleep(SECONDS * unit.size * self.pace)
        (name,) = self.plan.results_of(unit)
        digest = place_file(self.result, self.folder.path_of(name))
        manifest = {
            "unit": number,
            "graph": graph_hash(self.plan.graph_of(unit)),
            "seconds": time.monotonic() - began,
            "finished": now(),
            "device": NAME,
            "torch": "none",
            "threads": 1,
            "files": {name: {"sha256": digest, "bytes": self.result.stat().st_size}},
        }
        write_json(self.folder.manifest(number), manifest)
        self._log("made", number)
        sign = self.folder.out / f"die-after-{number}"
        if sign.exists():
            sign.unlink()
            raise InlineRay.exceptions.RayActorError("as told")
        return manifest

    def close(self) -> None:
        pass


class StubEngine:
    """Makes nothing, in no time: what is left is the driver."""

    def __init__(self, out: Path, options: Mapping):
        pass

    def about(self) -> dict:
        return {"models": [], "memory": 0.0, "device": NAME}

    def make(self, number: int) -> dict:
        return {"files": {}, "seconds": 0.0}

    def close(self) -> None:
        pass


class CardServer(FarmServer):
    """With the test nodes of :mod:`support.miniature_nodes`."""

    def _pack_folder(self, scratch: Path) -> Path:
        folder = super()._pack_folder(scratch)
        (folder / "miniature_nodes").symlink_to(ROOT / "support" / "miniature_nodes")
        self.arguments += ["--whitelist-custom-nodes", self.pack.name, "miniature_nodes"]
        return folder


class CardEngine(ServerEngine):
    """A real server that says it has a card of ``options["cards"]`` GB (in turn); 'RequireCard' believes it."""

    server = CardServer

    def __init__(self, out: Path, options: Mapping):
        super().__init__(out, options)
        turn = len(list(self.folder.logs.glob("card-*")))
        (self.folder.logs / f"card-{turn}").touch()
        self.card = options["cards"][turn]

    def _started(self) -> tuple[FarmServer, Client, Machine]:
        os.environ["SIMULATED_CARD"] = str(self.card)
        server, client, machine = super()._started()
        return server, client, replace(machine, about={**machine.about, "memory": self.card})


def made(out: Path, what: str = "made") -> list[int]:
    """The numbers of all units that were made in a farm's folder, by whomever, as often as they were; or "tried"."""
    return sorted(int(line) for log in (out / "logs").glob(f"{what}-*") for line in log.read_text("utf-8").split())


class InlineRay:
    """As much of Ray as a driver asks for, in this process: a call is carried out when its result is waited for."""

    class exceptions:  # noqa: N801  # as Ray has it
        RayError = RayActorError = type("RayError", (Exception,), {})

    def remote(self, kind: type) -> "_Maker":
        return _Maker(kind)

    def wait(self, calls: list, num_returns: int, timeout: float) -> tuple[list, list]:
        return calls[:num_returns], calls[num_returns:]

    def get(self, call: "_Call"):
        return call.function(*call.arguments)

    def put(self, value):
        return value

    def kill(self, actor) -> None:
        pass

    def cluster_resources(self) -> dict:
        return {}


class _Maker:
    """What ``ray.remote`` gives for a class."""

    def __init__(self, kind: type):
        self.kind = kind

    def options(self, **_) -> "_Maker":
        return self

    def remote(self, *arguments) -> "_Actor":
        return _Actor(self.kind(*arguments))


class _Actor:
    def __init__(self, worker: object):
        self._worker = worker

    def __getattr__(self, name: str) -> "_Method":
        return _Method(getattr(self._worker, name))


class _Method:
    def __init__(self, function: Callable):
        self.function = function

    def remote(self, *arguments) -> "_Call":
        return _Call(self.function, arguments)


class _Call:
    def __init__(self, function: Callable, arguments: tuple):
        self.function, self.arguments = function, arguments
