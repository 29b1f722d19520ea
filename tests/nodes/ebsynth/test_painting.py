import pytest
import torch
from betwixt.common.errors import BetwixtError

SIZE = (64, 80)


@pytest.fixture(scope="module")
def nodes(host):
    from betwixt.nodes.ebsynth import painting as ebsynth

    return ebsynth


def run(node, **inputs):
    from comfy_api.latest import io

    node.GET_SCHEMA()
    return node.PREPARE_CLASS_CLONE({"hidden_inputs": {io.Hidden.unique_id: None}}).execute(**inputs).args


def clip(count=5):
    """A bright square that moves two pixels a frame over a gradient."""
    frames = torch.zeros(count, *SIZE, 3)
    frames += torch.linspace(0.1, 0.5, SIZE[1])[None, None, :, None]
    for index in range(count):
        frames[index, 20:40, 20 + 2 * index : 40 + 2 * index] = torch.tensor([0.9, 0.7, 0.2])
    return frames


def painted(frames):
    return (frames * torch.tensor([0.4, 1.0, 0.7])).clamp(0, 1)


def keys(nodes, frames, numbers):
    return run(nodes.PlaceKeyframes, pictures=painted(frames[numbers]), numbers=", ".join(map(str, numbers)))[0]


def settings(nodes, **changes):
    values = {
        name: entry.default for name, entry in ((e.id, e) for e in nodes.PatchSynthesisSettings.GET_SCHEMA().inputs)
    }
    return run(
        nodes.PatchSynthesisSettings,
        **{**values, "search_votes": 3, "match_iterations": 2, "engine": "torch", **changes},
    )[0]


def stylise(nodes, frames, numbers, **changes):
    from betwixt.rerender_core.flow.estimation import DenseInverseSearch

    inputs = {
        "frames": frames,
        "keys": changes.get("keys") or keys(nodes, frames, numbers),
        "flow_model": DenseInverseSearch(),
        "scene_cuts": "none",
        "mask_use": "before",
        "feather": 0.0,
        "blend": "poisson",
        "on_cancel": "stop",
        "settings": settings(nodes),
        **changes,
    }
    return run(nodes.StyliseClip, **inputs)


@pytest.mark.parametrize("numbers", [[0, 4], [2], [1, 3]])
def test_clip_is_painted_like_its_keys(nodes, numbers):
    frames = clip()
    kept = frames.clone()
    out, report = stylise(nodes, frames, numbers)
    assert out.shape == frames.shape and torch.equal(frames, kept)
    error = (out - painted(frames)).abs()
    assert float(error.mean()) < 0.02
    for number in numbers:
        torch.testing.assert_close(out[number], painted(frames[number]))
    assert report.startswith("Colour drift (Delta E): mean")


def test_masks_limit_what_is_painted(nodes):
    frames, mask = clip(), torch.zeros(1, *SIZE)
    mask[:, :, :40] = 1
    for use in ("before", "after"):
        out, _ = stylise(nodes, frames, [0, 4], mask=mask, mask_use=use)
        torch.testing.assert_close(out[:, :, 40:], frames[:, :, 40:])
        assert float((out[:, :, :40] - painted(frames[:, :, :40])).abs().mean()) < 0.02
    out, report = stylise(nodes, frames, [0, 4], mask=torch.zeros(1, *SIZE))
    torch.testing.assert_close(out, frames)
    assert report.startswith("Colour drift: nothing was stylised.")


def test_long_intervals_are_kept_in_a_file_with_the_same_result(nodes, monkeypatch):
    from betwixt.rerender_core.ebsynth import frame_store

    frames = clip()
    in_memory, _ = stylise(nodes, frames, [0, 4])
    files, memmap = [], frame_store.np.memmap
    monkeypatch.setattr(frame_store, "IN_MEMORY", 0)
    monkeypatch.setattr(frame_store.np, "memmap", lambda *args, **more: files.append(args) or memmap(*args, **more))
    on_disk, _ = stylise(nodes, frames, [0, 4])
    assert len(files) == 9 and torch.equal(in_memory, on_disk)  # two sides of three arrays, the flow's three


