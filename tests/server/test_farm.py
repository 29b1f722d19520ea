"""Workflows in parts on a real server: what is joined is what the whole run makes, for every kind of unit."""

import json
from pathlib import Path

import pytest
import torch
from betwixt.common.files.segments import read_segment, segment_path
from betwixt.launcher.client import Client, Run
from betwixt.launcher.farm.folder import Folder
from betwixt.launcher.farm.manifests import fault_of
from betwixt.launcher.farm.planning import make_plan
from betwixt.launcher.farm.units import machine_of, make_unit

from support.farm_runs import assert_same_video
from support.runs.miniature_graphs import miniature, needs_miniature
from support.workflow_files import api_graph

pytestmark = pytest.mark.server

LOOP = {"loop": True}
SHOTS = {"anchor": "first of each shot", "anchor.numbers": "5"}
CASES = {  # name: (changes by node, splits, units)
    "FCVG loop through several key frames": ({}, ["gaps"], 2),
    "ToonCrafter through several key drawings": ({}, ["gaps"], 3),
    "Inbetweens without a model": ({"3": LOOP, "4": {**LOOP, "frame_count": 5}}, ["gaps"], 2),
    "Paint a clip from a few frames": ({}, ["intervals"], 2),
    "Rerender a video": ({"16": SHOTS}, ["shots", "intervals"], 4),
}


def with_result_kept(graph: dict, source: list, name: str) -> dict:
    """The graph, and the frames that its video is made of kept under a name."""
    keep = {"class_type": "BetwixtSaveSegment", "inputs": {"images": source, "name": f"whole/{name}", "first": 1}}
    return {**graph, "keep": keep}


def video_source(graph: dict) -> list:
    (node,) = (entry for entry in graph.values() if entry["class_type"] == "CreateVideo")
    return node["inputs"]["images"]


def videos(client: Client, run: Run) -> list[bytes]:
    """The video files that a run wrote."""
    return [client.fetch(file) for file in run.files if file.filename.endswith(".mp4")]


QUICK = "Inbetweens without a model"


@pytest.mark.parametrize(
    "name", [name if name == QUICK else pytest.param(name, marks=pytest.mark.long) for name in CASES]
)
def test_parts_joined_are_the_whole_run(name, request):
    changes, kinds, count = CASES[name]
    graph = api_graph(name)
    small = needs_miniature(graph)
    client, server = (request.getfixturevalue(f"{'sampling_' if small else ''}{kind}") for kind in ("client", "server"))
    graph = miniature(graph)
    for node, values in changes.items():
        graph[node]["inputs"] |= values
    info = client.object_info()
    plan = make_plan(graph, lambda kind: info.get(kind, {}), lambda g: client.run(g).outputs, {}, [], 0.0, "-")
    assert [split.what for split in plan.splits] == kinds and len(plan.units) == count, plan.notes
    folder = Folder(Path(server.base))
    folder.make()
    machine = machine_of(client, folder.out, 1)
    for unit in plan.units:
        manifest = make_unit(plan, unit, folder, client, folder.output, machine)
        assert fault_of(plan, unit, folder) is None
        assert manifest["seconds"] > 0 and manifest["device"].startswith("cpu") and manifest["threads"] == 1
        assert json.loads(folder.manifest(unit.number).read_text())["files"] == manifest["files"]
    joined = client.run(with_result_kept(plan.joined, video_source(plan.joined), "joined"), timeout=600)
    whole = client.run(with_result_kept(graph, video_source(graph), "alone"), timeout=600)
    heavy = {graph[split.node]["class_type"] for split in plan.splits} - {"BetwixtKeyFramePairs"}
    assert not heavy & {plan.joined[node]["class_type"] for node in joined.nodes if node in plan.joined}
    results = [read_segment(segment_path(str(folder.output / "whole"), kind, 1)).frames for kind in ("joined", "alone")]
    assert torch.equal(*results) and len(results[0]) >= 2
    pairs = list(zip(videos(client, joined), videos(client, whole), strict=True))
    assert pairs
    for pair in pairs:
        assert_same_video(*pair)
    assert {file.kind for file in joined.files} == {file.kind for file in whole.files}
