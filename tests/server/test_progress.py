"""Long nodes show how far they are and stop at once when asked to."""

import psutil
import pytest
from betwixt.launcher.failures import Interrupted

pytestmark = pytest.mark.server


def picture(name: str) -> dict:
    return {"class_type": "LoadImage", "inputs": {"image": f"betwixt_{name}.png"}}


def poses(name: str) -> dict:
    return {"class_type": "BetwixtLoadPoseKeypoints", "inputs": {"file": f"betwixt_{name}_pose.json"}}


def conditions(frame_count: int) -> dict:
    inputs = {"frame_count": frame_count, "timing": "even", "hold": 1, "path": "straight", "thickness": 1, "seed": 0}
    inputs |= {"joint_threshold": 0.0, "published_hands": False, "track_points": "midpoints"}
    return {
        "first": poses("start"),
        "last": poses("end"),
        "long": {
            "class_type": "BetwixtInterpolateConditions",
            "inputs": {**inputs, "start_poses": ["first", 0], "end_poses": ["last", 0]},
        },
    }


def matches(matcher: dict) -> dict:
    return {
        "first": picture("start"),
        "last": picture("end"),
        "matcher": matcher,
        "long": {
            "class_type": "BetwixtMatchLines",
            "inputs": {
                "line_matcher": ["matcher", 0],
                "start_image": ["first", 0],
                "end_image": ["last", 0],
                "max_number": 300,
                "min_length": 0.0,
                "min_score": 0.0,
            },
        },
    }


GLUESTICK = {
    "class_type": "BetwixtLoadGlueStick",
    "inputs": {
        "superpoint": "superpoint_v1.pth",
        "gluestick": "checkpoint_GlueStick_MD.tar",
        "detector": "exact",
        "max_lines": 300,
        "max_points": 1000,
        "min_length": 15.0,
        "threshold": 0.2,
    },
}
WEIGHT_FREE = {
    "class_type": "BetwixtWeightFreeLineMatcher",
    "inputs": {"max_segments": 600, "min_confidence": 0.5, "min_length": 15.0},
}
LONG = {
    "conditions": conditions(150),
    "gluestick": matches(GLUESTICK),
    "weight-free": matches(WEIGHT_FREE),
}


def shown(graph: dict) -> dict:
    return {**graph, "show": {"class_type": "PreviewAny", "inputs": {"source": ["long", 0]}}}


def worked(server) -> float:
    """Seconds of processor time the server has used: unlike the clock's, other jobs of the machine do not add to it."""
    times = psutil.Process(server.process_id).cpu_times()
    return times.user + times.system


@pytest.mark.parametrize("name", LONG)
def test_cancel_is_obeyed_within_a_second(client, server, name):
    asked = []

    def cancel_at_first_progress(event):
        if event.kind == "progress" and event.node == "long" and not asked:
            asked.append(worked(server))
            client.interrupt(event.data["prompt_id"])

    with pytest.raises(Interrupted, match="long"):
        client.run(shown(LONG[name]), watch=cancel_at_first_progress, timeout=60)
    assert worked(server) - asked[0] < 1


@pytest.mark.parametrize("name", LONG)
def test_progress_grows_to_the_end(client, name):
    run = client.run(shown(LONG[name]), timeout=120)
    shares = [value / maximum for value, maximum in run.progress["long"]]
    assert len(shares) >= 3 and shares == sorted(shares) and shares[-1] == 1
