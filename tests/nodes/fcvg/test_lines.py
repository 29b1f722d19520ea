"""'Match Lines' and 'Weight-free Line Matcher': good input, bad input, notices, cancel."""

import logging

import numpy as np
import pytest
import torch
from betwixt.common.errors import BetwixtError
from betwixt.fcvg_core.lines.matches import LineMatches

from support.pictures.drawn_scenes import drawn_layers
from support.pictures.moved_pictures import moved_pair
from support.truth.line_match_truth import true_matches

SIZE = (360, 640)


@pytest.fixture(scope="module")
def nodes(host, tmp_path_factory):
    import folder_paths
    from betwixt.nodes.fcvg import lines as match_lines

    folder_paths.set_temp_directory(str(tmp_path_factory.mktemp("previews")))
    return match_lines


@pytest.fixture(scope="module")
def pair():
    random = np.random.default_rng(5)
    return moved_pair(drawn_layers("objects", SIZE, random, textured=True), "translation", SIZE, random)


@pytest.fixture(scope="module")
def frames(pair):
    return [torch.from_numpy(frame)[None].float() / 255 for frame in (pair.first, pair.last)]


def run(nodes, start, end, **inputs):
    from comfy_api.latest import io

    matcher = nodes.WeightFreeLineMatcherNode.execute(600, 0.5, 15.0).result[0]
    values = {"line_matcher": matcher, "max_number": 300, "min_length": 0.0, "min_score": 0.0} | inputs
    nodes.MatchLines.GET_SCHEMA()
    clone = nodes.MatchLines.PREPARE_CLASS_CLONE({"hidden_inputs": {io.Hidden.unique_id: "1"}})
    return clone.execute(start_image=start, end_image=end, **values)


def test_finds_the_lines_again_and_shows_them(nodes, frames, pair):
    kept = [frame.clone() for frame in frames]
    output = run(nodes, *frames)
    matches, preview = output.result
    assert isinstance(matches, LineMatches) and matches.canvas == SIZE and len(matches) > 30
    assert true_matches(matches.start, matches.end, pair).mean() > 0.95
    assert preview.shape == (1, SIZE[0], 2 * SIZE[1] + 8, 3) and preview.dtype == torch.float32
    assert 0 <= preview.min() and preview.max() <= 1
    assert len(output.ui.as_dict()["images"]) == 1
    assert all(torch.equal(before, after) for before, after in zip(kept, frames, strict=True))


def test_limits_keep_the_best(nodes, frames):
    everything = run(nodes, *frames).result[0]
    few = run(nodes, *frames, max_number=10, min_length=25.0).result[0]
    lengths = [np.linalg.norm(side[:, 1] - side[:, 0], axis=1) for side in (few.start, few.end)]
    assert len(few) == 10 and np.min(lengths) >= 25 and (np.diff(few.score) <= 0).all()
    middle = float(np.median(everything.score))
    assert len(run(nodes, *frames, min_score=middle).result[0]) == (everything.score >= middle).sum()


def test_masks_select_by_midpoint(nodes, frames):
    left = torch.zeros(1, *SIZE)
    left[..., : SIZE[1] // 2] = 1
    everything = run(nodes, *frames).result[0]
    half = run(nodes, *frames, start_mask=left).result[0]
    assert 0 < len(half) < len(everything) and half.start.mean(axis=1)[:, 0].max() < SIZE[1] / 2
    assert len(run(nodes, *frames, start_mask=left[0], end_mask=1 - left).result[0]) < len(half)


def test_rgba_and_grey_pictures_match_like_rgb(nodes, frames):
    rgba = [torch.cat([frame, torch.rand(1, *SIZE, 1)], dim=-1) for frame in frames]
    expected = run(nodes, *frames).result[0]
    assert np.array_equal(run(nodes, *rgba).result[0].end, expected.end)
    assert len(run(nodes, *(frame.mean(dim=-1, keepdim=True) for frame in frames)).result[0]) > 20


@pytest.mark.parametrize("size", [(8, 8), (1, 1), (3, 40), SIZE])
def test_pictures_without_lines_give_no_matches_and_a_notice(nodes, size, caplog):
    flat = torch.full((1, *size, 3), 0.5)
    with caplog.at_level(logging.WARNING):
        matches, preview = run(nodes, flat, flat).result
    assert len(matches) == 0 and matches.start.shape == (0, 2, 2) and matches.canvas == size
    assert preview.shape == (1, size[0], 2 * size[1] + 8, 3) and preview.max() > 0.3
    assert "closer together" in caplog.text


def test_unrelated_pictures_do_not_match(nodes, frames):
    random = np.random.default_rng(6)
    other = moved_pair(drawn_layers("room", SIZE, random, textured=False), "rotation", SIZE, random).last
    assert len(run(nodes, frames[0], torch.from_numpy(other)[None].float() / 255).result[0]) <= 2


def test_an_empty_mask_selects_nothing_and_says_so(nodes, frames, caplog):
    with caplog.at_level(logging.WARNING):
        matches, _ = run(nodes, *frames, end_mask=torch.zeros(1, *SIZE)).result
    assert len(matches) == 0 and "masks larger" in caplog.text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda start, end: {"end": end[:, :-8]}, "'start_image' is 640x360 and 'end_image' is 640x352"),
        (lambda start, end: {"start": start.repeat(3, 1, 1, 1)}, "'start_image' is a batch of 3 frames"),
        (lambda start, end: {"start": start[:0]}, "at least one frame"),
        (lambda start, end: {"end": end * float("nan")}, "Frame 0 of 'end_image' contains NaN"),
        (lambda start, end: {"start": start[..., :2]}, "1, 3 or 4 channels"),
        (lambda start, end: {"start_mask": torch.ones(1, 64, 64)}, "'start_mask' holds 1 mask of 64x64"),
        (lambda start, end: {"end_mask": torch.ones(4, *SIZE)}, "'end_mask' holds 4 masks of 640x360"),
        (lambda start, end: {"end_mask": torch.full(SIZE, float("nan"))}, "contains NaN"),
    ],
)
def test_bad_input_is_refused_before_matching(nodes, frames, change, message):
    class Untouched:
        def match(self, *_):
            raise AssertionError("the matcher ran")

    inputs = {"start": frames[0], "end": frames[1], "line_matcher": Untouched()} | change(*frames)
    with pytest.raises(BetwixtError, match=message):
        run(nodes, **inputs)


def test_cancel_stops_the_matcher(nodes, frames, monkeypatch):
    import comfy.model_management as management

    calls = []

    def interrupt():
        calls.append(1)
        if len(calls) == 3:
            raise management.InterruptProcessingException

    monkeypatch.setattr(management, "throw_exception_if_processing_interrupted", interrupt)
    with pytest.raises(management.InterruptProcessingException):
        run(nodes, *frames)
    assert len(calls) == 3
