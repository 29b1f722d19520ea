"""The pack and its tests, importable in the test server."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def use_pack() -> None:
    """Make ``betwixt`` and ``tests`` importable here; ComfyUI's own folder ``tests`` comes first otherwise."""
    spec = importlib.util.spec_from_file_location("betwixt_tests_bootstrap", ROOT / "support" / "bootstrap.py")
    bootstrap = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bootstrap)
    bootstrap.use_pack()
