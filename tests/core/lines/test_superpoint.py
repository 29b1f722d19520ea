import pytest
import torch
from betwixt.fcvg_core.lines.gluestick.loading import load_superpoint
from betwixt.fcvg_core.lines.gluestick.superpoint import (
    SuperPoint,
    sample_descriptors,
    select_keypoints,
    suppress_non_maxima,
)

from support.models.published_gluestick import FOLDER, superpoint_weights
from support.models.synthetic_weights import load_manifest, manifest_of


def picture(height, width, channels=1):
    return torch.rand(1, channels, height, width, generator=torch.Generator().manual_seed(height * width))


@pytest.fixture(scope="module")
def network():
    return load_superpoint(superpoint_weights())


def test_parameters_are_those_of_the_published_file():
    with torch.device("meta"):
        assert manifest_of(SuperPoint().state_dict()) == load_manifest(FOLDER / "superpoint_manifest.json")


def test_widths_are_read_from_the_weights():
    narrow = SuperPoint((4, 6, 8, 10, 12, 14)).state_dict()
    assert SuperPoint.widths_of(narrow) == (4, 6, 8, 10, 12, 14)
    scores, descriptors = load_superpoint(narrow)(picture(24, 16))
    assert scores.shape == (1, 24, 16) and descriptors.shape == (1, 14, 3, 2)


@pytest.mark.parametrize("size", [(8, 8), (9, 23), (64, 40)])
def test_dense_outputs(network, size):
    scores, descriptors = network(picture(*size).expand(2, -1, -1, -1))
    cells = (size[0] // 8, size[1] // 8)
    assert scores.shape == (2, 8 * cells[0], 8 * cells[1]) and descriptors.shape == (2, 256, *cells)
    assert 0 <= scores.min() and scores.max() <= 1
    assert torch.allclose(descriptors.norm(dim=1), torch.ones(2, *cells))


def test_colour_is_reduced_to_luma(network):
    colour = picture(16, 24, 3)
    luma = 0.299 * colour[:, :1] + 0.587 * colour[:, 1:2] + 0.114 * colour[:, 2:]
    for of_colour, of_luma in zip(network(colour), network(luma), strict=True):
        assert torch.allclose(of_colour, of_luma, atol=1e-6)


def test_dense_outputs_equal_those_of_the_transformers_library(network):
    import transformers

    names = {"convP": "keypoint_decoder.conv_score_", "convD": "descriptor_decoder.conv_descriptor_"}
    renamed = {}
    for key, value in superpoint_weights().items():
        layer, _, leaf = key.partition(".")
        stage, part = layer[:-1], layer[-1]
        prefix = names.get(stage) or f"encoder.conv_blocks.{int(stage[-1]) - 1}.conv_"
        renamed[f"{prefix}{part}.{leaf}"] = value
    other = transformers.SuperPointForKeypointDetection(transformers.SuperPointConfig()).eval()
    other.load_state_dict(renamed)
    grey = picture(48, 56)
    encoded = other.encoder(grey).last_hidden_state
    scores, descriptors = network(grey)
    theirs = other.keypoint_decoder._get_pixel_scores(encoded)
    assert torch.allclose(suppress_non_maxima(scores, 4), theirs, atol=1e-6)
    dense = torch.nn.functional.normalize(
        other.descriptor_decoder.conv_descriptor_b(
            other.descriptor_decoder.relu(other.descriptor_decoder.conv_descriptor_a(encoded))
        ),
        dim=1,
    )
    assert torch.allclose(descriptors, dense, atol=1e-6)


@pytest.mark.parametrize("size", [(8, 8), (5, 30), (1, 1), (15, 15)])
def test_pictures_too_small_for_a_point_have_none(network, size):
    points = network.detect(picture(*size)[0], 100)
    assert points.positions.shape == (0, 2) and points.scores.shape == (0,)
    assert points.descriptors.shape == (256, size[0] // 8, size[1] // 8)
    assert sample_descriptors(torch.ones(3, 2), points.descriptors).shape == (256, 3)


def test_points_keep_away_from_the_border_and_exceed_the_threshold():
    scores = torch.full((24, 32), 0.5)
    scores[10, 10], scores[12, 20], scores[19, 27] = 0.9, 0.8, 1.0
    positions, values = select_keypoints(scores, None, 0.8)
    assert positions.tolist() == [[10, 10], [27, 19]] and values.tolist() == pytest.approx([0.9, 1.0])
    everything, _ = select_keypoints(scores, None, 0.0)
    assert everything.min(dim=0).values.tolist() == [4, 4] and everything.max(dim=0).values.tolist() == [27, 19]


def test_a_limit_keeps_the_best_in_falling_order():
    scores = torch.rand(24, 32, generator=torch.Generator().manual_seed(1))
    positions, values = select_keypoints(scores, 5, 0.1)
    assert torch.equal(values, scores[4:-4, 4:-4].flatten().sort(descending=True).values[:5])
    assert torch.equal(scores[positions[:, 1].long(), positions[:, 0].long()], values)
    assert len(select_keypoints(scores, 0, 0.1)[0]) == 0


def test_suppression_keeps_plateaus_and_what_lies_beyond_the_radius():
    scores = torch.zeros(1, 9, 20)
    scores[0, 4, 3:5], scores[0, 4, 7], scores[0, 4, 15] = 0.9, 0.5, 0.4
    kept = suppress_non_maxima(scores, 3)
    assert torch.nonzero(kept[0]).tolist() == [[4, 3], [4, 4], [4, 15]]
    assert torch.nonzero(suppress_non_maxima(scores, 2)[0]).tolist() == [[4, 3], [4, 4], [4, 7], [4, 15]]
    assert torch.equal(scores[0, 4, 7], torch.tensor(0.5))


def test_descriptors_are_sampled_between_cells():
    cells = torch.randn(4, 3, 5, generator=torch.Generator().manual_seed(2))
    corners = torch.tensor([[3.5, 3.5], [39.0, 3.5], [3.5, 23.0], [39.0, 23.0]])
    expected = torch.nn.functional.normalize(cells[:, [0, 0, 2, 2], [0, 4, 0, 4]], dim=0)
    assert torch.allclose(sample_descriptors(corners, cells), expected, atol=1e-5)
    assert torch.equal(sample_descriptors(torch.tensor([[1e4, -1e4]]), cells), torch.zeros(4, 1))
