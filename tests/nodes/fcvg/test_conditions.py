"""'Interpolate Conditions' and 'Chain Conditions', fed as the host feeds them."""

import sys
import types

import numpy as np
import pytest
import torch
from betwixt.common.errors import BetwixtError
from betwixt.fcvg_core.lines.matches import LineMatches
from betwixt.fcvg_core.lines.palette import line_colours
from betwixt.fcvg_core.tweening.arcs import arc_segments
from betwixt.fcvg_core.tweening.condition_frames import draw_conditions
from betwixt.fcvg_core.tweening.line_interpolation import interpolate_segments
from betwixt.fcvg_core.tweening.timing import published_fractions

from support.run_node import run

HEIGHT, WIDTH = 288, 384  # the smallest at which FCVG's aliased drawing of poses keeps every dot
HOP = '[{"x": 10, "y": 40}, {"x": 30, "y": 8}, {"x": 50, "y": 40}]'


@pytest.fixture(scope="module")
def conditions(host):
    from betwixt.nodes.fcvg import conditions

    return conditions


def matches(count=12, canvas=(HEIGHT, WIDTH)):
    rng = np.random.default_rng(3)
    start = rng.uniform(40, 240, (count, 2, 2)).astype(np.float32)
    return LineMatches(start, start + rng.uniform(-36, 40, (count, 1, 2)), np.ones(count), canvas)


def poses(*frames, canvas=(HEIGHT, WIDTH)):
    """POSE_KEYPOINT; each frame is a list of people, given by the x of an upright row of joints."""
    height, width = canvas

    def person(x):
        return {"pose_keypoints_2d": [value for k in range(18) for value in (x, 20.0 + 12 * k, 1.0)]}

    return [
        {"people": [person(x) for x in people], "canvas_width": width, "canvas_height": height} for people in frames
    ]


def picture(value=0.5, height=HEIGHT, width=WIDTH, frames=1, channels=3):
    return torch.full((frames, height, width, channels), value)


def where(frame):
    """Column of the left-most lit pixel."""
    return int(frame.amax(dim=(0, 2)).gt(0).nonzero()[0])


def test_the_defaults_are_the_published_conditions(conditions):
    lines = matches()
    frames, tracks, preview = run(conditions.InterpolateConditions, line_matches=lines)
    segments = interpolate_segments(lines.start, lines.end, published_fractions(25))
    assert (frames == draw_conditions(segments, line_colours(12, 0), None, (HEIGHT, WIDTH))).all()
    assert frames.shape == (25, HEIGHT, WIDTH, 3) and frames.dtype == torch.float32
    assert (frames[0] == frames[1]).all() and (frames[23] == frames[24]).all() and (frames[1] != frames[2]).any()
    assert tracks["track_path"].numpy() == pytest.approx(segments.mean(axis=2), abs=1e-5)
    assert preview is frames


@pytest.mark.parametrize(
    ("timing", "expected"),
    [
        ({"timing": "even"}, [0, 10, 20, 30, 40]),
        ({"timing": "easing", "timing.easing": "quad-in"}, [0, 2.5, 10, 22.5, 40]),
        ({"timing": "easing", "timing.easing": "back-out"}, [0, 32.696, 43.508, 42.566, 40]),
        ({"timing": "easing", "timing.easing": "hold"}, [0, 0, 0, 0, 40]),
        ({"timing": "cubic-bezier", "timing.x1": 0.42, "timing.y1": 0, "timing.x2": 1}, [0, 3.739, 12.614, 24.874, 40]),
        ({"timing": "curve", "timing.curve": {"points": [[0, 0], [1, 1]]}}, [0, 10, 20, 30, 40]),
        (
            {"timing": "curve", "timing.curve": {"points": [[0, 0], [0.5, 1], [1, 1]], "interpolation": "linear"}},
            [0, 20, 40, 40, 40],
        ),
        ({"timing": "chart", "timing.chart": "1/8 1/4 1/2"}, [0, 5, 10, 20, 40]),
        ({"timing": "chart", "timing.chart": "0, 1/8, 1/4, 1.1, 1"}, [0, 5, 10, 44, 40]),
        ({"timing": "even", "hold": 2}, [0, 0, 20, 20, 40]),
        ({"timing": "even", "hold": 3}, [0, 0, 0, 30, 40]),
    ],
)
def test_every_timing_reaches_the_frames(conditions, timing, expected):
    start = np.float32([[[5, 5], [5, 30]]])
    lines = LineMatches(start, start + np.float32([40, 0]), np.ones(1), (HEIGHT, WIDTH))
    frames, tracks, _ = run(conditions.InterpolateConditions, frame_count=5, line_matches=lines, **timing)
    assert (tracks["track_path"][:, 0, 0] - 5).tolist() == pytest.approx(expected, abs=2e-3)
    assert [where(frame) for frame in frames] == [int(5 + x + 1e-3) for x in expected]


