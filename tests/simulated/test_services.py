"""Services behind the host's memory manager where it would bring weights layer by layer: flow, LPIPS, matching of
lines, frame interpolation. Each gives what the processor gives."""

import numpy as np
import pytest
import torch

from support.card_tensors import Card, counted, own, waits

SIZE = (64, 96)


@pytest.fixture(scope="module")
def pair(host):
    """Two frames of a drawn scene, float32 [2, H, W, 3]."""
    from betwixt.common.pictures import to_float

    from support.pictures.painted_scene import moved, painted_scene

    scene = painted_scene(*SIZE)
    return to_float(np.stack([scene.key, moved(scene.key, scene.flow)]))


@pytest.fixture
def asked(placed):
    """(work) -> what it returns and how often it waited, on a card with no room for all weights."""
    placed(0.0)

    def run(work):
        launches = Card.launches
        with counted() as happened:
            result = work()
        assert Card.launches - launches > 20  # it was the card that computed
        return result, own(waits(happened)).total()

    return run


def on_processor(module: torch.nn.Module) -> torch.nn.Module:
    """With the weights beside the processor for good."""
    import comfy.model_management as management

    management.unload_all_models()
    return module.to("cpu")


def bytes_of(pair: torch.Tensor) -> list[torch.Tensor]:
    return [255 * frame.movedim(-1, 0)[None] for frame in pair]


@pytest.mark.long  # as a network: test_networks.py
def test_gmflow(pair, asked):
    from betwixt.nodes.host.services.flow_models import GMFlowModel

    from support.golden import STORED
    from support.models import synthetic_weights

    manifest = synthetic_weights.load_manifest(STORED / "gmflow" / "full_manifest.json.gz")
    service = GMFlowModel({"model": synthetic_weights.state_dict(manifest)}, "stand-in")
    flow, waited = asked(lambda: service.estimate(*bytes_of(pair)))
    expected = on_processor(service.patcher.model)(*bytes_of(pair))
    for ours, wanted in zip(flow, expected, strict=True):
        torch.testing.assert_close(ours, wanted, rtol=1e-4, atol=1e-4)
    assert waited <= 6  # both frames there, both flows back, and the constants of normalisation


def test_raft(pair, asked, monkeypatch):
    import comfy.model_management as management
    import comfy.model_patcher
    from betwixt.nodes.host.services.flow_models import RAFTModel
    from torchvision.models.optical_flow import raft_large

    torch.manual_seed(0)
    monkeypatch.setattr(RAFTModel, "UPDATES", 2)
    network = raft_large(weights=None, progress=False).eval().requires_grad_(False)
    places = {"load_device": management.get_torch_device(), "offload_device": torch.device("cpu")}
    service = RAFTModel(comfy.model_patcher.CoreModelPatcher(network, **places))
    flow, waited = asked(lambda: service.estimate(*bytes_of(pair)))
    on_processor(network)
    for ours, wanted in zip(flow, service.run(*bytes_of(pair)), strict=True):
        torch.testing.assert_close(ours, wanted, rtol=1e-4, atol=1e-3)
    assert waited <= 8  # frames there, flow back, and what torchvision asks for at every update


def test_lpips(pair, asked, monkeypatch):
    from betwixt.common.measures.perceptual import ALEXNET
    from betwixt.nodes.host.services import perceptual

    from support.models.perceptual_stand_ins import backbone_weights, head_weights

    monkeypatch.setattr(perceptual, "model_path", lambda *_: "backbone")
    monkeypatch.setattr(perceptual, "head_path", lambda _: "head")
    files = {"backbone": backbone_weights(ALEXNET), "head": head_weights(ALEXNET)}
    monkeypatch.setattr(perceptual, "read_weights", lambda path: files[path])
    service = perceptual.Perceptual(ALEXNET)
    first, second = (frame.movedim(-1, 0)[None] for frame in pair)
    maps, waited = asked(lambda: service(first, second))
    for ours, wanted in zip(maps, on_processor(service.patcher.model)(first, second), strict=True):
        torch.testing.assert_close(ours, wanted, rtol=1e-4, atol=1e-6)
    assert waited <= 7  # two pictures there, five maps back


def test_matching_of_lines(pair, asked):
    from betwixt.common.pictures import to_uint8
    from betwixt.nodes.host.services.line_matchers import managed_gluestick_matcher

    from support.models.published_gluestick import gluestick_weights, superpoint_weights, training_checkpoint

    contents = superpoint_weights(), training_checkpoint(gluestick_weights())
    matcher = managed_gluestick_matcher(*contents, ("superpoint", "gluestick"), min_length=8.0, threshold=0.0)
    pictures = [to_uint8(frame) for frame in pair]
    found, waited = asked(lambda: matcher.match(*pictures))
    on_processor(matcher.patcher.model)
    object.__setattr__(matcher, "resident", lambda _: torch.device("cpu"))
    expected = matcher.match(*pictures)
    assert len(found.score) == len(expected.score) > 0
    np.testing.assert_allclose(found.score, expected.score, rtol=1e-4)
    np.testing.assert_allclose(found.start, expected.start, atol=1e-3)
    assert waited <= 40  # points and segments are counted on either side


def test_frame_interpolation(pair, asked):
    import comfy.model_management as management
    import comfy.model_patcher
    from betwixt.nodes.host.services.frame_interpolation import interpolated
    from comfy_extras.nodes_frame_interpolation import FrameInterpolationModelLoader

    from support.models import tiny_rife

    network = FrameInterpolationModelLoader._detect_and_load(tiny_rife.weights()).eval()
    places = {"load_device": management.get_torch_device(), "offload_device": torch.device("cpu")}
    patcher = comfy.model_patcher.CoreModelPatcher(network, **places)
    frames, waited = asked(lambda: interpolated(patcher, *pair, (0.25, 0.5), lambda share: None))
    torch.testing.assert_close(frames[1], pair.mean(dim=0), rtol=0, atol=1e-3)  # its flow is zero: it mixes
    assert waited <= 6  # two pictures there, two back, and what the network of the host asks for


def test_every_service_is_here(host):
    """What computes on the host's device outside sampling and first stages."""
    from support.bootstrap import ROOT

    services = {
        path.name for path in (ROOT / "nodes" / "host" / "services").glob("*.py") if "load_whole(" in path.read_text()
    }
    assert services == {"memory.py", "flow_models.py", "perceptual.py", "line_matchers.py", "frame_interpolation.py"}
