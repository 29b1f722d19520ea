"""The measuring nodes through the host: outputs, options, and what is refused."""

import math

import pytest
import torch
from betwixt.common.errors import BetwixtError
from betwixt.rerender_core.flow.estimation import Flow


@pytest.fixture
def nodes(host):
    from betwixt.nodes.measures import clip, comparison

    return {node.__name__: node for node in (*clip.NODES, *comparison.NODES)}


def moving(frames: int = 4, shift: int = 2) -> tuple[torch.Tensor, Flow]:
    """A pattern that moves to the right, and its exact flow."""
    texture = torch.rand(24, 64, 3, generator=torch.Generator().manual_seed(0))
    clip = torch.stack([torch.roll(texture, shift * t, dims=1)[:, 20:60] for t in range(frames)])
    flow = torch.zeros(frames - 1, 24, 40, 2)
    flow[..., 0] = shift
    occluded = torch.zeros(frames - 1, 24, 40, dtype=torch.bool)
    occluded[..., :shift] = True
    return clip, Flow(flow, -flow, occluded, tuple((t, t + 1) for t in range(frames - 1)))


def measured(nodes, frames, measure, mask=None, **inputs):
    return nodes["MeasureClip"].execute(frames, {"measure": measure, **inputs}, mask).args


def test_every_measure_of_a_clip_gives_all_outputs(nodes):
    clip, flow = moving()
    clip = torch.nn.functional.interpolate(clip.movedim(-1, 1), scale_factor=4).movedim(1, -1).contiguous()
    forward = flow.forward.repeat_interleave(4, 1).repeat_interleave(4, 2) * 4
    occluded = flow.occlusion.repeat_interleave(4, 1).repeat_interleave(4, 2)
    flow = Flow(forward, -forward, occluded, flow.pairs)
    extra = {
        **dict.fromkeys(("warp error", "Pixel-MSE"), {"flow": flow}),
        "pace": {"flow": flow, "chart": ""},
        **dict.fromkeys(("end-frame error", "colour distance"), {"start": clip[:1], "end": clip[-1:]}),
    }
    options = nodes["MeasureClip"].GET_SCHEMA().inputs[1].options
    assert len(options) == 8
    for option in options:
        value, per_frame, plot, heat, summary = measured(nodes, clip, option.key, **extra.get(option.key, {}))
        assert math.isfinite(value) and all(map(math.isfinite, per_frame)), option.key
        assert plot.shape == (1, 480, 960, 3) and heat.shape == (1, 96, 160, 3), option.key
        assert plot.std() > 0.05 and summary.lower().startswith(option.key.lower()), option.key
        if option.key in ("warp error", "Pixel-MSE", "pace", "end-frame error"):
            assert value == pytest.approx(0, abs=1e-6), option.key


def test_the_pairs_are_taken_in_their_order(nodes):
    clip, flow = moving()
    clip = clip + torch.tensor([0, 0.1, 0.3, 0.3])[:, None, None, None]
    order = [2, 0, 1]
    shuffled = Flow(
        flow.forward[order], flow.backward[order], flow.occlusion[order], tuple(flow.pairs[n] for n in order)
    )
    for given in (flow, shuffled):
        assert measured(nodes, clip, "Pixel-MSE", flow=given)[1] == pytest.approx([0.01, 0.04, 0], abs=1e-5)


