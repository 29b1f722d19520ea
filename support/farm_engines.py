"""Engines that stand in for ComfyUI servers in a farm: units that wait instead of computing."""

import os
import time
from collections.abc import Mapping
from pathlib import Path

from betwixt.launcher.failures import ServerLost
from betwixt.launcher.farm.folder import Folder, now, place_file, write_json
from betwixt.launcher.farm.graphs import graph_hash
from betwixt.launcher.farm.plan import read_plan

SECONDS = 0.01  # per frame of a unit's size
NAME = "sleeping"


class SleepingEngine:
    """Waits as long as a unit is large, on a machine ``options["pace"]`` times as slow (by worker, in turn).

    Files in the farm's folder steer it: ``lose-server-N``: the first try of unit N loses its server; ``die-N``: the
    first try ends the process.
    """

    def __init__(self, out: Path, options: Mapping):
        self.folder, self.plan = Folder(out), read_plan(Folder(out))
        self.folder.make()
        self.now = "waiting 1/2"
        paces = options.get("paces", [1.0])
        turn = len(list(self.folder.logs.glob("engine-*")))
        (self.folder.logs / f"engine-{os.getpid()}").write_text(str(turn))
        self.pace = paces[turn % len(paces)]

    def about(self) -> dict:
        return {"models": [], "memory": 0.0, "device": NAME}

    def make(self, number: int) -> dict:
        for what in ("lose-server", "die"):
            sign = self.folder.out / f"{what}-{number}"
            if sign.exists():
                sign.unlink()
                if what == "die":
                    os._exit(9)
                raise ServerLost("as told")
        unit = self.plan.units[number - 1]
        began = time.monotonic()
        time.sleep(SECONDS * unit.size * self.pace)
        with open(self.folder.logs / f"made-{os.getpid()}", "a", encoding="utf-8") as log:
            log.write(f"{number}\n")
        name = f"input/segments/sleep_{number:05d}.safetensors"
        source = self.folder.logs / f"source-{os.getpid()}"
        source.write_bytes(b"frames")
        file = {"sha256": place_file(source, self.folder.path_of(name)), "bytes": 6}
        source.unlink()
        manifest = {
            "unit": number,
            "graph": graph_hash(self.plan.graph_of(unit)),
            "seconds": time.monotonic() - began,
            "finished": now(),
            "device": NAME,
            "torch": "none",
            "threads": 1,
            "files": {name: file},
        }
        write_json(self.folder.manifest(number), manifest)
        return manifest

    def close(self) -> None:
        pass


def made(out: Path) -> list[int]:
    """The numbers of all units that were made in a farm's folder, by whomever, as often as they were."""
    return sorted(int(line) for log in (out / "logs").glob("made-*") for line in log.read_text("utf-8").split())
