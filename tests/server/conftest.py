"""Clients of two servers: one as users have it, and one whose stock loaders can be had in miniature."""

import pytest
from betwixt.launcher.client import Client

from support.bootstrap import ROOT, use_host


@pytest.fixture(scope="module")
def client(server):
    with Client(server.url) as client:
        yield client


@pytest.fixture(scope="session")
def sampling_base(tmp_path_factory):
    """A base directory with the miniature models' files and nodes."""
    from support.models.stand_ins import write_base

    base = write_base(tmp_path_factory.mktemp("sampling"))
    use_host()
    from support.models import tiny_ltx, tiny_svd, tiny_wan

    for family in (tiny_svd, tiny_wan, tiny_ltx):
        family.write_models(base / "models")
    (base / "custom_nodes").mkdir()
    (base / "custom_nodes" / "miniature_nodes").symlink_to(ROOT / "support" / "miniature_nodes")
    return base


@pytest.fixture(scope="session")
def sampling_server(sampling_base):
    from betwixt.launcher.host_tree import find_host
    from betwixt.launcher.server import Server

    arguments = ["--whitelist-custom-nodes", ROOT.name, "miniature_nodes", "--preview-method", "latent2rgb"]
    with Server(find_host(), sampling_base, cpu=True, threads=1, arguments=arguments) as server:
        yield server


@pytest.fixture(scope="module")
def sampling_client(sampling_server):
    with Client(sampling_server.url) as client:
        yield client