def test_the_chart_is_the_timing_chart_of_the_pack(nodes):
    clip, flow = moving()
    behind = measured(nodes, clip, "pace", flow=flow, chart="1/2, 3/4")[1]
    assert behind == pytest.approx([0, 1 / 3 - 0.5, 2 / 3 - 0.75, 0], abs=1e-6)
    with pytest.raises(BetwixtError, match="3 entries and the clip 4 frames"):
        measured(nodes, clip, "pace", flow=flow, chart="1/4 1/2 3/4")


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (moving(3)[0], None),
        (moving(5)[0], "lacks the pair 3-4"),
        (moving(4)[0][:, :12], "The flow is 40x24 and the measured frames are 40x12"),
        (moving(4)[0][:1], "'frames' holds 1 frame"),
        (moving(4)[0] * math.nan, "Frame 0 of 'frames' contains NaN"),
    ],
)
def test_flow_of_another_clip_and_broken_clips_are_refused(nodes, frames, message):
    if message is None:  # flow of a longer clip holds all pairs that are needed
        assert measured(nodes, frames, "warp error", flow=moving(4)[1])[0] == pytest.approx(0, abs=1e-9)
        return
    with pytest.raises(BetwixtError, match=message):
        measured(nodes, frames, "warp error", flow=moving(4)[1])


def test_masks(nodes):
    clip, flow = moving()
    broken = clip.clone()
    broken[2, :12] = 0
    lower = torch.zeros(1, 24, 40)
    lower[:, 12:] = 1
    assert measured(nodes, broken, "warp error", flow=flow)[0] > 0.1
    assert measured(nodes, broken, "warp error", lower, flow=flow)[0] == pytest.approx(0, abs=1e-9)
    with pytest.raises(BetwixtError, match="Mask 0 of 'mask' is empty"):
        measured(nodes, clip, "warp error", lower * 0, flow=flow)


def test_compare_clips(nodes):
    clip = moving()[0]
    value, per_frame, plot, heat, summary = nodes["CompareClips"].execute(clip, clip + 0.1, "PSNR").args
    assert value == pytest.approx(20, abs=1e-3) and len(per_frame) == 4 and summary == "PSNR: 20 dB (higher is better)"
    assert plot.shape == (1, 480, 960, 3) and heat.shape == (1, 24, 40, 3)
    same = nodes["CompareClips"].execute(clip, clip, "PSNR").args
    assert same[0] == math.inf and torch.isfinite(same[2]).all() and same[3].std(dim=(1, 2)).max() < 1e-6
    with pytest.raises(BetwixtError, match="'frames' has 4 frames and 'reference' 3"):
        nodes["CompareClips"].execute(clip, clip[:3], "SSIM")


def test_side_by_side(nodes):
    first, second = torch.full((2, 40, 60, 3), 0.2), torch.full((2, 40, 60, 3), 0.5)
    execute = nodes["SideBySide"].execute
    (both,) = execute(first, second, {"mode": "side by side"}).args
    assert both.shape == (2, 40, 120, 3) and (both[:, :, :60] == 0.2).all() and (both[:, :, 60:] == 0.5).all()
    (wiped,) = execute(first, second, {"mode": "wipe", "position": 0.25}).args
    assert (wiped[:, :, :15] == 0.2).all() and (wiped[:, :, 15] == 1).all() and (wiped[:, :, 16:] == 0.5).all()
    (different,) = execute(first, second, {"mode": "difference", "gain": 2.0}).args
    torch.testing.assert_close(different, torch.full((2, 40, 60, 3), 0.6))
    for mode in ({"mode": "side by side"}, {"mode": "wipe", "position": 0.0}, {"mode": "difference", "gain": 1.0}):
        (named,) = execute(first, second, mode, "A\nB").args
        assert named[:, :26].std() > 0.02 and named.max() <= 1 and named[:, 26:].unique().numel() <= 2
    assert (first == 0.2).all() and (second == 0.5).all()  # inputs stay as they were


def test_contact_sheet(nodes):
    clips = [torch.full((5, 40, 80, 3), 0.25), torch.full((2, 80, 80, 3), 0.75)]
    (sheet,) = nodes["ContactSheet"].execute(clips[0], 3, 64, clips[1], labels="One").args
    assert sheet.shape == (1, 32 + 52 + 64 + 52, 3 * 72 + 8, 3)
    level = torch.round(sheet[0, :, :, 0] * 255)
    assert (level[26:58, 8:72] == 64).all() and (level[110:174, 80:144] == 191).all()
    assert (level[110:174, 152:216] == 250).all()  # the shorter clip leaves its third place empty
