"""What a Ray actor owns: one ComfyUI server on one card, and the units made on it."""

import contextlib
import importlib
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..client import Client
from ..events import Event
from ..failures import ExecutionFailed, Failure, ServerLost
from ..graph import title
from .folder import PLAN, Folder
from .plan import read_plan
from .scratch import scratch_folder
from .servers import SCRATCH, FarmServer, farm_server
from .units import Machine, machine_of, make_unit


class ServerEngine:
    """Makes units on a ComfyUI server; started when it is first needed and again after it was lost.

    Args:
        out: the farm's folder as this machine sees it.
        options: "host", "base", "python" (texts, or None to find them here), "threads".
    """

    server = FarmServer

    def __init__(self, out: Path, options: Mapping):
        self.folder = Folder(out)
        self.folder.make()
        self.plan = read_plan(self.folder)
        self.threads = options.get("threads")
        if options.get("host") is None:
            from ..setup import prepare

            ready = prepare()
            self.host, self.base, self.python = ready.host.path, ready.base, ready.python
        else:
            self.host, self.base, self.python = Path(options["host"]), Path(options["base"]), options["python"]
        self.now = ""
        self._stack = contextlib.ExitStack()
        self._running: tuple[FarmServer, Client, Machine] | None = None

    def about(self) -> dict:
        """{"models", "memory", "device"}; starts the server."""
        _, _, machine = self._started()
        return {"models": sorted(machine.models), **{key: machine.about[key] for key in ("memory", "device")}}

    def _started(self) -> tuple[FarmServer, Client, Machine]:
        if self._running is not None and self._running[0].alive:
            return self._running
        self.close()
        log = self.folder.logs / f"worker-{socket.gethostname()}-{os.getpid()}.log"
        context = farm_server(self.folder, self.host, self.base, log, self.threads, self.python, self.server)
        server = self._stack.enter_context(context)
        client = self._stack.enter_context(Client(server.url))
        self._running = server, client, machine_of(client, self.base, self.threads)
        return self._running

    def make(self, number: int) -> dict:
        """The manifest of a unit that was made."""
        server, client, machine = self._started()
        unit = self.plan.units[number - 1]
        graph = self.plan.graph_of(unit)

        def watch(event: Event) -> None:
            if event.kind == "progress":
                self.now = f"{title(graph, event.node)} {event.value:.0f}/{event.maximum:.0f}"

        try:
            return make_unit(self.plan, unit, self.folder, client, server.results, machine, watch)
        finally:
            self.now = ""

    def close(self) -> None:
        self._running = None
        self._stack.close()


class Worker:
    """The actor. What it returns and takes is plain data.

    Args:
        engine: "module:class" of what makes units.
        out: the farm's folder on the driver's machine; plan: its plan, by which this machine tells that it sees it.
        copy: work on copies even where this machine sees the folder.
    """

    def __init__(self, engine: str, out: str, options: Mapping, plan: str, copy: bool):
        self.out, self.copies = out, copy or not sees(out, plan)
        self._maker, self._options = engine, options
        self._engine: Any = None
        self._stack = contextlib.ExitStack()

    @staticmethod
    def _write(out: str, files: Mapping[str, bytes]) -> None:
        for name, contents in files.items():
            path = Path(out) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(contents)

    def about(self, files: Mapping[str, bytes] | None = None) -> dict:
        """Start the engine.

        Args:
            files: the plan and the inputs, where copies are worked on; the answer is {"wants": "files"} without them.

        Returns:
            What the engine says of itself, or {"fault": text}.
        """
        if self.copies and files is None:
            return {"wants": "files"}
        try:
            if files is not None:
                self.out = str(self._stack.enter_context(scratch_folder(SCRATCH)))
                self._write(self.out, files)
            module, _, name = self._maker.partition(":")
            self._engine = getattr(importlib.import_module(module), name)(Path(self.out), self._options)
            self._stack.callback(self._engine.close)
            return self._engine.about()
        except Failure as error:  # as plain data: not every exception can be sent
            return {"fault": str(error)}
        except OSError as error:
            return {"fault": f"{error.filename or ''} {error.strerror or error}".strip()}

    def progress(self) -> str:
        return getattr(self._engine, "now", "")

    def make(self, number: int, files: Mapping[str, bytes]) -> dict:
        """Make a unit: {"kind": "done" | "lost" | "memory" | "failed", "text", "manifest", "files"}.

        Args:
            files: results of other units that it reads, where this machine does not see the folder.
        """
        self._write(self.out, files)
        try:
            manifest = self._engine.make(number)
        except ServerLost as error:
            return {"kind": "lost", "text": str(error)}
        except ExecutionFailed as error:
            return {
                "kind": "memory" if is_out_of_memory(error) else "failed",
                "text": str(error),
                "code": error.exit_code,
            }
        except Failure as error:
            return {"kind": "failed", "text": str(error), "code": error.exit_code}
        except OSError as error:
            text = f"{error.filename or ''} {error.strerror or error}".strip()
            return {"kind": "failed", "text": text, "code": Failure.exit_code}
        made = {}
        if self.copies:
            names = [*manifest["files"], f"units/{number:04d}.json"]
            for path in (Path(self.out) / name for name in names):
                made[path.relative_to(self.out).as_posix()] = path.read_bytes()
                path.unlink()  # they are the driver's now
        return {"kind": "done", "manifest": manifest, "files": made}

    def close(self) -> None:
        self._stack.close()


def is_out_of_memory(error: ExecutionFailed) -> bool:
    """Whether the host means that the card's memory did not suffice (``comfy.model_management.is_oom``)."""
    told = "out of memory" in error.message.lower()
    return error.exception_type == "OutOfMemoryError" or (error.exception_type == "AcceleratorError" and told)


def sees(out: str, plan: str) -> bool:
    """Whether this machine sees the farm's folder with that plan."""
    try:
        return (Path(out) / PLAN).read_text("utf-8") == plan
    except OSError:
        return False
