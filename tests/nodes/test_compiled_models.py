"""The models under 'TorchCompileModel', traced but not translated: the same numbers, one graph where possible."""

import pytest
import torch

from support.run_node import run
from support.runs.tooncrafter_graph import conditioned, sample


@pytest.fixture
def compiled(host):
    from comfy_api.torch_helpers import set_torch_compile_wrapper

    def call(model, fullgraph: bool):
        clone = model.clone()
        set_torch_compile_wrapper(clone, backend="eager", fullgraph=fullgraph)
        return clone

    torch._dynamo.reset()
    yield call
    torch._dynamo.reset()


def test_tooncrafter_is_one_graph(tooncrafter, compiled):
    positive, negative, _, latent, _ = conditioned(tooncrafter)
    plain = sample(tooncrafter.model, positive, negative, latent)
    assert torch.equal(sample(compiled(tooncrafter.model, fullgraph=True), positive, negative, latent), plain)


@pytest.mark.long
def test_svd_with_both_directions_is_one_graph(host, compiled):
    from betwixt.nodes.fcvg.conditioning import InbetweenConditioningNode
    from betwixt.nodes.fcvg.sampling import Inbetween
    from betwixt.nodes.host.svd.model import model_from

    from support.models import tiny_svd

    model, _ = model_from(tiny_svd.unet_weights(torch.float16), "unet.safetensors")
    pictures = torch.rand(2, 1, 64, 64, 3, generator=torch.Generator().manual_seed(0))
    key_frames = {"start_image": pictures[0], "end_image": pictures[1], "width": 64, "height": 64, "frame_count": 3}
    encoders = {"clip_vision": tiny_svd.clip_vision(), "vae": tiny_svd.temporal_vae()}

    def inbetween(model):
        with torch.inference_mode():
            *_, bundle = run(InbetweenConditioningNode, **key_frames, **encoders)
            return run(Inbetween, model=model, conditionings=bundle, steps=2)[0]["samples"]

    assert torch.equal(inbetween(compiled(model, fullgraph=True)), inbetween(model))


def key_frames(parts, steps: int = 3) -> list:
    from support.runs.rerender_runs import rendering

    with torch.inference_mode():
        renderer, _ = rendering(parts, 2, steps=steps)
        return [frame.latent for frame in renderer.render()]


def test_cross_frame_attention_is_one_graph_and_is_not_traced_again_each_step(host, compiled):
    """What it keeps and reads is handed over around an evaluation: the tracer meets tensors, not the stores."""
    from support.models import tiny_sd15

    weights = tiny_sd15.weights()
    model, vae = tiny_sd15.model(weights), tiny_sd15.vae(weights)
    fast = compiled(model, fullgraph=True)
    for ours, plain in zip(key_frames((None, fast, None, vae)), key_frames((None, model, None, vae)), strict=True):
        assert torch.equal(ours, plain)
    graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    assert graphs <= 4  # outside the window, recorded, read with one frame or two behind it
    key_frames((None, fast, None, vae), steps=6)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == graphs


@pytest.mark.long
def test_features_in_system_memory_interrupt_the_graph(host, compiled, monkeypatch):
    """They come layer by layer while the layers before are computed, which no graph can express."""
    from betwixt.rerender_core.keyframes.cross_frame_attention import CrossFrameAttention

    from support.models import tiny_sd15

    monkeypatch.setattr(CrossFrameAttention, "at_hand", lambda *_: None)
    weights = tiny_sd15.weights()
    model, vae = tiny_sd15.model(weights), tiny_sd15.vae(weights)
    fast, plain = (key_frames((None, each, None, vae)) for each in (compiled(model, fullgraph=False), model))
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(fast, plain, strict=True))
    assert torch._dynamo.utils.counters["graph_break"]