def test_drift_leaves_out_what_the_mask_leaves_out():
    from betwixt.rerender_core.ebsynth.colour_drift import colour_drift, drift_report
    from betwixt.rerender_core.ebsynth.stylised_keys import StylisedKeys

    frames = torch.zeros(3, 8, 8, 3)
    frames[1] = 1.0  # a flash, but for the painted part
    frames[:, :, :4] = torch.tensor([0.8, 0.2, 0.1])
    keys = StylisedKeys.of(frames[[0, 2]], [0, 2])
    painted = torch.zeros(3, 8, 8, dtype=torch.bool)
    painted[:, :, :4] = True
    assert colour_drift(frames, keys).max() > 20 and colour_drift(frames, keys, painted).max() < 1e-6
    painted[1] = False
    drift = colour_drift(frames, keys, painted)
    assert torch.isnan(torch.tensor(drift)).tolist() == [False, True, False]
    assert drift_report(drift).endswith("\n0.0, -, 0.0")


def test_propagation_and_blending_apart_give_the_same(nodes):
    frames = clip()
    together, _ = stylise(nodes, frames, [0, 4])
    from betwixt.rerender_core.flow.estimation import DenseInverseSearch

    inputs = {"scene_cuts": "none", "mask_use": "before", "feather": 0.0, "settings": settings(nodes)}
    parts, left, right, error_left, error_right, matches = run(
        nodes.EbSynthPropagate,
        frames=frames,
        keys=keys(nodes, frames, [0, 4]),
        flow_model=DenseInverseSearch(),
        **inputs,
    )
    blend = {"blend": "poisson", "solver": "cosine", "published_weights": False, "mirrored_errors": False}
    out, selection, _ = run(nodes.EbSynthBlend, propagation=parts, **blend, keep_precision=True)
    torch.testing.assert_close(out, together)
    assert left.shape == right.shape == matches.shape == frames.shape
    assert float(torch.stack([error_left, error_right]).max()) == 1.0 and float(selection.mean()) > 0


