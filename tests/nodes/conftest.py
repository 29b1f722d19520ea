"""The pack's nodes, collected in this process."""

import pytest

from tools import schemas


@pytest.fixture(scope="session")
def pack_nodes(host):
    """All node classes of all families."""
    nodes = schemas.pack_nodes()
    assert nodes
    return nodes
