"""Shared by all tests: the pack as package ``betwixt``, one thread wherever floats are compared."""

import pytest
import torch

from support.bootstrap import leave_path, use_host

leave_path()
torch.set_num_threads(1)


def pytest_collection_modifyitems(items):
    """Servers and browsers first: their files take longest, and each is one worker's alone."""
    items.sort(key=lambda item: not any(item.get_closest_marker(name) for name in ("server", "frontend")))


@pytest.fixture(scope="session")
def host():
    """ComfyUI importable in this process; returns its folder."""
    return use_host()


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A real ComfyUI with this pack, the demo's pictures as inputs, and stand-ins for the published model files."""
    from betwixt.launcher.host_tree import find_host
    from betwixt.launcher.server import Server

    from support.models.stand_ins import write_base

    with Server(find_host(), write_base(tmp_path_factory.mktemp("comfyui")), cpu=True, threads=1) as server:
        yield server
