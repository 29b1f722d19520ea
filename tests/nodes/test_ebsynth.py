import pytest
import torch
from betwixt.common.errors import BetwixtError

SIZE = (64, 80)


@pytest.fixture(scope="module")
def nodes(host):
    from betwixt.nodes import ebsynth

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
    return run(nodes.PlaceKeyFrames, pictures=painted(frames[numbers]), numbers=", ".join(map(str, numbers)))[0]


def settings(nodes, **changes):
    values = {
        name: entry.default for name, entry in ((e.id, e) for e in nodes.PatchSynthesisSettings.GET_SCHEMA().inputs)
    }
    return run(
        nodes.PatchSynthesisSettings,
        **{**values, "search_votes": 3, "match_iterations": 2, "engine": "torch", **changes},
    )[0]


def stylise(nodes, frames, numbers, **changes):
    from betwixt.rerender_core.flow import DenseInverseSearch

    inputs = {
        "frames": frames,
        "keys": keys(nodes, frames, numbers),
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
    out, _ = stylise(nodes, frames, [0, 4], mask=torch.zeros(1, *SIZE))
    torch.testing.assert_close(out, frames)


def test_propagation_and_blending_apart_give_the_same(nodes):
    frames = clip()
    together, _ = stylise(nodes, frames, [0, 4])
    from betwixt.rerender_core.flow import DenseInverseSearch

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


def test_float_keys_keep_their_precision(nodes):
    frames = clip(3)
    from betwixt.rerender_core.flow import DenseInverseSearch
    from betwixt.rerender_core.stylized_keys import StylizedKeys

    bright = StylizedKeys.of(torch.full((1, *SIZE, 3), 0.5012345) * torch.tensor([1.0, 2.5, 0.3]), [0])
    out, _ = stylise(nodes, frames, [0], keys=bright, flow_model=DenseInverseSearch())
    torch.testing.assert_close(out[2], bright.frames[0], atol=1e-5, rtol=0)


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
        run(nodes.PlaceKeyFrames, pictures=clip(2), numbers=numbers)


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
    from betwixt.rerender_core.flow import DenseInverseSearch

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
