"""Makes the pack importable as ``betwixt`` and, where a test needs it, ComfyUI importable in this process.

The repository root must not stay on ``sys.path``: its ``nodes`` folder would hide ComfyUI's module of that name.
"""

import sys
import types
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def use_pack() -> None:
    """Register the repository as package ``betwixt`` without running its ``__init__``; pin ``tests`` and ``tools``."""
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT]
    folders = {"betwixt": ROOT, **{name: ROOT / name for name in ("support", "tests", "tools")}}
    for name, folder in folders.items():  # ComfyUI has a "tests" as well
        package = sys.modules.setdefault(name, types.ModuleType(name))
        package.__path__ = [str(folder)]


def use_host(base_directory: str | None = None, cpu: bool = True) -> Path:
    """Put the ComfyUI tree first on ``sys.path`` and set it up, before anything imports ``comfy``.

    Returns the tree's folder. ``base_directory``: where models, input and output live (default: the tree's own);
    ``cpu``: compute there even where the host would find an accelerator.
    """
    use_pack()
    from betwixt.betwixt import find_host

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