@pytest.mark.parametrize("changes", [{}, {"voting": "weighted"}, {"voting": "clamped", "extra_pass": True}])
def test_float_keys_keep_their_precision(nodes, changes):
    from betwixt.rerender_core.ebsynth.stylised_keys import StylisedKeys

    bright = StylisedKeys.of(torch.full((1, *SIZE, 3), 0.5012345) * torch.tensor([1.0, 2.5, 0.3]), [0])
    out, _ = stylise(nodes, clip(3), [0], keys=bright, settings=settings(nodes, **changes))
    torch.testing.assert_close(out[2], bright.frames[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "changes",
    [
        {"voting": "weighted"},
        {"extra_pass": True},
        {"pyramid_levels": 1},
        {"stop_threshold": 40},
        {"schedule": "reference"},
        {"reuse_matches": True},
        {"occlusion": "fill"},
        {"patch_size": 7},
        {"temporal_weight": 0.0},
    ],
)
def test_settings_reach_the_synthesis_and_paint_as_well(nodes, changes):
    frames = clip(4)
    frames[:, 10:14] = torch.rand(4, 4, SIZE[1], 3, generator=torch.Generator().manual_seed(0))
    plain, _ = stylise(nodes, frames, [0, 3])
    changed, _ = stylise(nodes, frames, [0, 3], settings=settings(nodes, **changes))
    assert not torch.equal(changed, plain)
    assert float((changed - painted(frames)).abs().mean()) < 1.3 * float((plain - painted(frames)).abs().mean())


def measured(frames, pairs=None):
    from betwixt.rerender_core.flow.estimation import DenseInverseSearch, estimate_flow, neighbour_pairs

    return estimate_flow(frames, pairs or neighbour_pairs(len(frames)), DenseInverseSearch())


def motionless(count, size):
    """No motion, also for pictures that are too small for an estimator."""
    from betwixt.rerender_core.flow.estimation import Flow, neighbour_pairs

    pairs = tuple(neighbour_pairs(count))
    nothing = torch.zeros(len(pairs), *size, 2)
    return Flow(nothing, nothing.clone(), nothing[..., 0].bool(), pairs)


def test_without_settings_the_defaults_of_their_node_are_used(nodes):
    from betwixt.rerender_core.ebsynth.propagation import PropagationOptions

    assert settings(nodes, search_votes=6, match_iterations=4, engine="auto") == PropagationOptions()


def test_flow_that_was_measured_before_gives_the_same(nodes):
    frames = clip()
    expected, _ = stylise(nodes, frames, [1, 3])
    out, _ = stylise(nodes, frames, [1, 3], flow_model=None, flow=measured(frames))
    assert torch.equal(out, expected)


def test_flow_that_does_not_fit_the_clip_is_refused(nodes):
    frames = clip()
    broken = measured(frames)
    broken.forward[2, 5, 5, 0] = torch.inf
    for flow, message in (
        (measured(frames[:4]), r"lacks the pair 3-4 \(1 of 4"),
        (measured(frames, [(1, 0), (2, 1), (3, 2), (4, 3)]), "lacks the pair 0-1"),
        (measured(frames[:, :, :72]), "flow is 72x64 and the frames connected to 'frames' are 80x64"),
        (broken, "NaN or infinite"),
    ):
        with pytest.raises(BetwixtError, match=message):
            stylise(nodes, frames, [0, 4], flow_model=None, flow=flow)
    with pytest.raises(BetwixtError, match="Neither 'flow_model' nor 'flow'"):
        stylise(nodes, frames, [0, 4], flow_model=None)


@pytest.mark.parametrize("size", [(37, 53), (23, 91), (12, 40)])
def test_odd_sizes_and_sizes_below_the_pyramid(nodes, size):
    frames = torch.nn.functional.interpolate(clip(3).movedim(-1, 1), size).movedim(1, -1)
    placed = run(nodes.PlaceKeyframes, pictures=painted(frames[:1]), numbers="0")[0]
    out, _ = stylise(nodes, frames, [0], keys=placed, flow_model=None, flow=motionless(3, size))
    assert out.shape == frames.shape
    assert float((out - painted(frames)).abs().mean()) < 0.06


def test_a_clip_of_one_frame_is_its_key_frame(nodes):
    frames = clip(1)
    out, report = stylise(nodes, frames, [0], flow_model=None)
    torch.testing.assert_close(out, painted(frames))
    assert "mean 0.0" in report


def test_alpha_and_grey_clips_are_taken_by_their_colours(nodes):
    frames = clip(3)
    expected, _ = stylise(nodes, frames, [0])
    with_alpha = torch.cat([frames, torch.rand(3, *SIZE, 1)], dim=-1)
    out, _ = stylise(nodes, with_alpha, [0], keys=keys(nodes, frames, [0]))
    assert torch.equal(out, expected)
    flat, _ = stylise(nodes, torch.full((3, *SIZE, 1), 0.5), [0], keys=keys(nodes, frames, [0]))
    assert flat.shape == frames.shape and torch.isfinite(flat).all()


def test_previews_show_the_frames_as_they_are_made(nodes, monkeypatch):
    import comfy.utils

    shown = []

    def update(self, value, total=None, preview=None):
        if preview is not None:
            shown.append((value, preview))

    monkeypatch.setattr(comfy.utils.ProgressBar, "update_absolute", update)
    stylise(nodes, clip(), [0, 4])
    values = [value for value, _ in shown]
    assert len(shown) == 3 and values == sorted(values) and values[-1] == 1000  # both sides of a frame come at once
    kind, picture, _ = shown[0][1]
    assert kind == "JPEG" and picture.size == SIZE[::-1] and picture.getextrema()[0][1] > 50


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ("0, x", "'x' in 'numbers'"),
        ("0, 0", "0 is doubled"),
        ("", "2 key pictures and 0"),
        ("0", "2 key pictures and 1"),
    ],
)
def test_wrong_numbers(nodes, numbers, message):
    with pytest.raises(BetwixtError, match=message):
        run(nodes.PlaceKeyframes, pictures=clip(2), numbers=numbers)


