"""Makes ComfyUI importable beside the pack and what tests, tools and benchmarks share.

``import betwixt``, with the checkout on ``sys.path``, runs betwixt.py, which makes itself the package of that name.
Beside ComfyUI the checkout must not stay on ``sys.path``, where its ``nodes`` would hide ComfyUI's module ``nodes``.
"""

import importlib
import sys
from pathlib import Path

import betwixt

ROOT = Path(betwixt.__file__).resolve().parent
FOLDERS = ("support", "tests", "tools")  # ComfyUI has a "tests" as well


def leave_path() -> None:
    """Take the checkout from ``sys.path``; the pack and :data:`FOLDERS` stay importable."""
    for name in FOLDERS:
        if (ROOT / name).is_dir():
            importlib.import_module(name).__path__ = [str(ROOT / name)]
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT]


def use_host(base_directory: str | None = None, cpu: bool = True) -> Path:
    """Put the ComfyUI tree first on ``sys.path`` and set it up, before anything imports ``comfy``.

    Returns the tree's folder. ``base_directory``: where models, input and output live (default: the tree's own);
    ``cpu``: compute there even where the host would find an accelerator.
    """
    from betwixt.launcher.host_tree import find_host

    leave_path()
    host = find_host()
    if host is None:
        raise RuntimeError("No ComfyUI found: run 'python3 betwixt.py doctor' for what is missing.")
    if str(host) not in sys.path:
        sys.path.insert(0, str(host))
        from comfy.cli_args import args

        args.cpu = cpu
        args.use_pytorch_cross_attention = True
        if base_directory is not None:
            args.base_directory = base_directory
    return host
