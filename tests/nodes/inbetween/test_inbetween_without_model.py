"""'Find Motion Layers' and 'Inbetween without a Model', fed as the host feeds them."""

import cv2
import numpy as np
import pytest
import torch
from betwixt.common.errors import BetwixtError
from betwixt.fcvg_core.lines.matches import LineMatches
from betwixt.fcvg_core.tweening.easing import named_easing
from betwixt.rerender_core.flow.estimation import DenseInverseSearch, estimate_flow

from support.run_node import run

HEIGHT, WIDTH = 96, 160
WAY = 24  # px the square goes between neighbouring key frames


@pytest.fixture(scope="module")
def nodes(host):
    from betwixt.nodes.inbetween import layers, rendering

    return layers.FindMotionLayers, rendering.InbetweenWithoutModel


@pytest.fixture(scope="module")
def keys():
    """Three key frames: a textured square goes to the right over a textured ground."""
    random = np.random.default_rng(5)
    ground, square = (
        cv2.normalize(cv2.GaussianBlur(random.random((*size, 3)).astype(np.float32), (0, 0), 2), None, low, high, norm)
        for size, low, high, norm in (((HEIGHT, WIDTH), 0, 0.45, cv2.NORM_MINMAX), ((40, 40), 0.55, 1, cv2.NORM_MINMAX))
    )
    frames = np.repeat(ground[None], 3, axis=0)
    for number, frame in enumerate(frames):
        frame[28:68, 20 + WAY * number : 60 + WAY * number] = square
    return torch.from_numpy(frames)


def centre_of_square(frame: torch.Tensor) -> float:
    """Its x: of what is brighter than the ground can be."""
    bright = frame.mean(dim=-1) > 0.5
    return float(torch.nonzero(bright)[:, 1].float().mean())


def test_key_frames_are_exact_and_the_square_follows_the_timing(nodes, keys):
    frames, confidence, tracks, flow = run(
        nodes[1],
        start_image=keys[:1],
        end_image=keys[1:2],
        frame_count=7,
        **{"timing": "easing", "timing.easing": "quad-in"},
    )
    assert frames.shape == (7, HEIGHT, WIDTH, 3) and frames.dtype == torch.float32
    assert torch.equal(frames[0], keys[0]) and torch.equal(frames[-1], keys[1])
    expected = named_easing("quad-in")(np.arange(7) / 6) * WAY
    moved = np.array([centre_of_square(frame) for frame in frames]) - centre_of_square(keys[0])
    assert np.abs(moved - expected).max() < 1.0
    assert confidence.shape == (7, HEIGHT, WIDTH)
    assert confidence[3].mean() > 0.9
    assert flow.pairs == ((0, 6),) and flow.size == (HEIGHT, WIDTH)
    assert torch.allclose(flow.forward[0, 40:60, 35:50, 0], torch.tensor(float(WAY)), atol=0.3)
    assert tracks["track_path"].shape[0] == 7 and tracks["track_path"].shape[1:] == tracks["track_visibility"].shape[
        1:
    ] + (2,)


def test_layers_found_before_give_the_same_frames(nodes, keys):
    pair = {"start_image": keys[:1], "end_image": keys[1:2]}
    layers, preview, unknown = run(nodes[0], **pair)
    assert len(layers) == 1 and preview.shape == unknown.shape == (1, HEIGHT, 2 * WIDTH, 3)
    assert layers[0].unexplained < 0.1
    without = run(nodes[1], frame_count=5, **pair)[0]
    assert torch.equal(run(nodes[1], frame_count=5, layers=layers, **pair)[0], without)


def test_layers_are_found_once_for_the_same_key_frames(nodes, keys, monkeypatch):
    from betwixt.nodes.inbetween import layers as module

    calls = []
    monkeypatch.setattr(module, "find_layers", module.LayerFinder())
    found = module.layers_of_pair
    monkeypatch.setattr(module, "layers_of_pair", lambda *given: calls.append(1) or found(*given))
    finder = module.LayerFinder()
    for _ in range(2):
        finder(keys, [(0, 1), (1, 2)], "full")
    assert len(calls) == 2
    finder(keys, [(0, 1)], "quick")
    assert len(calls) == 3