def test_wrong_clips_and_masks(nodes):
    frames = clip()
    with pytest.raises(BetwixtError, match="frames 0..2"):
        stylise(nodes, frames[:3], [0], keys=keys(nodes, frames, [0, 4]))
    with pytest.raises(BetwixtError, match="80x64, the clip 72x64"):
        stylise(nodes, frames[:, :, :72], [0], keys=keys(nodes, frames, [0]))
    with pytest.raises(BetwixtError, match="3 masks of 80x64"):
        stylise(nodes, frames, [0], mask=torch.ones(3, *SIZE))
    broken = frames.clone()
    broken[1, 0, 0, 0] = torch.nan
    with pytest.raises(BetwixtError, match="Frame 1 of 'frames'"):
        stylise(nodes, broken, [0], keys=keys(nodes, frames, [0]))
    with pytest.raises(BetwixtError, match="Frame 0 of 'pictures' contains NaN or infinite"):
        run(nodes.PlaceKeyframes, pictures=clip(1) / 0, numbers="0")
    with pytest.raises(BetwixtError, match="shortest side of the pictures is 10 px, the patch size 5"):
        stylise(nodes, frames[:, :10], [0], flow_model=None, flow=motionless(5, (10, 80)))
    with pytest.raises(BetwixtError, match="All four guide weights"):
        names = ("colour_weight", "edge_weight", "temporal_weight", "position_weight")
        settings(nodes, **dict.fromkeys(names, 0.0))


def test_a_scene_without_a_key_frame_is_refused(nodes):
    frames = torch.cat([clip(3), 1 - clip(3)])
    with pytest.raises(BetwixtError, match="frames 3..5 holds no key frame"):
        stylise(nodes, frames, [0], scene_cuts="find")
    out, _ = stylise(nodes, frames, [1, 4], scene_cuts="find")
    assert float((out - painted(frames)).abs().mean()) < 0.03


def test_cancel_keeps_what_is_finished(nodes):
    import comfy.model_management as management

    frames = clip(7)
    from betwixt.rerender_core.flow.estimation import DenseInverseSearch

    def cancelled_late(self, first, second):
        calls.append(1)
        if len(calls) > 3:
            raise management.InterruptProcessingException
        return DenseInverseSearch.estimate(self, first, second)

    calls = []
    model = type("Late", (DenseInverseSearch,), {"estimate": cancelled_late})()
    out, _ = stylise(nodes, frames, [0, 3, 6], flow_model=model, on_cancel="keep finished frames")
    assert float((out[:4] - painted(frames[:4])).abs().mean()) < 0.02
    torch.testing.assert_close(out[4:6], frames[4:6])
    calls.clear()
    with pytest.raises(management.InterruptProcessingException):
        stylise(nodes, frames, [0, 3, 6], flow_model=model, on_cancel="stop")


@pytest.mark.parametrize("numbers", [[0, 2, 4], [1, 3], [2, 3]])
def test_intervals_in_order_are_the_whole_clip(nodes, numbers):
    frames = clip()
    whole, report = stylise(nodes, frames, numbers)
    made = [stylise(nodes, frames, numbers, intervals=text) for text in ("1", "2")]
    if numbers == [1, 3]:
        made.append(stylise(nodes, frames, numbers, intervals="3"))
    assert torch.equal(torch.cat([part for part, _ in made]), whole)
    values = ", ".join(text.split("\n")[1] for _, text in made)
    assert values == report.split("\n")[1]
    with pytest.raises(BetwixtError, match="'intervals' is '4'"):
        stylise(nodes, frames, numbers, intervals="4")


def test_the_two_nodes_make_an_interval_of_the_whole_as_well(nodes):
    from betwixt.rerender_core.flow.estimation import DenseInverseSearch

    frames = clip()
    inputs = {"scene_cuts": "none", "mask_use": "before", "feather": 0.0, "settings": settings(nodes)}
    inputs |= {"frames": frames, "keys": keys(nodes, frames, [0, 2, 4]), "flow_model": DenseInverseSearch()}
    blend = {"blend": "poisson", "solver": "cosine", "published_weights": False, "mirrored_errors": False}

    def made(**part):
        propagated = run(nodes.EbSynthPropagate, **inputs, **part)
        return propagated, run(nodes.EbSynthBlend, propagation=propagated[0], **blend, keep_precision=True)

    (_, left, *_), (out, selection, _) = made()
    (_, part_left, *_), (part, part_selection, _) = made(intervals="2")
    assert torch.equal(part, out[2:]) and torch.equal(part_selection, selection[2:])
    assert torch.equal(part_left, left[2:])
