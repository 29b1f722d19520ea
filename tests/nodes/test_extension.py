"""One family that cannot be loaded must not take the others away."""

import asyncio
import sys
import types

import pytest


@pytest.fixture
def extension(host, monkeypatch):
    from betwixt.nodes import extension
    from comfy_api.latest import io

    class Sound(io.ComfyNode):
        @classmethod
        def define_schema(cls):
            return io.Schema(node_id="BetwixtSound", category="Betwixt/test")

        @classmethod
        def execute(cls):
            return io.NodeOutput()

    class Broken(Sound):
        @classmethod
        def define_schema(cls):
            raise AttributeError("this ComfyUI has no such input")

    for name, nodes in (("sound", [Sound]), ("broken", [Sound, Broken])):
        module = types.ModuleType(f"betwixt.nodes.{name}")
        module.NODES = nodes
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return extension


def ids(extension):
    return [node.GET_SCHEMA().node_id for node in asyncio.run(extension.BetwixtExtension().get_node_list())]


@pytest.mark.parametrize("families", [("broken", "sound"), ("not_there", "sound"), ("sound", "broken")])
def test_the_other_families_stay(extension, monkeypatch, caplog, families):
    monkeypatch.setattr(extension, "FAMILIES", families)
    assert ids(extension) == ["BetwixtSound"]
    assert "are not available" in caplog.text and "Update ComfyUI" in caplog.text


def test_every_family_of_the_pack_loads(host, caplog):
    from betwixt.nodes import extension

    asyncio.run(extension.BetwixtExtension().on_load())  # loaders list the folders it registers
    for family in extension.FAMILIES:
        assert extension.family_nodes(family), family
    assert caplog.text == ""
