"""The weight-free line matcher on pictures with known motion, and its parts."""

import numpy as np
import pytest
from betwixt.common.errors import BetwixtError
from betwixt.fcvg_core.lines.match_preview import draw_matches
from betwixt.fcvg_core.lines.palette import line_colours
from betwixt.fcvg_core.lines.weight_free.candidates import transfer
from betwixt.fcvg_core.lines.weight_free.matcher import WeightFreeLineMatcher, exclusive
from betwixt.fcvg_core.lines.weight_free.motion_hypotheses import global_motions, motion_hypotheses
from betwixt.fcvg_core.lines.weight_free.neighbour_consistency import neighbour_prediction, order_kept

from support.pictures.drawn_scenes import drawn_layers
from support.pictures.moved_pictures import KINDS, apply, moved_pair, similarity
from support.truth.line_match_truth import measure

SIZE = (360, 640)


def drawn_pair(scene, kind, seed, textured=True):
    random = np.random.default_rng(seed)
    return moved_pair(drawn_layers(scene, SIZE, random, textured), kind, SIZE, random)


@pytest.mark.parametrize("kind", KINDS)
def test_most_true_matches_are_found_and_few_false_ones(kind):
    matcher = WeightFreeLineMatcher()
    pairs = [drawn_pair(scene, kind, 1, textured) for scene, textured in (("room", True), ("objects", False))]
    counts = np.sum([measure(matcher.match(pair.first, pair.last), pair) for pair in pairs], axis=0)
    precision, recall = counts[0] / counts[1], counts[2] / counts[3]
    assert counts[3] > 60 and precision > 0.9 and recall > 0.8, (precision, recall)


def test_matches_do_not_depend_on_the_run_and_leave_the_pictures_alone():
    pair = drawn_pair("facade", "zoom", 2)
    kept = pair.first.copy(), pair.last.copy()
    first, second = (WeightFreeLineMatcher().match(pair.first, pair.last) for _ in range(2))
    assert np.array_equal(first.end, second.end) and np.array_equal(first.score, second.score)
    assert np.array_equal(kept[0], pair.first) and np.array_equal(kept[1], pair.last)
    assert (np.diff(first.score) <= 0).all() and first.score.min() >= 0.5 and first.score.max() <= 1


def test_a_picture_with_itself_gives_nearly_all_segments_unmoved():
    picture = drawn_pair("room", "translation", 3).first
    matcher = WeightFreeLineMatcher()
    matches = matcher.match(picture, picture)
    assert len(matches) > 0.9 * len(matcher.detect(picture[..., 1]))
    assert np.abs(matches.start - matches.end).max() < 0.6


def test_progress_rises_to_one_and_frames_of_other_size_are_refused():
    pair, shares = drawn_pair("objects", "rotation", 4), []
    WeightFreeLineMatcher().match(pair.first, pair.last, lambda share, text: shares.append(share))
    assert shares == sorted(shares) and shares[0] == 0 and shares[-1] == 1
    with pytest.raises(BetwixtError, match="same size"):
        WeightFreeLineMatcher().match(pair.first, pair.last[:-1])


def test_global_motions_find_turn_and_zoom():
    pair = drawn_pair("room", "rotation", 5)
    grid = np.stack(np.meshgrid(np.linspace(100, 540, 5), np.linspace(60, 300, 5)), axis=-1)
    found = global_motions(pair.first[..., 1], pair.last[..., 1])
    assert np.linalg.norm(apply(found[0], grid) - apply(pair.motions[0], grid), axis=-1).max() < 2


def test_hypotheses_are_given_in_pixels_of_the_key_frames():
    picture = np.kron(drawn_pair("objects", "translation", 6).first[..., 0], np.ones((3, 3), np.uint8))  # 1920 wide
    moved = np.roll(picture, (24, -36), axis=(0, 1))
    points = np.stack(np.meshgrid(np.linspace(300, 1600, 9), np.linspace(200, 800, 7)), axis=-1).astype(np.float32)
    found = [hypothesis.at(points) for hypothesis in motion_hypotheses(picture, moved)]
    errors = [np.median(np.linalg.norm(moved - (-36, 24), axis=-1)) for moved, _ in found]
    assert min(errors) < 0.5 and all(0 <= trust.min() and trust.max() <= 1 for _, trust in found)


def test_transferred_endpoints_correspond_and_stop_where_nothing_was_found():
    start = np.float32([[[0, 0], [100, 0]], [[0, 0], [100, 0]]])
    predicted = start + np.float32([5, 52])
    found = np.float32([[[8, 50], [103, 50]], [[5, 50], [45, 50]]])
    begin, end = transfer(start, predicted, found)
    assert begin[0] == pytest.approx(start[0]) and end[0] == pytest.approx(np.float32([[5, 50], [105, 50]]))
    assert begin[1] == pytest.approx(np.float32([[0, 0], [50, 0]]))  # 40 px found, a quarter more is relied on
    assert end[1] == pytest.approx(np.float32([[5, 50], [55, 50]]))


def test_a_line_broken_in_one_frame_only_is_shared_but_not_the_same_piece():
    first, second = np.array([0, 1, 2, 0]), np.array([7, 7, 7, 8])
    place = np.array([[0, 40], [50, 90], [60, 95], [0, 10]])
    assert exclusive(first, second, np.array([0.9, 0.8, 0.7, 0.6]), place).tolist() == [0, 1]


def test_neighbours_tell_turn_and_zoom_in_spite_of_a_false_match():
    random = np.random.default_rng(0)
    start = random.uniform(0, 300, (12, 2, 2)).astype(np.float32)
    end = apply(similarity(np.array([150, 150]), 0.4, 1.3, (60, -20)), start).astype(np.float32)
    wrong = end.copy()
    wrong[3] += (80, 50)
    predicted, spread = neighbour_prediction(start, start, wrong, np.ones(12, np.float32), apart=True)
    assert np.abs(predicted - end).max() < 4 and spread.min() >= 0


def test_a_match_that_jumps_over_its_neighbours_breaks_the_order():
    rows = np.arange(10, dtype=np.float32) * 10
    start = np.stack([np.stack([np.zeros(10), rows], 1), np.stack([np.full(10, 50), rows], 1)], 1).astype(np.float32)
    end = start.copy()
    end[1, :, 1] = 85
    share = order_kept(start, end)
    assert share[1] < 0.4 and share[0] > 0.8 and order_kept(start[:1], end[:1]).tolist() == [1]


def test_preview_shows_each_pair_in_one_colour_of_its_own():
    pair = drawn_pair("room", "translation", 7)
    matches = WeightFreeLineMatcher().match(pair.first, pair.last)
    single = matches.select(np.array([np.linalg.norm(matches.start[:, 1] - matches.start[:, 0], axis=1).argmax()]))
    picture = draw_matches(np.zeros_like(pair.first), np.zeros_like(pair.last), single)
    assert picture.shape == (SIZE[0], 2 * SIZE[1] + 8, 3)
    for side, left in ((single.start, 0), (single.end, SIZE[1] + 8)):
        x, y = (side[0, 0] * 0.9 + side[0, 1] * 0.1 - 0.5).round().astype(int)
        assert np.abs(picture[y, left + x].astype(int) - line_colours(1, 0)[0]).max() < 30
    many = draw_matches(pair.first, pair.last, matches)
    assert np.unique(many.reshape(-1, 3), axis=0).shape[0] > len(matches)