def test_a_curve_from_a_node_is_taken(conditions):
    from comfy_api.input import CurveInput

    curve = CurveInput.from_raw({"points": [[0, 0], [0.5, 0.2], [1, 1]], "interpolation": "linear"})
    _, tracks, _ = run(
        conditions.InterpolateConditions,
        **{"frame_count": 3, "timing": "curve", "timing.curve": curve, "line_matches": matches()},
    )
    path = tracks["track_path"].numpy()
    assert path[1] - path[0] == pytest.approx(0.2 * (path[2] - path[0]), abs=1e-4)


@pytest.mark.parametrize("pivot", ["fixed point", "own centre"])
def test_arcs_are_drawn(conditions, pivot):
    start = matches().start
    lines = LineMatches(
        start, start[..., ::-1] * np.float32([-1, 1]) + np.float32([280, 0]), np.ones(12), (HEIGHT, WIDTH)
    )
    inputs = {"line_matches": lines, "timing": "even", "frame_count": 7}
    frames, _, _ = run(conditions.InterpolateConditions, path="arc", **{"path.pivot": pivot}, **inputs)
    segments = arc_segments(lines.start, lines.end, np.arange(7) / 6, lines.canvas, pivot)
    assert (frames == draw_conditions(segments, line_colours(12, 0), None, lines.canvas)).all()
    assert (frames != run(conditions.InterpolateConditions, **inputs)[0]).any()


def pulled(conditions, **path):
    start = np.float32([[[5, 40], [15, 40]]])
    lines = LineMatches(start, start + np.float32([40, 0]), np.ones(1), (HEIGHT, WIDTH))
    inputs = {"frame_count": 3, "timing": "even", "path": "drawn", "path.radius": 100, "line_matches": lines, **path}
    people = poses([10], [50])
    _, tracks, _ = run(conditions.InterpolateConditions, start_poses=people, **inputs)
    return tracks["track_path"]


def test_coordinates_and_tracks_pull_lines_and_people_alike(conditions):
    by_text = pulled(conditions, **{"path.coordinates": HOP.replace('"', "'")})
    path = torch.tensor([[[10.0, 40.0]], [[30.0, 8.0]], [[50.0, 40.0]]])
    by_wire = pulled(conditions, **{"path.tracks": {"track_path": path, "track_visibility": torch.ones(3, 1).bool()}})
    assert (by_text == by_wire).all()
    assert by_text[:, 0].tolist() == [[10, 40], [30, 8], [50, 40]]
    lifted = by_text[1, 1:, 1] - by_text[0, 1:, 1]
    assert (lifted < -3).all() and torch.unique(lifted.round(decimals=3)).numel() == 1
    assert (by_text[2, 1:, 1] == by_text[0, 1:, 1]).all()


