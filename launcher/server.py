"""A real ComfyUI server with this pack and no other, on the loopback address."""

import importlib.metadata
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..common.files.published_files import MODEL_FOLDERS
from .failures import ServerLost, UsageMistake
from .folders import PACK, TIED

HOST_ADDRESS = "127.0.0.1"
PORT_ATTEMPTS = 3  # a free port can be taken by another process before the server binds it
STOP_SECONDS = 10
PROBE_ACCELERATOR = """
import torch
usable = torch.cuda.is_available() or torch.backends.mps.is_available()
usable = usable or (hasattr(torch, "xpu") and torch.xpu.is_available())
raise SystemExit(0 if usable else 3)
"""


def port_is_free(port: int) -> bool:
    """Whether a server could listen on the port of the loopback address."""
    with socket.socket() as probe:
        if os.name != "nt":  # there the option would allow binding a port that is in use
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST_ADDRESS, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port of the loopback address that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind((HOST_ADDRESS, 0))
        return probe.getsockname()[1]


def require_free_port(port: int) -> None:
    """Raise ``UsageMistake`` if somebody listens on the port already."""
    if not port_is_free(port):
        raise UsageMistake(
            f"Port {port} on {HOST_ADDRESS} is in use, perhaps by another ComfyUI. "
            f"Stop that program or choose another port, e.g. --port {free_port()}."
        )


def has_accelerator(python: str = sys.executable) -> bool:
    """Whether the PyTorch of ``python`` can compute on a CUDA, Metal or XPU device of this machine."""
    if python == sys.executable and importlib.metadata.version("torch").endswith("+cpu"):
        return False  # told without seconds of importing it
    return subprocess.run([python, "-c", PROBE_ACCELERATOR], capture_output=True, check=False).returncode == 0


