import pytest
import torch
from betwixt.fcvg_core.sampling.controlnext import ControlNeXt, ControlNeXtConfig

from support.golden import STORED
from support.models import synthetic_weights

MANIFEST = synthetic_weights.load_manifest(STORED / "fcvg" / "controlnext.manifest.json.gz")


@pytest.fixture(scope="module")
def published():
    weights = synthetic_weights.state_dict(MANIFEST)
    network = ControlNeXt(ControlNeXtConfig.of(weights))
    network.load_state_dict(weights)
    return network.eval().requires_grad_(False)


def test_names_and_shapes_are_the_published_ones():
    with torch.device("meta"):
        network = ControlNeXt(ControlNeXtConfig())
    assert {key: list(value.shape) for key, value in network.state_dict().items()} == {
        key: entry["shape"] for key, entry in MANIFEST.items()
    }
    assert sum(parameter.numel() for parameter in network.parameters()) == 3_526_400


def test_the_configuration_is_read_from_the_weights():
    wanted = ControlNeXtConfig(stem=32, widths=(64, 64, 64, 128), output=48, frequencies=64, embedding=80)
    with torch.device("meta"):
        assert ControlNeXtConfig.of(ControlNeXt(wanted).state_dict()) == wanted
    assert ControlNeXtConfig.of({key: torch.empty(entry["shape"]) for key, entry in MANIFEST.items()}) == (
        ControlNeXtConfig()
    )


@pytest.mark.parametrize("height, width", [(64, 96), (72, 40), (136, 64)])
def test_the_map_is_an_eighth_less_one(published, height, width):
    pictures = torch.rand(2, 3, height, width)
    stem = published.stem(pictures)
    assert stem.shape == (2, 128, height // 2 - 4, width // 2 - 4)
    assert published.encode(stem, torch.tensor([0.3])).shape == (2, 320, height // 8 - 1, width // 8 - 1)


def test_frames_do_not_see_each_other(published):
    pictures, time = torch.rand(3, 3, 48, 64), torch.tensor([-0.5])
    together = published(pictures, time)
    assert torch.equal(published(pictures.flip(0), time), together.flip(0))
    alone = torch.cat([published(picture[None], time) for picture in pictures])
    assert (alone - together).abs().max() < 1e-5


def test_the_timestep_may_differ_per_frame(published):
    pictures, times = torch.rand(2, 3, 48, 64), torch.tensor([-0.5, 1.2])
    each = torch.cat([published(pictures[i : i + 1], times[i : i + 1]) for i in range(2)])
    assert (published(pictures, times) - each).abs().max() < 1e-5
