"""Shared by all tests: the pack as package ``betwixt``, one thread wherever floats are compared."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from support.bootstrap import use_host, use_pack  # noqa: E402

use_pack()
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def host():
    """ComfyUI importable in this process; returns its folder."""
    return use_host()


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A real ComfyUI with this pack, the demo's pictures as inputs, and stand-ins for the published model files."""
    from betwixt.betwixt import find_host
    from betwixt.launcher.server import Server

    from support.models.stand_ins import write_base

    with Server(find_host(), write_base(tmp_path_factory.mktemp("comfyui")), cpu=True, threads=1) as server:
        yield server
