"""``betwixt.py doctor``: what is installed, what is missing, where model files go. Changes nothing."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from ..common.card_choices import GIB, choices
from ..common.files.published_files import MODEL_FOLDERS, PUBLISHED_FILES, PublishedFile
from .console import say
from .failures import SetupFailed
from .folders import OWN_BASE, PACK, cache_folder
from .graph import read_workflow
from .host_names import missing_names
from .host_tree import RELEASES, VERSION, Host, locate_host, tree_version
from .server import has_accelerator
from .setup import base_directory, builds_environments, installation_python, own_environment

SHOWN = ("torch", "torchvision", "torchaudio", "numpy", "kornia", "opencv-python-headless", "numba", "onnxruntime")
MODEL_SUFFIX = re.compile(r"^[^/\n:]+(/[^/\n:]+)*\.(safetensors|sft|ckpt|pth|pt|bin|onnx|gguf)$")
# Name and bytes of the accelerator that ComfyUI takes first.
PROBE_CARD = """
import torch
if torch.cuda.is_available():
    found = torch.cuda.get_device_properties(0)
elif hasattr(torch, "xpu") and torch.xpu.is_available():
    found = torch.xpu.get_device_properties(0)
else:
    raise SystemExit(3)
print(found.name, found.total_memory, sep="\\t")
"""
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
    """The command. ``args``: base, workflow, host (each or None). Returns the exit code: 1 if a set-up is needed, or
    if the ComfyUI in ``host`` lacks something."""
    if args.host is not None:
        return _report_names(args.host)
    say(f"Betwixt in {PACK}")
    _row("Python", f"{sys.version.split()[0]}, {sys.executable}")
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
        _report_device(python)
    if (PACK / "tests").is_dir():
        from .browser import find_browser

        _row("Browser", find_browser() or "none found; the frontend tests need Chromium")
    base = args.base or (base_directory(host) if host is not None else OWN_BASE)
    folders = _model_folders(host, base, python)
    if args.workflow is not None:
        _report_workflow(args.workflow, folders)
    else:
        _report_models(base, folders)
        _report_ready(folders)
    if not healthy:
        say("Not set up yet, or only in part: any command except doctor installs what is missing.")
    return 0 if healthy else 1


def _report_names(host: Path) -> int:
    """Print what a ComfyUI lacks of what the pack uses; nothing of it is run."""
    missing, count = missing_names(host)
    tested = ", ".join(release.version for release in RELEASES)
    say(f"ComfyUI {tree_version(host)} in {host}: {count} of its names are used, {len(missing)} are not as needed.")
    for fault in missing:
        say(f"  {fault}")
    say(f"The pack is tested with {tested}. This is a look at the sources: methods of objects are not in it.")
    return 1 if missing else 0


def _row(name: str, value: str) -> None:
    say(f"{name + ':':<16}{value}")


def _report_device(python: str) -> None:
    """Print what computes, and what a card should choose."""
    if not has_accelerator(python):
        _row("Computes on", "the CPU")
        return
    answer = subprocess.run([python, "-c", PROBE_CARD], capture_output=True, text=True, check=False)
    if answer.returncode != 0 or not answer.stdout.strip():  # Metal shares the system's memory
        _row("Computes on", "the accelerator")
        return
    name, size = answer.stdout.strip().splitlines()[-1].split("\t")
    report_card(name, int(size))


def report_card(name: str, size: int) -> None:
    """Print a card of ``size`` bytes and what it should choose for every system."""
    _row("Computes on", f"{name}, {size / GIB:.1f} GiB")
    say("This card should choose (computed; the host keeps to guidance and weights by itself):")
    for choice in choices(size):
        say(f"  {choice}")


def _report_environment(host: Host | None) -> tuple[bool, str | None]:
    """Print the packages; returns whether commands can start at once, and the interpreter they use."""
    if host is not None and host.origin != "cache" and (python := installation_python(host.path)):
        _row("Packages", f"those of the installation's own Python, {python}")
        return True, python
    if not builds_environments():
        _row("Packages", "no ComfyUI with a Python of its own was found, and this copy makes no environment")
        return False, None
    environment = own_environment()
    installed = environment.installed()
    ready = {tests: host is not None and environment.complete(host, tests) for tests in (False, True)}
    state = ", ".join(
        f"{'complete' if ready[tests] else 'not complete'} for {purpose}"
        for tests, purpose in ((False, "demo, run, serve"), (True, "test"))
    )
    _row("Environment", f"{environment.folder} ({state})")
    _row("Packages", ", ".join(f"{name} {installed[name]}" for name in SHOWN if name in installed) or "none")
    return ready[False], environment.python if ready[False] else None


def _model_folders(host: Host | None, base: Path, python: str | None) -> dict[str, list[Path]]:
    """Model folder name -> where ComfyUI looks for its files."""
    folders = {name: [base / "models" / name] for name in MODEL_FOLDERS}
    if host is not None and python and (host.path / "extra_model_paths.yaml").exists():
        command = [python, "-c", EXTRA_PATHS, str(host.path), *MODEL_FOLDERS]
        answer = subprocess.run(command, capture_output=True, text=True, check=False, cwd=host.path)
        for name, paths in (json.loads(answer.stdout) if answer.returncode == 0 else {}).items():
            folders[name] += [Path(path) for path in paths]
    return folders


def _find(file: PublishedFile, folders: dict[str, list[Path]]) -> Path | None:
    return next((folder / file.name for folder in folders[file.folder] if (folder / file.name).is_file()), None)


def _report_file(file: PublishedFile, folders: dict[str, list[Path]]) -> None:
    """Print where a published file is, or where it goes and where to get it."""
    if found := _find(file, folders):
        say(f"  found    {found} ({found.stat().st_size / 1e6:.1f} MB)")
        return
    say(f"  missing  {file.folder}/{file.name} ({file.size})")
    say(f"           {file.purpose}")
    say(f"           from {file.source}; licence: {file.licence}")
    if file.url:
        say(f"           {file.url}")
    if file.instead:
        say(f"           instead: {file.instead}")


def _report_models(base: Path, folders: dict[str, list[Path]]) -> None:
    say(f"Model files (all are optional), in {base / 'models'}:")
    for file in PUBLISHED_FILES:
        _report_file(file, folders)


def _report_ready(folders: dict[str, list[Path]]) -> None:
    """Print the pack's workflows whose model files are all there."""
    workflows = sorted((PACK / "workflows" / "api").glob("*.json"))
    ready = [path.stem for path in workflows if all(_find(file, folders) for file in needs_of(path)[0])]
    say(f"Ready to run: {len(ready)} of {len(workflows)} workflows (doctor --workflow FILE says what one needs):")
    for name in ready:
        say(f"  {name}")


def _report_workflow(path: Path, folders: dict[str, list[Path]]) -> None:
    files, others = needs_of(path)
    say(f"{path.name} needs these model files:" if files or others else f"{path.name} needs no model file")
    for file in files:
        _report_file(file, folders)
    for name in others:
        say(f"  other    {name}: not one of the files this pack knows; ask where the workflow is from")
    missing = [file for file in files if not _find(file, folders)]
    if not others:
        say("It is ready to run." if not missing else f"{len(missing)} of {len(files)} are missing.")


def needs_of(path: Path) -> tuple[list[PublishedFile], list[str]]:
    """(published files, other model files) that a workflow names, in API or in the interface's format.

    Raises:
        UsageMistake: not a readable workflow.
    """
    values = set(_texts(read_workflow(path)))
    files = [file for file in PUBLISHED_FILES if file.name in values]
    known = {file.name for file in PUBLISHED_FILES}
    return files, sorted(value for value in values - known if MODEL_SUFFIX.search(value))


def _texts(value) -> Iterator[str]:
    """Every text in nested JSON, wherever it stands: widgets of subgraphs as well as inputs of an API graph."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict | list):
            waiting.extend(value.values() if isinstance(value, dict) else value)
