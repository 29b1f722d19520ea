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


@pytest.mark.parametrize(
    ("modules", "broken", "error"),
    [
        (("broken", "sound"), "broken", "AttributeError: this ComfyUI has no such input"),
        (("sound", "broken"), "broken", "AttributeError: this ComfyUI has no such input"),
        (("not_there", "sound"), "not_there", "ModuleNotFoundError: No module named 'betwixt.nodes.not_there'"),
    ],
)
def test_the_other_modules_stay_and_the_log_says_why(extension, monkeypatch, caplog, modules, broken, error):
    monkeypatch.setattr(extension, "NODE_MODULES", modules)
    assert ids(extension) == ["BetwixtSound"]
    (record,) = caplog.records
    told = record.getMessage()
    assert record.levelname == "ERROR" and f"the nodes of '{broken}' are not available: {error}." in told
    assert "Update ComfyUI and run 'pip install -r requirements.txt'" in told


def test_every_module_of_the_pack_loads(host, caplog, tmp_path, monkeypatch):
    import folder_paths
    from betwixt.nodes import extension

    monkeypatch.setattr(folder_paths, "input_directory", str(tmp_path))  # the example inputs go there
    asyncio.run(extension.BetwixtExtension().on_load())  # loaders list the folders it registers
    for module in extension.NODE_MODULES:
        assert extension.nodes_of(module), module
    assert caplog.text == ""
