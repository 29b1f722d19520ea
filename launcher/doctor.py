"""``betwixt.py doctor``: what is installed, what is missing, where model files go. Changes nothing."""

import json
import subprocess
import sys
from pathlib import Path

from ..common.files.published_files import MODEL_FOLDERS, PUBLISHED_FILES
from .browser import find_browser
from .console import say
from .environment import Environment
from .failures import SetupFailed
from .folders import ENVIRONMENT, PACK, cache_folder
from .host_tree import VERSION, Host, locate_host
from .server import has_accelerator
from .setup import base_directory, installation_python
from .torch_build import nvidia_driver

SHOWN = ("torch", "torchvision", "torchaudio", "numpy", "kornia", "opencv-python-headless", "numba", "onnxruntime")
# ComfyUI's own reading of the model folders that the user added in extra_model_paths.yaml.
EXTRA_PATHS = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
import folder_paths
from utils.extra_config import load_extra_path_config
load_extra_path_config(os.path.join(sys.argv[1], "extra_model_paths.yaml"))
print(json.dumps({name: list(folder_paths.folder_names_and_paths.get(name, ([],))[0]) for name in sys.argv[2:]}))
"""


def doctor(args) -> int:
    """The command. ``args``: base (or None). Returns the exit code: 1 if a set-up is needed."""
    say(f"Betwixt in {PACK}")
    _row("Python", f"{sys.version.split()[0]}, {sys.executable}")
    _row("NVIDIA driver", "present" if nvidia_driver() else "none found")
    try:
        host = locate_host()
    except SetupFailed as failure:
        _row("ComfyUI", str(failure))
        return 1
    if host is None:
        _row("ComfyUI", f"none yet; {VERSION} will be fetched into {cache_folder()}")
    else:
        _row("ComfyUI", f"{host.version} in {host.path} (found by: {host.origin})")
    healthy, python = _report_environment(host)
    if python:
        _row("Computes on", "the accelerator" if has_accelerator(python) else "the CPU")
    _row("Browser", find_browser() or "none found; the frontend tests need Chromium")
    if host is not None:
        _report_models(host, args.base or base_directory(host), python)
    if not healthy:
        say("Not set up yet, or only in part: any command except doctor installs what is missing.")
    return 0 if healthy else 1


def _row(name: str, value: str) -> None:
    say(f"{name + ':':<16}{value}")


def _report_environment(host: Host | None) -> tuple[bool, str | None]:
    """Print the packages; returns whether commands can start at once, and the interpreter they use."""
    if host is not None and host.origin != "cache" and (python := installation_python(host.path)):
        _row("Packages", f"those of the installation's own Python, {python}")
        return True, python
    environment = Environment(ENVIRONMENT, nvidia_driver())
    installed = environment.installed()
    ready = {tests: host is not None and environment.complete(host, tests) for tests in (False, True)}
    state = ", ".join(
        f"{'complete' if ready[tests] else 'not complete'} for {purpose}"
        for tests, purpose in ((False, "demo, run, serve"), (True, "test"))
    )
    _row("Environment", f"{ENVIRONMENT} ({state})")
    _row("Packages", ", ".join(f"{name} {installed[name]}" for name in SHOWN if name in installed) or "none")
    return ready[False], environment.python if ready[False] else None


def _report_models(host: Host, base: Path, python: str | None) -> None:
    """Print for each published file where it is, or where it goes and where to get it."""
    folders = {name: [base / "models" / name] for name in MODEL_FOLDERS}
    if python and (host.path / "extra_model_paths.yaml").exists():
        command = [python, "-c", EXTRA_PATHS, str(host.path), *MODEL_FOLDERS]
        answer = subprocess.run(command, capture_output=True, text=True, check=False, cwd=host.path)
        for name, paths in (json.loads(answer.stdout) if answer.returncode == 0 else {}).items():
            folders[name] += [Path(path) for path in paths]
    say(f"Model files (all are optional), in {base / 'models'}:")
    for file in PUBLISHED_FILES:
        found = next((folder / file.name for folder in folders[file.folder] if (folder / file.name).is_file()), None)
        if found:
            say(f"  found    {found} ({found.stat().st_size / 1e6:.1f} MB)")
        else:
            say(f"  missing  {file.folder}/{file.name} ({file.size})")
            say(f"           {file.purpose}")
            say(f"           from {file.source}; licence: {file.licence}")
