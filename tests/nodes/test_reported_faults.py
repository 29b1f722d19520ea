"""What people who do this job reported of programs like this one, tried here, where no other test holds it."""

import numpy as np
import pytest
import torch
from betwixt.common.clips.scene_cuts import find_cuts
from betwixt.common.errors import BetwixtError
from betwixt.fcvg_core.lines.segments import detect_segments

from support.run_node import run

HOP = '[{"x": 10, "y": 40}, {"x": 30, "y": 8}, {"x": 50, "y": 40}]'


def person(x, canvas=(64, 64)):
    points = [value for k in range(18) for value in (x, 8.0 + 2 * k, 1.0)]
    people = [{"pose_keypoints_2d": points}]
    return [{"people": people, "canvas_width": canvas[1], "canvas_height": canvas[0]}]


@pytest.fixture(scope="module")
def conditions(host):
    from betwixt.nodes.fcvg import conditions

    return conditions


def test_a_red_wall_whose_hue_runs_over_the_circles_end_is_no_cut():
    """False cuts on red: hue 179 is next to hue 0."""
    shade = np.linspace(0.0, 0.06, 24)
    frames = torch.zeros(24, 48, 64, 3)
    for number, amount in enumerate(shade):
        frames[number] = torch.tensor([0.8, 0.1 + max(amount - 0.03, 0), 0.1 + max(0.03 - amount, 0)])
        frames[number, 20:40, 2 * number : 2 * number + 10] = 0.2
    assert find_cuts(frames) == []


def test_two_splines_that_arrive_as_a_list_are_two_paths(conditions):
    other = HOP.replace('"x": 1', '"x": 2')

    def drawn(coordinates):
        people = {"start_poses": person(10), "end_poses": person(50), "frame_count": 3}
        return run(
            conditions.InterpolateConditions,
            **people,
            path="drawn",
            timing="even",
            **{"path.radius": 100.0, "path.coordinates": coordinates},
        )[1]["track_path"]

    assert torch.equal(drawn([HOP, other]), drawn(f"[{HOP}, {other}]"))
    assert not torch.equal(drawn([HOP, other]), drawn(HOP))


@pytest.mark.parametrize(
    ("kind", "elsewhere"), [("CLIP_VISION", "Load CLIP Vision"), ("VAE", "Load VAE"), ("CLIP", "Load CLIP")]
)
def test_a_checkpoint_without_an_encoder_is_told_where_else_to_get_it(host, kind, elsewhere):
    from betwixt.nodes.wire_values import checked_value

    with pytest.raises(BetwixtError, match=f"Nothing arrives at 'encoder'.*'{elsewhere}'"):
        checked_value(None, kind, "encoder")


@pytest.mark.parametrize("value", [[0.5, 0.25, 1.0], torch.tensor([0.5, 0.25, 1.0]), np.array([0.5, 0.25, 1.0])])
def test_a_strength_for_each_frame_is_taken_as_a_list(host, value):
    from betwixt.nodes.fcvg.models import ApplyControlNeXt
    from betwixt.nodes.widget_values import checked_widget

    assert "strength" in ApplyControlNeXt.number_lists
    entry = next(entry for entry in ApplyControlNeXt.GET_SCHEMA().inputs if entry.id == "strength")
    assert checked_widget(value, entry, "strength", listed=True) == [0.5, 0.25, 1.0]
    with pytest.raises(BetwixtError, match="'strength' is"):
        checked_widget(value, entry, "strength")


@pytest.mark.parametrize("method", ["exact", "quick"])
@pytest.mark.parametrize("size", [(1, 100), (100, 1), (1, 1), (3, 3)])
def test_pictures_too_narrow_for_lines_have_none(size, method):
    noise = np.random.default_rng(0).integers(0, 256, size, np.uint8)
    segments, scores = detect_segments(noise, method=method)
    assert segments.shape == (0, 2, 2) and scores.shape == (0,)


def test_a_canvas_beyond_memory_is_refused_before_anything_is_allocated(host):
    from betwixt.nodes.fcvg.poses import DrawPoses

    with pytest.raises(BetwixtError, match=r"1 pictures of 40000000x40000000 need about .* TB"):
        run(DrawPoses, poses=person(10, canvas=(40_000_000, 40_000_000)))