def test_turning_things_stay_rigid_on_drawn_paths(conditions):
    start = matches().start
    turned = np.stack([300 - start[..., 1], start[..., 0]], axis=-1)  # a quarter turn
    lines = LineMatches(start, turned, np.ones(12), (HEIGHT, WIDTH))
    inputs = {"line_matches": lines, "frame_count": 3, "timing": "even", "track_points": "endpoints"}
    path = {"path": "drawn", "path.radius": 1, "path.coordinates": HOP}
    ends = run(conditions.InterpolateConditions, **inputs, **path)[1]["track_path"].numpy()
    lengths = np.linalg.norm(ends[:, 12:] - ends[:, :12], axis=-1)
    assert lengths[1] == pytest.approx(lengths[0], rel=1e-4)


def test_the_hosts_generated_tracks_are_understood(conditions):
    from comfy_extras.nodes_wanmove import GenerateTracks

    made = GenerateTracks.execute(
        width=100,
        height=50,
        start_x=0.1,
        start_y=0.8,
        end_x=0.5,
        end_y=0.8,
        num_frames=9,
        num_tracks=1,
        track_spread=0.0,
        bezier=True,
        mid_x=0.3,
        mid_y=0.0,
        interpolation="linear",
    ).result[0]
    moved = pulled(conditions, **{"path.tracks": made})
    assert moved[:, 0].tolist() == [pytest.approx(place) for place in ([10, 40], [30, 20], [50, 40])]


def test_the_hosts_nodes_take_the_tracks(conditions):
    from comfy_extras.nodes_wanmove import WanMoveConcatTrack, WanMoveVisualizeTracks, create_pos_embeddings

    _, tracks, _ = run(
        conditions.InterpolateConditions,
        frame_count=9,
        line_matches=matches(),
        start_poses=poses([60], [240]),
        track_points="midpoints and endpoints",
    )
    assert tracks["track_path"].shape == (9, 3 * 12 + 18, 2) and tracks["track_visibility"].shape == (9, 54)
    drawn = WanMoveVisualizeTracks.execute(picture(0, frames=9), 24, 2, 1.0, 2, tracks).result[0]
    assert drawn.shape == (9, HEIGHT, WIDTH, 3) and drawn.amax(dim=(1, 2, 3)).min() > 0.3
    both = WanMoveConcatTrack.execute(tracks, tracks).result[0]
    assert both["track_path"].shape == (9, 108, 2)
    places = create_pos_embeddings(tracks["track_path"], tracks["track_visibility"], [4, 8, 8], HEIGHT, WIDTH)
    assert places.shape == (54, 3, 2) and places.max() < WIDTH // 8 and (places >= 0).any()


def test_lines_and_poses_are_fused_and_previewed_over_the_key_frames(conditions):
    lines, people = matches(), poses([60], [240])
    inputs = {"frame_count": 5, "line_matches": lines, "start_poses": people[:1], "end_poses": people[1:]}
    fused, _, preview = run(
        conditions.InterpolateConditions, start_image=picture(0.2), end_image=picture(0.8, channels=4), **inputs
    )
    only_lines = run(conditions.InterpolateConditions, frame_count=5, line_matches=lines)[0]
    only_poses = run(conditions.InterpolateConditions, frame_count=5, start_poses=people)[0]
    assert (fused == torch.where(only_poses > 0, only_poses, only_lines)).all()
    assert only_poses.amax() > 0.3 and (fused != only_lines).any()
    dark = preview[:, 0, -1, 0]
    assert dark.tolist() == pytest.approx([0.11, 0.11, 0.275, 0.44, 0.44], abs=1e-3)


def test_poses_of_another_scale_are_rescaled(conditions):
    large = poses([120], [480], canvas=(2 * HEIGHT, 2 * WIDTH))
    for frame in large:
        for person in frame["people"]:
            person["pose_keypoints_2d"][1::3] = [2 * y for y in person["pose_keypoints_2d"][1::3]]
    small = run(conditions.InterpolateConditions, frame_count=4, line_matches=matches(), start_poses=poses([60], [240]))
    scaled = run(conditions.InterpolateConditions, frame_count=4, line_matches=matches(), start_poses=large)
    assert (small[0] == scaled[0]).all()


