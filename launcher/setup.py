"""Makes ready what a command needs: a ComfyUI tree and a Python that can run it. Quick when all is there."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .console import say
from .failures import SetupFailed
from .folders import ENVIRONMENT, OWN_BASE, PACK, PACK_REQUIREMENTS, cache_folder, only_one
from .host_tree import Host, fetch_host, locate_host

HAS_HOST_PACKAGES = (
    "import importlib.util as u; raise SystemExit(not all(u.find_spec(n) for n in ('torch', 'aiohttp')))"
)
MODULE_NAMES = {"opencv-python-headless": "cv2"}  # where it differs from the package's


@dataclass(frozen=True)
class Ready:
    """A ComfyUI tree, the interpreter to run it with, and the base directory whose models are used."""

    host: Host
    python: str
    base: Path


def prepare(tests: bool = False) -> Ready:
    """Find or make everything; says what it does, and nothing when there is nothing to do.

    Args:
        tests: also install the test requirements; always into the checkout's own environment.

    Raises:
        SetupFailed: names the step and the remedy.
    """
    host = locate_host()
    if host is not None and host.origin != "cache" and not tests:
        python = installation_python(host.path)
        if python is not None:
            require_pack_modules(python)
            return Ready(host, python, host.path)
    environment = own_environment()
    if host is None or not environment.complete(host, tests):
        host = set_up(environment, host, tests)
    return Ready(host, environment.python, base_directory(host))


def builds_environments() -> bool:
    """Whether this copy can make an environment of its own; the registry's archive comes without what that takes."""
    return (PACK / "launcher" / "environment.py").is_file()


def own_environment():
    """The checkout's environment, made or not.

    Raises:
        SetupFailed: this copy makes none and no installation was found.
    """
    if not builds_environments():
        raise SetupFailed(
            "Find ComfyUI's Python",
            "this copy of Betwixt came from the registry and sets up no environment of its own.",
            "Start it from ComfyUI's custom_nodes folder with ComfyUI's own Python, name that ComfyUI in COMFYUI_PATH, "
            "or use the git repository.",
        )
    from .environment import Environment
    from .torch_build import nvidia_driver

    return Environment(ENVIRONMENT, nvidia_driver())


def set_up(environment, host: Host | None, tests: bool) -> Host:
    """Go through all steps; each one keeps what an earlier, perhaps interrupted, set-up left complete."""
    waiting = "Another set-up is running; waiting for it to finish ..."
    with only_one(cache_folder() / "setup.lock", waiting):
        host = host or locate_host()
        if host is not None and environment.complete(host, tests):
            return host
        say("Setting up (only missing parts are installed):")
        environment.make()
        environment.drop_half_installed()
        host = host or fetch_host(environment.pip)
        environment.install_torch()
        environment.install_requirements(host, tests)
        environment.repair_and_check()
        environment.compile_kernels()
        environment.finish(host, tests)
        say(f"Ready: ComfyUI {host.version} in {host.path}, Python environment in {environment.folder}")
    return host


def base_directory(host: Host) -> Path:
    """Where models, input, output and user files are: the user's installation, or a folder of this checkout."""
    return OWN_BASE if host.origin == "cache" else host.path


def installation_python(host: Path) -> str | None:
    """The interpreter of a ComfyUI installation, or None if it cannot be told."""
    return next((python for python in _candidates(host) if _quietly(python, HAS_HOST_PACKAGES)), None)


def _candidates(host: Path) -> Iterator[str]:
    for parent in (host, host.parent):
        for name in ("venv", ".venv", "python_embeded", "python_embedded"):
            for inside in ("bin/python", "Scripts/python.exe", "python.exe"):
                if (parent / name / inside).exists():
                    yield str(parent / name / inside)
    if Path(sys.prefix).resolve() != ENVIRONMENT.resolve():
        yield sys.executable
    active = os.environ.get("CONDA_PREFIX") or os.environ.get("VIRTUAL_ENV")
    if active and (
        python := shutil.which("python", path=os.pathsep.join((f"{active}/bin", f"{active}/Scripts", active)))
    ):
        yield python


def _quietly(python: str, code: str) -> bool:
    try:
        return subprocess.run([python, "-c", code], capture_output=True, check=False, cwd="/").returncode == 0
    except OSError:
        return False


def pack_modules() -> dict[str, str]:
    """Module -> the package of requirements.txt that brings it; another package with that module will do."""
    lines = PACK_REQUIREMENTS.read_text("utf-8").splitlines()
    packages = [re.split(r"[^\w.-]", line)[0] for line in lines if line[:1].isalpha()]
    return {MODULE_NAMES.get(package, package): package for package in packages}


def require_pack_modules(python: str) -> None:
    """Refuse an installation that lacks a requirement of the pack; it is the user's to change."""
    code = "import importlib.util as u, sys; print(*(n for n in sys.argv[1:] if u.find_spec(n) is None))"
    modules = pack_modules()
    answer = subprocess.run([python, "-c", code, *modules], capture_output=True, text=True, check=True)
    missing = [modules[module] for module in answer.stdout.split()]
    if missing:
        raise SetupFailed(
            "Check ComfyUI's Python",
            f"{python} lacks {', '.join(missing)}, which the pack requires. Nothing was changed.",
            f"Install the pack's requirements there: '{python} -m pip install -r {PACK_REQUIREMENTS}' "
            "(and, for speed on the CPU, numba).",
        )
