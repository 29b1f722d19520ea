"""The blocks for the interface's node library, and the starter workflows that are built from them."""

import json

import pytest
from betwixt.common.files.published_files import PUBLISHED_FILES, files_named_in
from betwixt.launcher.starters import STARTERS as LISTED

from support.bootstrap import ROOT
from support.workflow_files import NAMES, api_graph, ui_workflow
from tools.author_starters import STARTERS, source_graph, without_block

SPECS = {path.stem: json.loads(path.read_text("utf-8")) for path in STARTERS.glob("*.json")}


def block_of(name: str) -> dict:
    return json.loads((ROOT / "subgraphs" / f"{SPECS[name]['block']}.json").read_text("utf-8"))


def test_every_block_belongs_to_a_starter_and_every_starter_is_listed():
    assert {path.stem for path in (ROOT / "subgraphs").iterdir()} == {spec["block"] for spec in SPECS.values()}
    assert set(SPECS) == {name for name in NAMES if name.startswith("Betwixt ")} <= {item.name for item in LISTED}


@pytest.mark.parametrize("name", SPECS)
def test_a_block_is_one_node_with_the_definition_that_its_starter_uses(name):
    block, workflow = block_of(name), ui_workflow(name)
    (node,), (definition,) = block["nodes"], block["definitions"]["subgraphs"]
    assert node["type"] == definition["id"] and definition["name"] == SPECS[name]["block"]
    assert workflow["definitions"]["subgraphs"] == [definition]
    assert [slot["label"] for slot in definition["inputs"]] == [label for label, _ in SPECS[name]["inputs"]]
    assert definition["description"] == SPECS[name]["description"] and definition["category"] == "Betwixt"
    assert block["links"] == [] and all(slot["link"] is None for slot in node["inputs"])


@pytest.mark.parametrize("name", SPECS)
def test_a_starter_computes_what_the_workflow_it_comes_from_computes(name):
    opened = {node: entry["inputs"] for node, entry in without_block(api_graph(name)).items()}
    for node, entry in source_graph(SPECS[name]).items():
        # nodes given here alone leave the rest at the defaults
        assert {key: opened[node].get(key) for key in entry["inputs"]} == entry["inputs"], node


@pytest.mark.parametrize("name", SPECS)
def test_a_starter_fits_a_screen(name):
    boxes = [(*node["pos"], *node["size"]) for node in ui_workflow(name)["nodes"]]
    width = max(x + w for x, _, w, _ in boxes) - min(x for x, *_ in boxes)
    height = max(y + h for _, y, _, h in boxes) - min(y for _, y, *_ in boxes)
    assert min(1600 / width, 900 / height) > 0.6


@pytest.mark.parametrize("name", NAMES)
def test_every_loader_says_what_file_it_needs(name):
    """The interface's missing-model notice takes folder and address from there."""
    workflow = ui_workflow(name)
    inner = [node for block in (workflow.get("definitions") or {}).get("subgraphs", ()) for node in block["nodes"]]
    told = {
        (model["name"], model["directory"], model["url"])
        for node in [*workflow["nodes"], *inner]
        for model in node["properties"].get("models", ())
    }
    needed = {file for file in files_named_in(api_graph(name)) if file.url}
    assert told == {(file.name, file.folder, file.url) for file in needed}
    assert all(file in PUBLISHED_FILES for file in needed)