def test_published_pose_faults_are_switches(conditions):
    people = poses([60, 300], [70])
    fixed = run(conditions.InterpolateConditions, frame_count=6, start_poses=people)[0]
    published = run(conditions.InterpolateConditions, frame_count=6, start_poses=people, published_hands=True)[0]
    assert fixed[2, :, 200:].any() and not published[2, :, 200:].any()
    hidden = poses([60], [70])
    for frame in hidden:
        frame["people"][0]["pose_keypoints_2d"][2::3] = [0.2] * 18
    dim = run(conditions.InterpolateConditions, frame_count=6, start_poses=hidden)[0]
    gone = run(conditions.InterpolateConditions, frame_count=6, start_poses=hidden, joint_threshold=0.3)[0]
    assert dim[2].any() and not dim[0].any() and not gone.any()


def test_the_seed_changes_colours_only(conditions):
    frames = [run(conditions.InterpolateConditions, line_matches=matches(), seed=seed)[0] for seed in (0, 0, 2**63)]
    assert (frames[0] == frames[1]).all() and (frames[0] != frames[2]).any()
    assert ((frames[0] > 0).any(dim=-1) == (frames[2] > 0).any(dim=-1)).all()


@pytest.mark.parametrize("frame_count", [2, 3])
def test_the_shortest_clips(conditions, frame_count):
    lines = matches()
    frames, tracks, _ = run(conditions.InterpolateConditions, frame_count=frame_count, line_matches=lines)
    assert len(frames) == len(tracks["track_path"]) == frame_count
    assert (tracks["track_path"][-1].numpy() == lines.end.mean(axis=1)).all()


def test_nothing_matched_gives_black_frames_and_says_so(conditions, caplog):
    nothing = LineMatches(np.zeros((0, 2, 2)), np.zeros((0, 2, 2)), np.zeros(0), (HEIGHT, WIDTH))
    for inputs in ({"line_matches": nothing}, {"start_poses": poses([], [])}):
        caplog.clear()
        frames, tracks, _ = run(conditions.InterpolateConditions, frame_count=4, **inputs)
        assert frames.shape == (4, HEIGHT, WIDTH, 3) and not frames.any()
        assert tracks["track_path"].shape == (4, 0, 2) and tracks["track_visibility"].shape == (4, 0)
        assert "the conditions are black" in caplog.text
    for path in ({"path": "arc"}, {"path": "drawn", "path.coordinates": HOP}):
        assert not run(conditions.InterpolateConditions, line_matches=nothing, **path)[0].any()


