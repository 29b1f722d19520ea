"""An empty ComfyUI whose custom_nodes holds a copy of the pack, as somebody has who installed it a minute ago."""

import shutil
from pathlib import Path

from betwixt.launcher.host_tree import find_host
from betwixt.launcher.server import Server

from support.bootstrap import ROOT

CLONE = "ComfyUI-Betwixt"  # the folder that README's "git clone" makes
NOT_CLONED = (".*", "__pycache__", "comfyui")


def copy_pack(base: Path, name: str = CLONE) -> Path:
    """Put what a clone holds into ``base/custom_nodes/NAME``; returns that folder."""
    target = base.resolve() / "custom_nodes" / name
    shutil.copytree(ROOT, target, ignore=shutil.ignore_patterns(*NOT_CLONED))
    return target


def fresh_host(base: Path, *, host: Path | None = None, name: str = CLONE, **settings) -> Server:
    """A server, not yet started, on the empty folder ``base`` with a copy of the pack and nothing else.

    Args:
        host: ComfyUI's tree; default: the one that is found.
        name: of the pack's folder.
        settings: further arguments of ``Server``.
    """
    return Server(host or find_host(), base, pack=copy_pack(base, name), cpu=True, **settings)