def test_several_key_frames_and_a_loop(nodes, keys):
    frames, confidence, tracks, flow = run(
        nodes[1], start_image=keys[:2], end_image=keys[2:], frame_count=4, frames_per_gap="4, 5, 3", loop=True
    )
    assert len(frames) == len(confidence) == 4 + 4 + 1  # key frames at joints stand once, the first one does not return
    for number, key in ((0, 0), (3, 1), (7, 2)):
        assert torch.equal(frames[number], keys[key])
    assert flow.pairs == ((0, 3), (3, 7), (7, 0))
    assert not tracks["track_visibility"][8, : tracks["track_visibility"].shape[1] // 3].any()


def test_published_timing_leaves_its_doubled_frames_out_at_joints(nodes, keys):
    frames = run(nodes[1], start_image=keys[:2], end_image=keys[2:], frame_count=6, timing="published")[0]
    assert len(frames) == 2 * 6 - 3
    flow = run(nodes[1], start_image=keys[:2], end_image=keys[2:], frame_count=6, timing="published")[3]
    assert flow.pairs == ((0, 4), (4, 8))


def test_holds_repeat_frames(nodes, keys):
    frames = run(nodes[1], start_image=keys[:1], end_image=keys[1:2], frame_count=7, hold=3)[0]
    assert torch.equal(frames[3], frames[5]) and not torch.equal(frames[3], frames[2])


def test_a_drawn_path_carries_the_square_as_a_whole(nodes, keys):
    hop = '[{"x": 40, "y": 48}, {"x": 52, "y": 28}, {"x": 64, "y": 48}]'
    drawn = {"path": "drawn", "path.radius": 30, "path.coordinates": hop}
    frames = run(nodes[1], start_image=keys[:1], end_image=keys[1:2], frame_count=3, **drawn)[0]
    bright = torch.nonzero(frames[1].mean(dim=-1) > 0.5).float()
    still = torch.nonzero(keys[0].mean(dim=-1) > 0.5).float()
    assert abs(float(bright[:, 0].mean() - still[:, 0].mean()) + 20) < 1.5
    assert abs(float(bright[:, 0].std() - still[:, 0].std())) < 1.0


def test_overshoot_goes_on_along_the_way(nodes, keys):
    frames = run(
        nodes[1], start_image=keys[:1], end_image=keys[1:2], frame_count=3, timing="chart", **{"timing.chart": "1.25"}
    )[0]
    assert abs(centre_of_square(frames[1]) - centre_of_square(keys[0]) - 1.25 * WAY) < 1.0


def test_identical_key_frames_are_held(nodes, keys):
    frames = run(nodes[1], start_image=keys[:1], end_image=keys[:1], frame_count=4)[0]
    assert all(torch.equal(frame, keys[0]) for frame in frames)


def test_given_matches_and_flow_are_used_and_checked(nodes, keys):
    pair = {"start_image": keys[:1], "end_image": keys[1:2], "frame_count": 3}
    none = LineMatches(np.zeros((0, 2, 2)), np.zeros((0, 2, 2)), np.zeros(0), (HEIGHT, WIDTH))
    flow = estimate_flow(keys[:2], [(0, 1)], DenseInverseSearch())
    assert run(nodes[1], line_matches=none, flow=flow, **pair)[0].shape[0] == 3
    other = LineMatches(np.zeros((0, 2, 2)), np.zeros((0, 2, 2)), np.zeros(0), (WIDTH, HEIGHT))
    with pytest.raises(BetwixtError, match="96x160 pictures"):
        run(nodes[1], line_matches=other, **pair)
    with pytest.raises(BetwixtError, match="one pair of key frames"):
        run(nodes[1], start_image=keys[:2], end_image=keys[2:], frame_count=3, line_matches=none)
    small = estimate_flow(keys[:2, :64], [(0, 1)], DenseInverseSearch())
    with pytest.raises(BetwixtError, match="flow is 160x64"):
        run(nodes[1], flow=small, **pair)
    with pytest.raises(BetwixtError, match="lacks the pair 0-1"):
        run(nodes[1], flow=estimate_flow(keys[:2], [(1, 0)], DenseInverseSearch()), **pair)


def test_layers_of_other_key_frames_are_refused(nodes, keys):
    layers = run(nodes[0], start_image=keys[:1], end_image=keys[1:2])[0]
    with pytest.raises(BetwixtError, match="other pictures than key frame 2"):
        run(nodes[1], start_image=keys[:1], end_image=keys[2:], frame_count=3, layers=layers)
    with pytest.raises(BetwixtError, match="1 gaps between key frames, and there are 2"):
        run(nodes[1], start_image=keys[:2], end_image=keys[2:], frame_count=3, layers=layers)


def test_bad_pictures_are_refused(nodes, keys):
    with pytest.raises(BetwixtError, match="'start_image' is 160x96 and 'end_image' is 80x96"):
        run(nodes[1], start_image=keys[:1], end_image=keys[1:2, :, :80], frame_count=3)
    with pytest.raises(BetwixtError, match="'end_image' is a batch of 2 frames"):
        run(nodes[1], start_image=keys[:1], end_image=keys[1:], frame_count=3)
    broken = keys[:1].clone()
    broken[0, 5, 5] = float("nan")
    with pytest.raises(BetwixtError, match="NaN"):
        run(nodes[1], start_image=broken, end_image=keys[1:2], frame_count=3)


def test_alpha_is_dropped(nodes, keys):
    clear = torch.cat([keys[:1], torch.zeros(1, HEIGHT, WIDTH, 1)], dim=-1)
    assert torch.equal(run(nodes[1], start_image=clear, end_image=keys[1:2], frame_count=2)[0][0], keys[0])


def test_pictures_with_nothing_in_common_dissolve_with_a_notice(nodes, caplog):
    x, y = np.meshgrid(np.linspace(0, 1, 96, dtype=np.float32), np.linspace(0, 1, 64, dtype=np.float32))
    rings, stripes = np.sin(40 * np.hypot(x - 0.5, y - 0.4)), np.sign(np.sin(45 * x + 30 * y))
    pictures = torch.from_numpy(np.repeat(np.stack([rings, stripes])[..., None] / 2 + 0.5, 3, axis=-1))
    frames, confidence, _, _ = run(nodes[1], start_image=pictures[:1], end_image=pictures[1:], frame_count=3)
    assert "is not known" in caplog.text
    assert confidence[1].mean() < 0.6
    assert (frames[1] - pictures.mean(dim=0)).abs().mean() < 0.25


def test_cancel_stops_within_a_frame(nodes, keys, monkeypatch):
    import comfy.model_management as management

    layers = run(nodes[0], start_image=keys[:1], end_image=keys[1:2])[0]
    from betwixt.fcvg_core.inbetween.rendering.layer_renderer import LayerRenderer

    made, render = [], LayerRenderer.frame_and_holes

    def frame(renderer, time):
        made.append(time)
        if len(made) == 3:
            management.interrupt_current_processing()
        return render(renderer, time)

    monkeypatch.setattr(LayerRenderer, "frame_and_holes", frame)
    with pytest.raises(management.InterruptProcessingException):
        run(nodes[1], start_image=keys[:1], end_image=keys[1:2], frame_count=100, layers=layers)
    assert len(made) == 3


def test_poses_must_be_those_of_every_key_frame(nodes, keys):
    nobody = [{"people": [], "canvas_width": WIDTH, "canvas_height": HEIGHT}]
    pair = {"start_image": keys[:1], "end_image": keys[1:2], "frame_count": 3}
    assert len(run(nodes[1], start_poses=nobody, end_poses=nobody, **pair)[0]) == 3
    assert len(run(nodes[1], start_poses=nobody * 2, **pair)[0]) == 3
    with pytest.raises(BetwixtError, match="2 key frames, and poses of 1"):
        run(nodes[1], start_poses=nobody, **pair)
    square = [{"people": [], "canvas_width": 100, "canvas_height": 100}]
    with pytest.raises(BetwixtError, match="aspect"):
        run(nodes[1], start_poses=nobody, end_poses=square, **pair)


@pytest.mark.parametrize("timing", ["published", "even"])
def test_gaps_joined_are_the_whole_loop(nodes, keys, timing, host):
    from betwixt.nodes.clips.segments import JoinSegments

    inputs = {
        "start_image": keys[:2],
        "end_image": keys[2:],
        "loop": True,
        "frames_per_gap": "5, 4, 6",
        "timing": timing,
    }
    whole, confidence, *_ = run(nodes[1], **inputs)
    parts = [run(nodes[1], **inputs, gaps=text) for text in ("1", "2", "3")]
    assert [len(part[0]) for part in parts] == [5, 4, 6]
    joint = {"loop": [True], "published_timing": [timing == "published"]}
    (joined,) = run(JoinSegments, segments=[part[0] for part in parts], **joint)
    assert torch.equal(joined, whole)
    (shown,) = run(JoinSegments, segments=[part[1][..., None] for part in parts], **joint)
    assert torch.equal(shown[..., 0], confidence)
    layers = run(nodes[0], start_image=keys[:2], end_image=keys[2:], loop=True, detail="full", gaps="2")[0]
    assert torch.equal(run(nodes[1], **inputs, gaps="2", layers=layers)[0], parts[1][0])
    with pytest.raises(BetwixtError, match="with the same 'loop' and 'gaps'"):
        run(nodes[1], **inputs, layers=layers)


def test_each_gap_may_have_its_own_timing(nodes, keys):
    several = {"start_image": keys[:2], "end_image": keys[2:], "frame_count": 5}
    even = run(nodes[1], **several)[0]
    own = run(nodes[1], timing_per_gap="\n1/8, 1/4, 1/2", **several)[0]
    assert torch.equal(own[:5], even[:5]) and not torch.equal(own[5], even[5])
    assert torch.equal(own[7], even[6])  # the chart is half-way one frame later
    with pytest.raises(BetwixtError, match="1 lines, and there are 2 gaps"):
        run(nodes[1], timing_per_gap="quad-in", **several)


def test_a_masked_thing_moves_as_a_whole(nodes, keys):
    square = torch.zeros(HEIGHT, WIDTH)
    square[28:68, 20:60] = 1
    empty = torch.zeros(HEIGHT, WIDTH)
    pair = {"start_image": keys[:1], "end_image": keys[1:2]}
    (layers,) = run(nodes[0], masks=torch.stack([square, empty]), **pair)[0]
    own = square.numpy() > 0
    assert len(np.unique(layers.label[0][own])) == 1
    assert np.abs(layers.displacement[0][own] - (WAY, 0)).max() < 1
    with pytest.raises(BetwixtError, match="'masks' is connected and there are 2 gaps"):
        run(nodes[0], masks=square[None], start_image=keys[:2], end_image=keys[2:])
    with pytest.raises(BetwixtError, match="'masks' holds 1 mask"):
        run(nodes[0], masks=square[None, :40], **pair)


def test_a_last_key_frame_of_another_size_can_be_fitted(nodes, keys):
    large = torch.nn.functional.interpolate(keys[1:2].movedim(-1, 1), scale_factor=2).movedim(1, -1)
    pair = {"start_image": keys[:1], "end_image": large, "frame_count": 3}
    with pytest.raises(BetwixtError, match="Set 'fit'"):
        run(nodes[1], **pair)
    frames = run(nodes[1], fit="crop", **pair)[0]
    assert frames.shape == (3, HEIGHT, WIDTH, 3)
    assert (frames[2] - keys[1]).abs().mean() < 0.02


def test_a_model_of_the_host_fills_what_is_not_known(nodes, host):
    from comfy.model_patcher import CoreModelPatcher
    from comfy_extras.frame_interpolation_models.ifnet import IFNet

    torch.manual_seed(0)
    network = IFNet(channels=(8, 8, 8, 8, 8)).eval()
    for weights in network.parameters():
        torch.nn.init.normal_(weights, std=0.02)
    model = CoreModelPatcher(network, load_device=torch.device("cpu"), offload_device=torch.device("cpu"))
    pair = torch.rand(2, HEIGHT, WIDTH, 3)  # nothing in common
    inputs = {"start_image": pair[:1], "end_image": pair[1:], "frame_count": 3}
    plain, confidence, *_ = run(nodes[1], **inputs)
    filled = run(nodes[1], interp_model=model, **inputs)[0]
    assert torch.equal(filled[0], pair[0]) and torch.equal(filled[2], pair[1])
    unknown = confidence[1] < 0.1
    assert unknown.float().mean() > 0.5
    with torch.inference_mode():
        padded = torch.nn.functional.pad(pair.movedim(-1, 1), (0, 32, 0, 32), mode="reflect")
        alone = network(padded[:1], padded[1:], timestep=0.5)[0, :, :HEIGHT, :WIDTH].movedim(0, -1).clamp(0, 1)
    known = confidence[1][..., None]
    expected = plain[1] + (1 - known) * (alone - plain[1])
    assert (filled[1] - expected).abs().max() < 1e-5


def test_holes_may_be_filled_with_patches(nodes, keys):
    """Seen through a picture that turns: its corners are shown by neither key frame half-way."""
    turned = cv2.warpAffine(
        keys[0].numpy(), cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), 24, 1), (WIDTH, HEIGHT), borderMode=4
    )
    pair = {"start_image": keys[:1], "end_image": torch.from_numpy(turned)[None]}
    (layers,) = run(nodes[0], **pair)[:1]
    pair["frame_count"] = 3
    plain = run(nodes[1], layers=layers, **pair)
    assert torch.equal(run(nodes[1], layers=layers, holes="drawn out", **pair)[0], plain[0])
    frames, confidence, *_ = run(nodes[1], layers=layers, holes="patches", **pair)
    assert torch.equal(frames[0], keys[0]) and torch.equal(frames[2], pair["end_image"][0])
    assert torch.equal(confidence, plain[1])
    changed = (frames[1] != plain[0][1]).any(dim=-1)
    assert changed.any() and (confidence[1][changed] == 0).all()
    with pytest.raises(BetwixtError, match="holes"):
        run(nodes[1], layers=layers, holes="ebsynth", **pair)
