"""``betwixt.py demo``: what it leaves behind, and the frames it chooses for the sheet."""

import contextlib
import json
import types

import cv2
import numpy as np
import pytest
import torch
from betwixt.common.clips.retiming import resampled
from betwixt.launcher import demo as module
from betwixt.launcher.demo import GRAPHS, DemoGraph, SheetRow, demo, demo_graph, spread
from betwixt.launcher.graph import load_graph

from support.bootstrap import ROOT
from tools import demo_picture

GRAPH = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "betwixt_start.png"}},
    "2": {"class_type": "RepeatImageBatch", "inputs": {"image": ["1", 0], "amount": 4}},
    "3": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}},
    "4": {"class_type": "CreateVideo", "inputs": {"images": ["2", 0], "fps": 8}},
    "5": {
        "class_type": "SaveVideo",
        "inputs": {"video": ["4", 0], "filename_prefix": "x/clip", "format": "mp4", "codec": "h264"},
    },
}
SHOWN = DemoGraph("A clip", (SheetRow("Pictures", "3", 2), SheetRow("Video", "5", 3)))


@pytest.mark.server
def test_videos_inputs_and_one_sheet_are_left_and_replaced_by_the_next_demo(server, tmp_path, monkeypatch):
    (tmp_path / "workflows" / "api").mkdir(parents=True)
    (tmp_path / "workflows" / "api" / "A clip.json").write_text(json.dumps(GRAPH))
    monkeypatch.setattr(module, "PACK", tmp_path)
    monkeypatch.setattr(module, "server_address", lambda *_: contextlib.nullcontext(server.url))
    out = tmp_path / "out"
    for _ in range(2):
        assert demo(types.SimpleNamespace(out=out), tmp_path, (SHOWN,)) == out / "contact-sheet.png"
        assert sorted(path.name for path in out.iterdir()) == ["A clip.mp4", "contact-sheet.png", "input"]
    assert (out / "input" / "betwixt_start.png").exists()
    video = cv2.VideoCapture(str(out / "A clip.mp4"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 4
    sheet = cv2.imread(str(out / "contact-sheet.png"))
    assert sheet.shape[1] == 1600 and sheet.shape[0] > 600
    assert sheet.std() > 20


def test_frames_for_the_sheet_are_evenly_spaced_with_both_ends():
    frames = [np.full((1, 1, 3), value, np.uint8) for value in range(25)]
    assert [int(frame[0, 0, 0]) for frame in spread(frames, 5)] == [0, 6, 12, 18, 24]
    assert len(spread(frames[:3], 5)) == 3 and spread(frames, 1)[0] is frames[0]


def test_nothing_is_previewed_but_the_frames_of_the_sheet_and_all_is_saved():
    for item in GRAPHS:
        shipped, run = load_graph(ROOT / "workflows" / "api" / f"{item.name}.json"), demo_graph(item)
        previews = {node for node, entry in run.items() if entry["class_type"] == "PreviewImage"}
        counts = {row.node: row.count for row in item.rows}
        assert previews and previews <= set(counts)
        for node in previews:
            chosen = run[run[node]["inputs"]["images"][0]]
            assert chosen["inputs"]["images"] == shipped[node]["inputs"]["images"]
            assert chosen["inputs"]["frame_count"] == counts[node]
        saved = {node for node, entry in shipped.items() if entry["class_type"] == "SaveVideo"}
        assert saved and all(run[node] == shipped[node] for node in saved)


@pytest.mark.parametrize(("frames", "count"), [(25, 5), (11, 6)])
def test_the_chosen_frames_are_those_that_the_sheet_takes(frames, count):
    assert resampled(torch.arange(frames), count).tolist() == spread(range(frames), count)


def test_every_demo_graph_is_shipped_and_its_rows_name_its_nodes():
    for item in GRAPHS:
        graph = load_graph(ROOT / "workflows" / "api" / f"{item.name}.json")
        assert {row.node for row in item.rows} <= set(graph), item.name


def test_the_picture_in_the_readme_shows_the_rows_that_the_demo_makes():
    assert demo_picture.stored_captions() == demo_picture.captions()