class Server:
    """Context manager around one ComfyUI process.

    Args:
        host: ComfyUI's source tree.
        base: ComfyUI's base directory (models, input, output, temp, user); default: a temporary one.
        models: further ``models`` directories; their subfolders are searched first, each under its own name.
        port: 0 for any free port; a given port that is in use is a ``UsageMistake``.
        cpu: force the CPU (True), use the accelerator (False), or use it if there is a working one (None).
        threads: OMP_NUM_THREADS of the process; 1 makes float results repeatable.
        log: file for everything the server prints; default: ``server.log`` in a temporary folder. It outlives ``stop``
            only when given.
        python: interpreter that has ComfyUI's requirements.
        arguments: further command-line arguments of ComfyUI, e.g. ``["--preview-method", "latent2rgb"]``.
        templates: folder that holds a package in place of the host's own workflow templates (see ``starters``).
        throwaway: keep the server's database in memory instead of in the base directory.
        ready_timeout: seconds until the server must answer.
        pack: another copy of this pack than the running one.
        scratch: where its temporary folder is made; default: the folder for temporary files.

    Attributes:
        url: address without trailing slash, e.g. "http://127.0.0.1:40123".
        base, log: the folders and files in use.
        ready_seconds: how long the start took.
    """

    def __init__(
        self,
        host: Path,
        base: Path | None = None,
        *,
        models: Iterable[Path] = (),
        port: int = 0,
        cpu: bool | None = None,
        threads: int | None = None,
        log: Path | None = None,
        python: str = sys.executable,
        arguments: Sequence[str] = (),
        templates: Path | None = None,
        throwaway: bool = True,
        ready_timeout: float = 180,
        pack: Path = PACK,
        scratch: Path | None = None,
    ):
        self.host, self.python = Path(host), python
        self.models, self.arguments, self.throwaway = list(models), list(arguments), throwaway
        self.templates, self.pack = templates, Path(pack)
        self.cpu, self.threads, self.ready_timeout = cpu, threads, ready_timeout
        self._wanted_port, self._wanted_base, self._wanted_log = port, base, log
        self._process: subprocess.Popen | None = None
        self._scratch_place = scratch
        self._scratch: Path | None = None
        self._custom_nodes = self.pack.parent
        self.url, self.ready_seconds = "", 0.0

    def __enter__(self) -> "Server":
        return self.start()

    def __exit__(self, *_) -> None:
        self.stop()

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def ended(self, within: float) -> bool:
        """Whether the process ends by itself within so many seconds."""
        if self._process is None:
            return True
        try:
            self._process.wait(within)
        except subprocess.TimeoutExpired:
            return False
        return True

    @property
    def process_id(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self) -> "Server":
        """Start and wait until the server answers.

        Raises:
            UsageMistake: the wanted port is in use.
            ServerLost: the process died or did not answer in time; the text holds the log's tail.
        """
        if self._wanted_port:
            require_free_port(self._wanted_port)
        self._scratch = scratch = Path(tempfile.mkdtemp(prefix="betwixt-", dir=self._scratch_place))
        self.base = Path(self._wanted_base or scratch / "base").resolve()
        self.log = Path(self._wanted_log or scratch / "server.log").resolve()
        for folder in ("models", "custom_nodes", "input", "output", "temp", "user"):
            (self.base / folder).mkdir(parents=True, exist_ok=True)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        try:
            if self.cpu is None:
                self.cpu = not has_accelerator(self.python)
            for attempt in range(PORT_ATTEMPTS):
                try:
                    process = self._launch(self._wanted_port or free_port(), scratch)
                    self._wait_until_ready(process)
                    break
                except ServerLost:
                    taken = re.search(r"address already in use|Errno (98|48|10048)", self.tail(), re.IGNORECASE)
                    if self._wanted_port or not taken or attempt == PORT_ATTEMPTS - 1:
                        raise
            self.import_seconds()
        except BaseException:
            self.stop()
            raise
        self.ready_seconds = time.monotonic() - began
        return self

    def _launch(self, port: int, scratch: Path) -> subprocess.Popen:
        self.url = f"http://{HOST_ADDRESS}:{port}"
        # Tied: it must not outlive this process, even when that is killed and cannot stop it.
        command = [self.python, str(TIED), str(self.host / "main.py"), "--listen", HOST_ADDRESS, "--port", str(port)]
        self._custom_nodes = self._pack_folder(scratch)
        paths = self._write_search_paths(scratch)
        command += ["--base-directory", str(self.base), "--extra-model-paths-config", str(paths)]
        command += ["--disable-all-custom-nodes", f"--whitelist-custom-nodes={self.pack.name}"]
        command += ["--disable-auto-launch", "--disable-api-nodes", "--max-upload-size", "4096"]
        command += ["--cpu"] if self.cpu else []
        database = ":memory:" if self.throwaway else str(self.base / "user" / "comfyui.db")  # never in the host's tree
        command += ["--database-url", f"sqlite:///{database}"]
        environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
        environment["PYTHONUNBUFFERED"] = "1"
        if self.templates is not None:
            environment["PYTHONPATH"] = str(self.templates)
        if self.threads is not None:
            environment["OMP_NUM_THREADS"] = str(self.threads)
        # An own process group: Ctrl-C in the terminal must reach the client, which interrupts the prompt first.
        group: dict = {"start_new_session": True}
        if sys.platform == "win32":
            group = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        with open(self.log, "wb") as log:
            self._process = subprocess.Popen(
                command + self.arguments,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.base,
                env=environment,
                **group,
            )
        return self._process

    def _pack_folder(self, scratch: Path) -> Path:
        """A custom-nodes folder with nothing but this pack: the host would list the workflows of its neighbours too.

        The folder it lies in where no link can be made, or where the host reads that folder anyway.
        """
        if self.pack.parent == self.base / "custom_nodes":
            return self.pack.parent
        folder = scratch / "custom_nodes"
        try:
            folder.mkdir(exist_ok=True)
            if not (folder / self.pack.name).exists():
                (folder / self.pack.name).symlink_to(self.pack, target_is_directory=True)
        except OSError:
            return self.pack.parent
        return folder

    def _write_search_paths(self, scratch: Path) -> Path:
        """The configuration that makes the host load this checkout and see the given model folders."""
        folders: dict[str, list[str]] = {"custom_nodes": [str(self._custom_nodes)]}
        for directory in map(Path, self.models):
            present = [path.name for path in directory.iterdir() if path.is_dir()] if directory.is_dir() else []
            for name in sorted({*present, *MODEL_FOLDERS}):  # the pack's own ones too, for errors that name the place
                folders.setdefault(name, []).append(str(directory.resolve() / name))
        path = scratch / "search_paths.yaml"
        # JSON is YAML, and its quoting is safe for any file name.
        path.write_text(json.dumps({"betwixt": {name: "\n".join(paths) for name, paths in folders.items()}}), "utf-8")
        return path

    def _wait_until_ready(self, process: subprocess.Popen) -> None:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        deadline = time.monotonic() + self.ready_timeout
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise ServerLost(
                    f"ComfyUI stopped while starting (exit status {process.returncode}).{self._log_note()}"
                )
            try:
                with opener.open(self.url + "/system_stats", timeout=5) as answer:
                    if answer.status == 200:
                        return
            except (OSError, urllib.error.URLError):
                time.sleep(0.1)
        raise ServerLost(f"ComfyUI did not answer within {self.ready_timeout:.0f} s.{self._log_note()}")

    def tail(self, lines: int = 25) -> str:
        """The last lines of the log."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text("utf-8", errors="replace").splitlines()[-lines:])

    def import_seconds(self) -> float:
        """How long the host needed to import the pack, as its log says.

        Raises:
            ServerLost: the pack could not be imported; the text holds the log's tail.
        """
        text = self.log.read_text("utf-8", errors="replace")
        places = "|".join(re.escape(str(place)) for place in (self.pack, self._custom_nodes / self.pack.name))
        found = re.search(rf"([\d.]+) seconds( \(IMPORT FAILED\))?: ({places})\s*$", text, re.MULTILINE)
        if found is None or found.group(2):
            raise ServerLost(f"ComfyUI started but could not load the pack.{self._log_note(60)}")
        return float(found.group(1))

    def _log_note(self, lines: int = 25) -> str:
        return f" The end of its log:\n{self.tail(lines)}"

    def stop(self) -> None:
        """End the process and remove what was temporary. Safe to call twice."""
        process = self._process
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process is not None and process.stdin is not None:
            process.stdin.close()
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch = None
