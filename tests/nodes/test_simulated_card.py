"""Every network on a simulated card at full size: no mixed sides, no wait, no copy that the pack asks for."""

import pytest
import torch

from support.counted_memory import FusedAttention
from support.golden import STORED
from support.models.synthetic_weights import load_manifest
from support.simulated_card import CARD, SimulatedCard

HALF = torch.float16


@pytest.fixture
def card(host, monkeypatch):
    import comfy.ldm.modules.attention as attention
    from betwixt.nodes.host.svd import temporal_attention
    from comfy.ldm.modules.diffusionmodules import model as vae

    monkeypatch.setattr(attention, "optimized_attention", attention.attention_pytorch)
    monkeypatch.setattr(temporal_attention, "optimized_attention", attention.attention_pytorch)
    monkeypatch.setattr(vae, "vae_attention", lambda: vae.pytorch_attention)
    with torch.no_grad(), FusedAttention():  # inference mode would show composed operations only
        yield


def empty(*shape, dtype=HALF, device=CARD):
    return torch.empty(shape, dtype=dtype, device=device)


def published(manifest: str) -> dict:
    return {key: empty(*entry["shape"]) for key, entry in load_manifest(STORED / manifest).items()}


def transfers(work) -> dict:
    with SimulatedCard() as card:
        work()
    return dict(card.transfers)


def svd_model():
    from betwixt.nodes.host.svd.model import SvdUnet

    unet = SvdUnet.of(published("fcvg/full_manifest.json.gz"))
    config = unet.config()
    config.set_inference_dtype(HALF, None)
    with CARD:
        model = config.get_model(unet.tensors, "")
    model.diffusion_model.to(HALF)
    return model


def evaluate(model, options: dict) -> None:
    n = 50
    model.apply_model(
        empty(n, 4, 40, 64, dtype=torch.float32),
        empty(n, dtype=torch.float32),
        c_concat=empty(n, 4, 40, 64, dtype=torch.float32),
        c_crossattn=empty(n, 1, 1024, dtype=torch.float32),
        transformer_options={"cond_or_uncond": [0, 1], **options},
        y=empty(n, 768, dtype=torch.float32),
        num_video_frames=25,
    )


def test_svd_in_both_context_orders(card):
    from betwixt.nodes.host.svd.temporal_attention import DIRECTION, DirectionState, PublishedContextOrder

    model = svd_model()
    assert transfers(lambda: evaluate(model, {})) == {}
    tokens = [empty(1, 1, 1024, dtype=torch.float32) for _ in range(2)]
    options = {"patches": {"attn2_patch": [PublishedContextOrder()]}, DIRECTION: DirectionState(tokens=tuple(tokens))}
    assert transfers(lambda: evaluate(model, options)) == {}


def test_a_token_left_on_the_processor_is_noticed(card):
    """What the count is for: two tokens in each of sixteen layers, in either direction."""
    from betwixt.nodes.host.svd.temporal_attention import DIRECTION, DirectionState, PublishedContextOrder

    tokens = [empty(1, 1, 1024, dtype=torch.float32, device="cpu") for _ in range(2)]
    options = {"patches": {"attn2_patch": [PublishedContextOrder()]}, DIRECTION: DirectionState(tokens=tuple(tokens))}
    model = svd_model()
    assert transfers(lambda: evaluate(model, options)) == {("cpu", "meta"): 32}


def test_controlnext(card):
    import comfy.ops
    from betwixt.fcvg_core.sampling.controlnext import ControlNeXt, ControlNeXtConfig

    config = ControlNeXtConfig.of(published("fcvg/controlnext.manifest.json.gz"))
    network = ControlNeXt(config, operations=comfy.ops.manual_cast, device=CARD)
    assert transfers(lambda: network(empty(2, 3, 320, 512), empty(1, dtype=torch.float32))) == {}


def test_tooncrafter(card):
    import comfy.ops
    from betwixt.nodes.host.tooncrafter.model import KEY, NativeUNet
    from betwixt.tooncrafter_core.checkpoint import take_apart
    from betwixt.tooncrafter_core.unet_config import UNetConfig

    unet = take_apart(published("tooncrafter/full_manifest.json.gz")).unet
    network = NativeUNet(UNetConfig.of(unet), HALF, CARD, comfy.ops.disable_weight_init)
    given = {"image_tokens": empty(16, 16, 1024), "fs": empty(16), "num_video_frames": 16}
    options = {KEY: {}}

    def step():
        network(empty(16, 8, 40, 64), empty(16), empty(16, 77, 1024), transformer_options=options, **given)

    assert transfers(step) == {}


def test_gmflow(card):
    from betwixt.rerender_core.flow.gmflow import GMFlow

    network = GMFlow(device=CARD)
    frames = empty(1, 3, 128, 192, dtype=torch.float32)
    assert transfers(lambda: network(frames, frames)) == {}


def test_tensors_of_two_sides_and_waiting_for_a_value_are_refused():
    values = empty(4)
    for work in (
        lambda: values + empty(4, device="cpu"),
        lambda: torch.cat([values, empty(4, device="cpu")]),
        lambda: float(values.sum()),
        lambda: values[values > 0],
        lambda: torch.nonzero(values),
    ):
        with pytest.raises(AssertionError), SimulatedCard():
            work()
    with SimulatedCard() as card:
        assert (values + torch.tensor(1.0, dtype=HALF)).device == CARD  # a single value may come from the processor
        values.cpu().to(CARD)
    assert dict(card.transfers) == {("meta", "cpu"): 1, ("cpu", "meta"): 1}
