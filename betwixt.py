"""Launcher."""

import os
from pathlib import Path


def find_host():
    path = Path(os.environ.get("COMFYUI_PATH", Path.home() / ".cache/comfyui-betwixt/ComfyUI-0.30.0"))
    return path if (path / "comfyui_version.py").exists() else None
