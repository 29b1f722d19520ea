"""What people who do this job reported of programs like this one, tried here, where no other test holds it."""

import numpy as np
import pytest
import torch
from betwixt.common.clips.scene_cuts import find_cuts
from betwixt.common.errors import BetwixtError
from betwixt.fcvg_core.lines.segments import detect_segments
from betwixt.rerender_core.ebsynth.stylised_keys import StylisedKeys
from betwixt.rerender_core.flow.estimation import DenseInverseSearch

from support.run_node import run

DIS = {"flow_model": DenseInverseSearch("ultrafast"), "scene_cuts": "none"}
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


@pytest.mark.parametrize(("size", "told"), [((33, 48), True), ((32, 47), True), ((32, 48), False)])
def test_frames_that_no_video_takes_are_told_before_the_work(host, caplog, size, told):
    """H.264 needs even sides; the host's 'Save Video' fails at the very end of the graph."""
    from betwixt.nodes.inbetween.rendering import InbetweenWithoutModel

    picture = torch.rand(1, *size, 3, generator=torch.Generator().manual_seed(0))
    frames = run(InbetweenWithoutModel, start_image=picture, end_image=picture, frame_count=2, detail="quick")[0]
    assert frames.shape == (2, *size, 3)
    assert ("even widths and heights" in caplog.text) == told


def test_many_key_frames_are_as_good_as_few(host):
    """EbSynth's own program shows no more than twenty, and nothing of three hundred."""
    from betwixt.nodes.ebsynth import painting

    count = 601
    frames = torch.rand(count, 16, 16, 3, generator=torch.Generator().manual_seed(0))
    numbers = list(range(0, count, 2))
    keys = run(painting.PlaceKeyframes, pictures=1 - frames[numbers], numbers=", ".join(map(str, numbers)))[0]
    assert len(keys.numbers) == 301
    plan = painting.plan_intervals(count, keys.numbers, ())
    assert [frame for part in plan for frame in part.frames] == list(range(1, count, 2))
    painted = run(
        painting.StyliseClip, frames=frames[:41], keys=StylisedKeys.of(1 - frames[:41:2], numbers[:21]), **DIS
    )[0]
    assert torch.equal(painted[::2], 1 - frames[:41:2])


def test_a_clip_of_key_frames_only_is_just_these(host):
    """Interval 1 ends other programs of this kind."""
    from betwixt.nodes.ebsynth.painting import StyliseClip
    from betwixt.rerender_core.keyframes.selection import every

    frames = torch.rand(5, 16, 16, 3, generator=torch.Generator().manual_seed(0))
    keys = StylisedKeys.of(1 - frames, every(5, 1))
    assert torch.equal(run(StyliseClip, frames=frames, keys=keys, **DIS)[0], 1 - frames)