def test_a_notice_is_shown_on_the_node(conditions, monkeypatch):
    shown = []

    class Instance:
        def send_progress_text(self, text, node_id):
            shown.append((node_id, text))

    class PromptServer:
        instance = Instance()

    module = types.ModuleType("server")
    module.PromptServer = PromptServer
    monkeypatch.setitem(sys.modules, "server", module)
    conditions.show_notice("7", "Nothing to see.")
    assert shown == [("7", "Nothing to see.")]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: {}, "Neither lines nor poses"),
        (lambda: {"line_matches": matches(), "frame_count": 1}, "'frame_count' is 1"),
        (lambda: {"line_matches": matches(), "frame_count": -5}, "'frame_count' is -5"),
        (
            lambda: {"line_matches": matches(), "start_image": picture(height=300)},
            r"matched on 384x288 pictures, the images are 384x300",
        ),
        (
            lambda: {"line_matches": matches(), "start_image": picture(), "end_image": picture(width=400)},
            "'start_image' is 384x288 and 'end_image' is 400x288",
        ),
        (lambda: {"line_matches": matches(), "end_image": picture(frames=3)}, "'end_image' is a batch of 3"),
        (lambda: {"line_matches": matches(), "end_image": picture(float("nan"))}, "NaN"),
        (lambda: {"line_matches": matches(), "start_poses": poses([1])}, r"'end_poses' is not connected.* is 1\."),
        (lambda: {"start_poses": poses([1], [2], [3])}, r"'start_poses' is 3\. .*exactly two"),
        (lambda: {"end_poses": poses([1])}, "'start_poses' is not"),
        (lambda: {"start_poses": poses([1]), "end_poses": poses([1], [2])}, "'end_poses' has 2 frames"),
        (
            lambda: {"line_matches": matches(), "start_poses": poses([1], [2], canvas=(64, 64))},
            r"'start_poses' belong to a 64x64 canvas",
        ),
        (lambda: {"line_matches": matches(), "timing": "chart", "timing.chart": "0 half 1"}, "Entry 2 .*'half'"),
        (
            lambda: {"line_matches": matches(), "timing": "curve", "timing.curve": {"points": [[0, 0]]}},
            "two or more points",
        ),
        (lambda: {"line_matches": matches(), "timing": "curve", "timing.curve": {"points": 5}}, "The curve is"),
        (lambda: {"line_matches": matches(), "path": "drawn"}, "no path is given"),
        (
            lambda: {"line_matches": matches(), "path": "drawn", "path.coordinates": HOP[:-1]},
            "break off at character 59",
        ),
        (
            lambda: {"line_matches": matches(), "path": "drawn", "path.tracks": {"track_path": torch.zeros(5, 2)}},
            r"'tracks' is a tensor of the shape \[5, 2\]",
        ),
    ],
)
def test_mistakes_are_refused_with_their_remedy(conditions, make, message):
    with pytest.raises(BetwixtError, match=message) as caught:
        run(conditions.InterpolateConditions, **make())
    assert all((caught.value.wrong, caught.value.allowed, caught.value.remedy))


def test_inputs_stay_as_they_are(conditions):
    lines, people, images = matches(), poses([60, 180], [240]), (picture(0.2), picture(0.8))
    path = {"track_path": torch.rand(3, 2, 2) * 40, "track_visibility": torch.ones(3, 2).bool()}
    before = repr(people), [image.clone() for image in images], path["track_path"].clone()
    run(
        conditions.InterpolateConditions,
        line_matches=lines,
        start_poses=people,
        start_image=images[0],
        end_image=images[1],
        path="drawn",
        **{"path.tracks": path},
    )
    assert repr(people) == before[0] and (path["track_path"] == before[2]).all()
    assert all((image == copy).all() for image, copy in zip(images, before[1], strict=True))


def test_work_stops_when_cancelled(conditions, monkeypatch):
    import comfy.model_management as management

    monkeypatch.setattr(management, "interrupt_processing", True)
    with pytest.raises(management.InterruptProcessingException):
        run(conditions.InterpolateConditions, line_matches=matches())


def test_chained_parts_have_every_key_frame_once(conditions):
    start = np.float32([[[5, 5], [5, 30]]])
    parts, step = {}, np.float32([20, 0])
    for k in range(2):
        lines = LineMatches(start + k * step, start + (k + 1) * step, np.ones(1), (HEIGHT, WIDTH))
        parts[f"parts.part{k}"] = run(conditions.InterpolateConditions, frame_count=7, line_matches=lines)[0]
    (chained,) = run(conditions.ChainConditions, **parts)
    assert [where(frame) for frame in chained] == [5, 5, 10, 15, 20, 25, 30, 35, 40, 45, 45]
    (short,) = run(conditions.ChainConditions, published_timing=False, **parts)
    assert len(short) == 13
    with pytest.raises(BetwixtError, match="Part 1 is 384x288 and part 2 is 384x300"):
        run(conditions.ChainConditions, **{"parts.part0": picture(), "parts.part1": picture(height=300)})
