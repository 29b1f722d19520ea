from dataclasses import fields

import numpy as np
import pytest
import torch
from betwixt.fcvg_core.lines.gluestick import matcher as gluestick_matcher
from betwixt.fcvg_core.lines.gluestick.assignment import log_double_softmax, mutual_matches, orientation_free_scores
from betwixt.fcvg_core.lines.gluestick.loading import load_gluestick
from betwixt.fcvg_core.lines.gluestick.matcher import GlueStickMatcher
from betwixt.fcvg_core.lines.gluestick.network import GlueStick, Layout
from betwixt.fcvg_core.lines.gluestick.superpoint import SuperPoint
from betwixt.fcvg_core.lines.gluestick.wireframe import Wireframe

from support.models import synthetic_weights
from support.models.published_gluestick import FOLDER

NARROW = Layout(width=16, encoder_widths=(4, 8), layers=4, line_layers=2)
SIZES = ((100, 60), (100, 60))


def narrow_network():
    with torch.device("meta"):
        manifest = synthetic_weights.manifest_of(GlueStick(NARROW).state_dict())
    return load_gluestick(synthetic_weights.state_dict(manifest))


def wireframe(junctions, extra_points, lines, seed=0):
    random = torch.Generator().manual_seed(seed)
    count = junctions + extra_points
    keypoints = torch.rand(count, 2, generator=random) * torch.tensor(SIZES[0])
    ends = torch.stack([torch.randperm(junctions, generator=random)[:2] for _ in range(lines)]) if lines else None
    ends = torch.zeros(0, 2, dtype=torch.int64) if ends is None else ends
    descriptors = torch.nn.functional.normalize(torch.randn(NARROW.width, count, generator=random), dim=0)
    scores = torch.rand(count, generator=random)
    return Wireframe(keypoints, scores, descriptors, keypoints[ends], torch.rand(lines, generator=random), ends)


def test_parameters_are_those_of_the_published_file():
    with torch.device("meta"):
        own = synthetic_weights.manifest_of(GlueStick().state_dict())
    assert own == synthetic_weights.load_manifest(FOLDER / "full_manifest.json.gz")


@pytest.mark.parametrize("layout", [Layout(), NARROW, Layout(64, (8,), layers=3, line_layers=1)])
def test_the_layout_is_read_from_the_weights(layout):
    with torch.device("meta"):
        assert Layout.of(GlueStick(layout).state_dict()) == layout


@pytest.mark.parametrize(("points", "lines"), [((3, 5), (4, 2)), ((0, 2), (0, 4)), ((0, 0), (3, 3)), ((2, 3), (0, 0))])
def test_results_have_a_row_for_every_node_and_line(points, lines):
    sides = [wireframe(8 if lines[i] else 0, points[i], lines[i], seed=i) for i in (0, 1)]
    for found, counts in zip(
        narrow_network()(*sides, SIZES, 0.0), ([len(side.keypoints) for side in sides], lines), strict=True
    ):
        bins = 0 if min(counts) == 0 else 1
        assert found.log_scores.shape == (counts[0] + bins, counts[1] + bins)
        assert [len(side) for side in found.matches] == [len(side) for side in found.scores] == list(counts)
        for side, other in ((0, 1), (1, 0)):
            partners = found.matches[side]
            matched = torch.nonzero(partners >= 0)[:, 0]
            assert torch.equal(found.matches[other][partners[matched]], matched)
            assert bool((found.scores[side][matched] > 0).all())


def test_exchanging_the_pictures_transposes_the_result():
    network, first, last = narrow_network(), wireframe(8, 3, 5, seed=1), wireframe(6, 7, 4, seed=2)
    for found, exchanged in zip(network(first, last, SIZES), network(last, first, SIZES), strict=True):
        assert torch.allclose(found.log_scores.T, exchanged.log_scores, atol=1e-5)
        assert torch.equal(found.matches[0], exchanged.matches[1])


def test_lines_of_equal_score_may_run_either_way():
    network, first, last = narrow_network(), wireframe(8, 3, 5, seed=1), wireframe(6, 7, 4, seed=2)
    even = [Wireframe(**{**vars(side), "line_scores": torch.ones(len(side.lines))}) for side in (first, last)]
    turned = Wireframe(
        **{**vars(even[1]), "lines": even[1].lines.flip(1), "line_junctions": even[1].line_junctions.flip(1)}
    )
    _, straight = network(*even, SIZES)
    _, reverse = network(even[0], turned, SIZES)
    assert torch.allclose(straight.log_scores, reverse.log_scores, atol=1e-5)


