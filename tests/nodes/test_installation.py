"""Two copies of the pack, and a folder name that cannot stand in an address, are told in the log."""

import asyncio
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest


@pytest.fixture
def installation(host):
    from betwixt.nodes.host.services import installation

    return installation


def copy_in(folder: str) -> dict:
    return {"BetwixtMatchLines": SimpleNamespace(RELATIVE_PYTHON_MODULE=f"custom_nodes.{folder}")}


@pytest.mark.parametrize("folder", ["ComfyUI-Betwixt", "betwixt", "betwixt@1.0.0", "Betwixt_(copy)"])
def test_nothing_is_said_of_an_ordinary_installation(installation, caplog, folder):
    for registered in ({}, copy_in(folder), {"BetwixtMatchLines": object}):
        assert installation.warn_of_odd_installation(registered, Path("/ein Ordner 新") / folder) == []
    assert not caplog.records


def test_a_second_copy_is_named_with_its_folder(installation, caplog):
    (told,) = installation.warn_of_odd_installation(copy_in("betwixt"), Path("/nodes/ComfyUI-Betwixt"))
    assert "installed twice, as 'betwixt' and as 'ComfyUI-Betwixt'" in told and "Remove one" in told
    assert [record.getMessage() for record in caplog.records] == [f"Betwixt: {told}"]


@pytest.mark.parametrize("folder", ["Comfy UI Betwixt", "Betwixt新", "Betwixt%20"])
def test_a_folder_name_that_changes_in_an_address_is_told(installation, folder):
    (told,) = installation.warn_of_odd_installation({}, Path("/nodes") / folder)
    assert f"'{folder}'" in told and "Rename it to 'ComfyUI-Betwixt'" in told


def test_the_extension_looks_at_what_the_host_has_registered(host, monkeypatch, caplog, tmp_path):
    import folder_paths
    from betwixt.nodes.extension import comfy_entrypoint

    monkeypatch.setitem(sys.modules, "nodes", SimpleNamespace(NODE_CLASS_MAPPINGS=copy_in("another")))
    monkeypatch.setattr(folder_paths, "get_input_directory", lambda: str(tmp_path))

    async def load():
        await (await comfy_entrypoint()).on_load()

    asyncio.run(load())
    assert any("installed twice, as 'another'" in record.getMessage() for record in caplog.records)
