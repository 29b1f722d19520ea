"""A client of the session's server."""

import pytest
from betwixt.launcher.client import Client


@pytest.fixture(scope="module")
def client(server):
    with Client(server.url) as client:
        yield client
