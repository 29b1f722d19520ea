"""'Select Key Frames': what each way picks, and that its numbers fit the nodes behind it."""

import pytest
import torch
from betwixt.common.errors import BetwixtError
from betwixt.rerender_core.flow.estimation import DenseInverseSearch

from support.runs.rerender_runs import clip


@pytest.fixture
def select(host):
    """Runs the node; returns numbers, count, shots and the chosen frames."""
    from betwixt.nodes.rerender.keyframe_selection import SelectKeyframes
    from comfy_api.latest import io

    SelectKeyframes.hidden = io.HiddenHolder.from_dict({io.Hidden.unique_id: "3"})

    def call(frames, by: dict, include_last=False):
        chosen, numbers, count, shots = SelectKeyframes.execute(frames, by, include_last).args
        assert len(chosen) == count == len(numbers.split(", "))
        assert torch.equal(chosen, frames[[int(number) for number in numbers.split(", ")]])
        return numbers, shots

    return call


def two_shots() -> torch.Tensor:
    """Seven frames of a moving pattern, then seven of the same in other colours."""
    return torch.cat([clip(7), clip(7).flip(-1) * 0.5])


@pytest.mark.parametrize(
    ("by", "numbers", "shots"),
    [
        ({"by": "interval", "every": 5}, "0, 5, 10", "10"),
        ({"by": "list", "numbers": "0; 3 7"}, "0, 3, 7", "7"),
        ({"by": "scene cuts", "threshold": 0.5, "longest": 5}, "0, 5, 7, 12", "7"),
        ({"by": "scene cuts", "threshold": 0.5, "longest": 20}, "0, 7", "7"),
    ],
)
def test_what_is_picked(select, by, numbers, shots):
    assert select(two_shots(), by) == (numbers, shots)


def test_the_last_frame_is_added_once(select):
    assert select(clip(11), {"by": "interval", "every": 5}, True)[0] == "0, 5, 10"
    assert select(clip(12), {"by": "interval", "every": 5}, True)[0] == "0, 5, 10, 11"


def test_coverage_begins_anew_at_a_cut(select):
    by = {"by": "flow coverage", "flow_model": DenseInverseSearch("medium"), "limit": 0.3, "longest": 20}
    numbers, shots = select(two_shots(), by)
    assert "7" in numbers.split(", ") and shots == "7"


def test_a_clip_of_one_frame_is_refused(select):
    with pytest.raises(BetwixtError, match="'frames' holds one frame.*at least two"):
        select(clip(1), {"by": "interval", "every": 5})


def test_every_shot_is_held_to_its_own_first_frame(select, run):
    frames = torch.cat([clip(2), clip(2).flip(-1) * 0.5])
    numbers, shots = select(frames, {"by": "interval", "every": 1})
    assert shots == "2"
    renewed = run(key_frames=frames, key_numbers=numbers, anchor={"anchor": "at", "numbers": shots})[0]
    without = run(key_frames=frames, key_numbers=numbers)[0]
    assert torch.equal(renewed[:3], without[:3]) and not torch.equal(renewed[3], without[3])
    uncut = run(key_frames=frames, key_numbers=numbers, anchor={"anchor": "at", "numbers": ""})[0]
    assert torch.equal(uncut, without)
