"""Mistakes in a graph: refused or stopped with a text that says what to change, at the node where it has to be."""

import io
import json

import pytest
import torch
from betwixt.launcher.failures import ExecutionFailed, ValidationFailed
from betwixt.launcher.output_files import output_files
from PIL import Image

pytestmark = pytest.mark.server


def conditions_graph(**changes) -> dict:
    """Condition frames of the demo's two poses; ``changes`` go into the node that makes them (None removes)."""
    inputs = {
        "frame_count": 5,
        "timing": "even",
        "hold": 1,
        "path": "straight",
        "thickness": 1,
        "seed": 0,
        "joint_threshold": 0.0,
        "published_hands": False,
        "track_points": "midpoints",
        "start_poses": ["start", 0],
        "end_poses": ["end", 0],
    } | changes
    return {
        "start": {"class_type": "BetwixtLoadPoseKeypoints", "inputs": {"file": "betwixt_start_pose.json"}},
        "end": {"class_type": "BetwixtLoadPoseKeypoints", "inputs": {"file": "betwixt_end_pose.json"}},
        "picture": {"class_type": "LoadImage", "inputs": {"image": "betwixt_start.png"}},
        "small": {
            "class_type": "ImageScale",
            "inputs": {
                "image": ["picture", 0],
                "upscale_method": "bilinear",
                "width": 512,
                "height": 288,
                "crop": "disabled",
            },
        },
        "conditions": {
            "class_type": "BetwixtInterpolateConditions",
            "inputs": {name: value for name, value in inputs.items() if value is not None},
        },
        "show": {"class_type": "PreviewImage", "inputs": {"images": ["conditions", 0]}},
    }


def gluestick_graph(**changes) -> dict:
    inputs = {
        "superpoint": "superpoint_v1.pth",
        "gluestick": "checkpoint_GlueStick_MD.tar",
        "detector": "quick",
        "max_lines": 100,
        "max_points": 100,
        "min_length": 15.0,
        "threshold": 0.2,
    } | changes
    return {
        "matcher": {"class_type": "BetwixtLoadGlueStick", "inputs": inputs},
        "show": {"class_type": "PreviewAny", "inputs": {"source": ["matcher", 0]}},
    }


def test_the_graphs_run_without_the_mistakes(client):
    assert len(client.run(conditions_graph()).files) == 5
    assert client.run(gluestick_graph()).outputs["show"]["text"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"start_poses": None, "end_poses": None}, ["Neither lines nor poses", "Connect"]),
        ({"start_poses": None}, ["'start_poses' is not", "Connect 'start_poses'"]),
        ({"start_image": ["picture", 0], "end_image": ["small", 0]}, ["1024x576", "512x288", "Resize"]),
        ({"timing": "chart", "timing.chart": "1/2, oops"}, ["oops"]),
        ({"path": "drawn", "path.radius": 100, "path.coordinates": "[{"}, ["coordinate"]),
        ({"path": "drawn", "path.radius": 100, "path.coordinates": ""}, ["no path is given", "'path'"]),
    ],
)
def test_a_mistake_stops_the_node_and_says_what_to_change(client, changes, said):
    with pytest.raises(ExecutionFailed) as caught:
        client.run(conditions_graph(**changes))
    assert (caught.value.node_id, caught.value.node_type) == ("conditions", "BetwixtInterpolateConditions")
    assert caught.value.exception_type == "BetwixtError"
    assert [words for words in said if words not in caught.value.message] == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"frame_count": 1}, "frame_count"),
        ({"timing": "easing", "timing.easing": "bouncy-castle"}, "easing"),
        ({"start_image": ["start", 0]}, "start_image"),
    ],
)
def test_values_outside_the_schema_are_refused_before_anything_runs(client, changes, said):
    with pytest.raises(ValidationFailed, match=said) as caught:
        client.run(conditions_graph(**changes))
    assert list(caught.value.node_errors) == ["conditions"]


def test_what_was_finished_before_an_error_can_still_be_fetched(client):
    graph = conditions_graph(start_image=["picture", 0], end_image=["finished", 0])
    graph["finished"] = {"class_type": "PreviewImage", "inputs": {"images": ["small", 0]}}
    with pytest.raises(ExecutionFailed) as caught:
        client.run(graph)
    (file,) = output_files(client.history(caught.value.prompt_id)["outputs"])
    assert file.node == "finished"
    assert Image.open(io.BytesIO(client.fetch(file))).size == (512, 288)


class Code:
    """Its pickle would run a command when read."""

    def __reduce__(self):
        return print, ("code in a weight file was run",)


@pytest.fixture
def weight_file(server, request):
    """Puts a file into models/betwixt of the running server, for one test."""
    path = server.base / "models" / "betwixt" / "mistake.pth"

    def write(kind: str):
        good = (server.base / "models" / "betwixt" / "superpoint_v1.pth").read_bytes()
        if kind == "truncated":
            path.write_bytes(good[: len(good) // 2])
        elif kind == "code":
            torch.save({"weights": torch.zeros(3), "extra": Code()}, path)
        elif kind == "text":
            path.write_text("<html>Sign in to download</html>")
        elif kind == "empty":
            path.write_bytes(b"")
        elif kind == "other network":
            torch.save({f"layer.{i}.weight": torch.zeros(4, 4) for i in range(4)}, path)
        return path.name

    yield write
    path.unlink()


@pytest.mark.parametrize("slot", ["superpoint", "gluestick"])
@pytest.mark.parametrize("kind", ["truncated", "code", "text", "empty", "other network"])
def test_unusable_weight_files_are_named_and_never_run(client, server, weight_file, slot, kind):
    name = weight_file(kind)
    with pytest.raises(ExecutionFailed) as caught:
        client.run(gluestick_graph(**{slot: name}))
    assert (caught.value.node_id, caught.value.exception_type) == ("matcher", "BetwixtError")
    assert name in caught.value.message
    assert "code in a weight file was run" not in server.log.read_text("utf-8", errors="replace")


@pytest.mark.parametrize(
    ("slot", "wrong"), [("superpoint", "checkpoint_GlueStick_MD.tar"), ("gluestick", "superpoint_v1.pth")]
)
def test_a_file_in_the_wrong_slot_is_recognised(client, slot, wrong):
    with pytest.raises(ExecutionFailed) as caught:
        client.run(gluestick_graph(**{slot: wrong}))
    assert wrong in caught.value.message
    assert {"superpoint": "GlueStick", "gluestick": "SuperPoint"}[slot] in caught.value.message


@pytest.mark.parametrize(
    ("poses", "said"),
    [
        ({"people": 3}, ["people"]),
        (
            [{"canvas_width": 64, "canvas_height": 64, "people": [{"pose_keypoints_2d": [1.0, 2.0]}]}],
            ["pose_keypoints_2d"],
        ),
        ("not poses", ["broken_pose.json"]),
    ],
)
def test_broken_pose_files_name_the_fault(client, server, poses, said):
    path = server.base / "input" / "broken_pose.json"
    path.write_text(json.dumps(poses))
    graph = conditions_graph()
    graph["start"]["inputs"]["file"] = path.name
    try:
        with pytest.raises(ExecutionFailed) as caught:
            client.run(graph)
    finally:
        path.unlink()
    assert (caught.value.node_id, caught.value.exception_type) == ("start", "BetwixtError")
    assert [words for words in said if words not in caught.value.message] == []