def test_the_order_of_points_does_not_matter():
    network, first, last = narrow_network(), wireframe(8, 6, 5, seed=1), wireframe(6, 7, 4, seed=2)
    order = torch.cat([torch.arange(8), 8 + torch.randperm(6, generator=torch.Generator().manual_seed(3))])
    shuffled = Wireframe(
        first.keypoints[order],
        first.keypoint_scores[order],
        first.descriptors[:, order],
        first.lines,
        first.line_scores,
        first.line_junctions,
    )
    (points, lines), (points_2, lines_2) = (network(side, last, SIZES) for side in (first, shuffled))
    assert torch.allclose(points.log_scores[:-1][order], points_2.log_scores[:-1], atol=1e-5)
    assert torch.allclose(lines.log_scores, lines_2.log_scores, atol=1e-5)


def test_inputs_stay_as_they_are():
    sides = [wireframe(8, 3, 5, seed=1), wireframe(6, 7, 4, seed=2)]
    before = [[getattr(side, field.name).clone() for field in fields(side)] for side in sides]
    narrow_network()(*sides, SIZES)
    for side, values in zip(sides, before, strict=True):
        for field, value in zip(fields(side), values, strict=True):
            assert torch.equal(getattr(side, field.name), value), field.name


def test_double_softmax_of_a_single_pair():
    result = log_double_softmax(torch.tensor([[2.0]]), torch.tensor(2.0))
    half = float(np.log(0.5))
    assert torch.allclose(result, torch.tensor([[half, half], [half, 0.0]]))


def test_matches_are_mutual_and_above_the_threshold():
    probabilities = torch.tensor([[0.9, 0.1, 0.3, 0.1], [0.8, 0.2, 0.1, 0.1], [0.1, 0.1, 0.5, 0.1], [0.1] * 4])
    matches, scores = mutual_matches(probabilities.log(), 0.5)
    assert matches[0].tolist() == [0, -1, -1] and matches[1].tolist() == [0, -1, -1]
    assert scores[0].tolist() == pytest.approx([0.9, 0.0, 0.5])
    assert mutual_matches(probabilities.log(), 0.499)[0][0].tolist() == [0, -1, 2]


def test_line_similarity_takes_the_better_pairing_of_ends():
    similarity = torch.tensor([[1.0, 5.0], [7.0, 2.0]])
    ends = torch.tensor([[0, 1]])
    assert orientation_free_scores(similarity, ends, ends).tolist() == [[6.0]]
    assert orientation_free_scores(similarity, ends, ends.flip(1)).tolist() == [[6.0]]
    assert orientation_free_scores(similarity.diag().diag(), ends, ends).tolist() == [[1.5]]


def drawn(shift):
    """White bars on black, moved to the right."""
    picture = np.zeros((96, 128, 3), np.uint8)
    for row in range(8, 88, 16):
        picture[row : row + 6, 12 + shift : 60 + row // 2 + shift] = 255
    return picture


def narrow_matcher(**settings):
    torch.manual_seed(0)
    superpoint = SuperPoint((4, 4, 8, 8, 16, NARROW.width)).eval().requires_grad_(False)
    asked = []

    def resident(memory):
        asked.append(memory)
        return torch.device("cpu")

    matcher = GlueStickMatcher(superpoint, narrow_network(), resident, **{"threshold": 0.0, **settings})
    return matcher, asked


def test_the_pipeline_gives_segments_of_both_pictures_best_first():
    matcher, asked = narrow_matcher()
    matches = matcher.match(drawn(0), drawn(8))
    assert len(matches) > 0 and matches.canvas == (96, 128)
    assert np.all(np.diff(matches.score) <= 0) and 0 < matches.score[-1] and matches.score[0] <= 1
    lengths = np.linalg.norm(matches.start[:, 0] - matches.start[:, 1], axis=1)
    assert lengths.min() > 10
    assert asked == [matcher.activation_bytes(96, 128)]


def test_one_picture_without_lines_gives_no_matches():
    matcher, _ = narrow_matcher()
    flat = np.zeros((96, 128, 3), np.uint8)
    assert len(matcher.match(drawn(0), flat)) == len(matcher.match(flat, drawn(0))) == 0


def test_lines_are_matched_without_interest_points():
    matcher, _ = narrow_matcher(max_points=0)
    assert len(matcher.match(drawn(0), drawn(8))) > 0


def test_the_detector_gets_the_settings(monkeypatch):
    calls = []

    def detect(grey, *settings):
        calls.append((grey.shape, *settings))
        return np.zeros((0, 2, 2), np.float32), np.zeros(0, np.float32)

    monkeypatch.setattr(gluestick_matcher, "detect_segments", detect)
    matcher, _ = narrow_matcher(max_lines=40, min_length=9.0, detector="exact")
    matcher.match(drawn(0), drawn(8))
    assert calls == [((96, 128), 40, 9.0, "exact")] * 2


def test_cancelling_stops_before_the_networks_are_loaded():
    def cancel(share, text):
        if share > 0:
            raise InterruptedError

    matcher, asked = narrow_matcher()
    with pytest.raises(InterruptedError):
        matcher.match(drawn(0), drawn(8), cancel)
    assert asked == []
