"""'Inbetween without a Model' with pictures, masks, timings and lengths that nobody means well with."""

import numpy as np
import pytest
import torch
from betwixt.common.errors import BetwixtError

from support.run_node import run

HEIGHT, WIDTH = 48, 64


@pytest.fixture(scope="module")
def node(host):
    from betwixt.nodes.inbetween.rendering import InbetweenWithoutModel

    return InbetweenWithoutModel


def noise(height=HEIGHT, width=WIDTH, seed=0, channels=3):
    return torch.from_numpy(np.random.default_rng(seed).random((1, height, width, channels)).astype(np.float32))


def pair(height=HEIGHT, width=WIDTH, step=4):
    """Both key frames show the same noise, ``step`` px apart."""
    first = noise(height, width)
    return {"start_image": first, "end_image": torch.roll(first, step, dims=2)}


@pytest.mark.parametrize("size", [(1, 100), (100, 1), (8, 8), (1, 1), (2, 3)])
@pytest.mark.parametrize("holes", ["drawn out", "patches"])
def test_tiny_and_narrow_pictures(node, size, holes):
    given = pair(*size)
    frames, confidence, tracks, flow = run(node, frame_count=3, holes=holes, **given)
    assert frames.shape == (3, *size, 3) and confidence.shape == (3, *size)
    assert torch.equal(frames[0], given["start_image"][0]) and torch.equal(frames[2], given["end_image"][0])
    assert torch.isfinite(frames).all() and 0 <= frames.min() and frames.max() <= 1
    assert np.isfinite(np.asarray(tracks["track_path"])).all() and torch.isfinite(flow.forward).all()


def test_as_wide_as_4k(node):
    """Found at 1024 px at most, splatted at 1536 px, coloured at the full 4096 px; nothing is cut or scaled."""
    given = pair(64, 4096, step=16)
    frames = run(node, frame_count=3, detail="quick", **given)[0]
    assert frames.shape == (3, 64, 4096, 3) and torch.equal(frames[2], given["end_image"][0])
    detail = [float((frame[:, 1:] - frame[:, :-1]).abs().mean()) for frame in frames]
    assert detail[1] > 0.4 * detail[0]


def test_two_frames_are_the_key_frames_and_one_is_refused(node):
    given = pair()
    frames = run(node, frame_count=2, **given)[0]
    assert torch.equal(frames[0], given["start_image"][0]) and torch.equal(frames[1], given["end_image"][0])
    with pytest.raises(BetwixtError, match="frame_count"):
        run(node, frame_count=1, **given)
    with pytest.raises(BetwixtError, match="A gap has 1 frames"):
        run(node, frame_count=5, frames_per_gap="1", **given)


def test_a_thousand_frames_are_made_or_refused_with_the_estimate(node, monkeypatch):
    import comfy.model_management as management

    given = pair(16, 24, step=2)
    frames = run(node, frame_count=1000, hold=20, detail="quick", **given)[0]
    assert frames.shape == (1000, 16, 24, 3) and torch.equal(frames[-1], given["end_image"][0])
    monkeypatch.setattr(management, "get_free_memory", lambda *_: 10e6)
    with pytest.raises(BetwixtError, match="1000 frames of 24x16 need about 15.4 MB of memory, and 10 MB are free"):
        run(node, frame_count=1000, **given)


def test_overlapping_empty_and_full_masks(node):
    given = pair()
    masks = torch.zeros(4, HEIGHT, WIDTH)
    masks[0, 8:30, 8:40] = 1
    masks[1, 20:40, 30:60] = 1  # overlaps the first
    masks[3] = 1  # takes everything; the third is empty
    for chosen in (masks[:2], masks[2:3], masks):
        frames = run(node, frame_count=3, masks=chosen, **given)[0]
        assert torch.equal(frames[0], given["start_image"][0]) and torch.isfinite(frames).all()
    broken = masks[:1].clone()
    broken[0, 3, 3] = float("nan")
    with pytest.raises(BetwixtError, match="NaN"):
        run(node, frame_count=3, masks=broken, **given)


@pytest.mark.parametrize(
    "timing",
    [
        {"timing": "easing", "timing.easing": "back-in-out"},
        {"timing": "easing", "timing.easing": "elastic-out"},
        {"timing": "chart", "timing.chart": "-1, 2, -0.5"},
        {"timing": "cubic-bezier", "timing.x1": 0.1, "timing.y1": -2.0, "timing.x2": 0.9, "timing.y2": 3.0},
    ],
)
@pytest.mark.parametrize("holes", ["drawn out", "patches"])
def test_timings_beyond_both_key_frames(node, timing, holes):
    given = pair()
    frames = run(node, frame_count=5, holes=holes, **timing, **given)[0]
    assert torch.equal(frames[0], given["start_image"][0]) and torch.equal(frames[-1], given["end_image"][0])
    assert torch.isfinite(frames).all() and 0 <= frames.min() and frames.max() <= 1


def test_key_frames_with_alpha_and_of_one_colour(node):
    alpha = {name: torch.cat([picture, noise(channels=1)], dim=-1) for name, picture in pair().items()}
    frames = run(node, frame_count=3, **alpha)[0]
    assert torch.equal(frames, run(node, frame_count=3, **pair())[0])
    grey = {"start_image": torch.full((1, HEIGHT, WIDTH, 3), 0.2), "end_image": torch.full((1, HEIGHT, WIDTH, 3), 0.6)}
    frames = run(node, frame_count=3, **grey)[0]
    assert (frames[1] - 0.4).abs().max() < 0.02
