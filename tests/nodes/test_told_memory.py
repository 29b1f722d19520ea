"""What the host is told about memory: at least the peak of the activations, counted on the meta device at full size,
and at most a quarter more. Fused attention takes every call on the way, or counting fails."""

from types import SimpleNamespace

import pytest
import torch
from betwixt.common import card_choices
from betwixt.common.memory_model import SD15_FACTOR, SD15_FEATURES, kept_map_bytes

from support.counted_memory import FusedAttention, counted_peak
from support.golden import STORED
from support.models.synthetic_weights import load_manifest

META, HALF = torch.device("meta"), torch.float16
CLIP, TOON, PICTURE = (25, 576, 1024), (16, 320, 512), (512, 768)


def assert_told(told: float, work) -> int:
    """Returns what was counted."""
    with torch.inference_mode():
        counted = counted_peak(work)
    assert 1.0 <= told / counted <= 1.25, f"told {told / 2**30:.2f} GiB, counted {counted / 2**30:.2f} GiB"
    return counted


def empty(*shape, dtype=HALF):
    return torch.empty(shape, dtype=dtype, device=META)


def published(manifest: str) -> dict:
    """All tensors of a published file, without contents."""
    return {key: empty(*entry["shape"]) for key, entry in load_manifest(STORED / manifest).items()}


@pytest.fixture(autouse=True)
def as_on_a_card(host, monkeypatch):
    """The host's choices of attention and precision on a card with fused kernels."""
    import comfy.ldm.modules.attention as attention
    import comfy.ldm.modules.diffusionmodules.model as vae
    import comfy.model_management as management
    from betwixt.nodes.host.svd import temporal_attention

    monkeypatch.setattr(attention, "optimized_attention", attention.attention_pytorch)
    monkeypatch.setattr(temporal_attention, "optimized_attention", attention.attention_pytorch)
    monkeypatch.setattr(vae, "vae_attention", lambda: vae.pytorch_attention)
    monkeypatch.setattr(management, "pytorch_attention_flash_attention", lambda: True)


def built(config, tensors: dict, prefix: str = ""):
    config.set_inference_dtype(HALF, None)
    with META:
        model = config.get_model(tensors, prefix)
    model.diffusion_model.to(HALF).requires_grad_(False)
    return model


@pytest.fixture
def svd(host):
    from betwixt.nodes.host.svd.model import SvdUnet

    unet = SvdUnet.of(published("fcvg/full_manifest.json.gz"))
    return built(unet.config(), unet.tensors)


def evaluate_svd(model, halves: int, options: dict | None = None, size=CLIP) -> None:
    frames, cells = size[0], (size[1] // 8, size[2] // 8)
    n = halves * frames
    model.apply_model(
        empty(n, 4, *cells, dtype=torch.float32),
        empty(n, dtype=torch.float32),
        c_concat=empty(n, 4, *cells, dtype=torch.float32),
        c_crossattn=empty(n, 1, 1024, dtype=torch.float32),
        transformer_options=options or {},
        y=empty(n, 768, dtype=torch.float32),
        num_video_frames=frames,
    )


@pytest.mark.parametrize("halves, size", [(1, CLIP), (2, CLIP), (2, (14, 320, 512))])
def test_svd(svd, halves, size):
    told = svd.memory_required([halves * size[0], 4, size[1] // 8, size[2] // 8])
    counted = assert_told(told, lambda: evaluate_svd(svd, halves, size=size))
    if size == CLIP:  # with all weights, half the guidance at a time in 8 GB, both in 12
        weights = 2 * card_choices.SVD_UNET + 4 * card_choices.CONTROLNEXT
        assert weights + counted <= {1: 8e9, 2: 12e9}[halves]


def test_attention_maps_kept_for_the_backward_motion(svd):
    from betwixt.nodes.host.svd.temporal_attention import (
        DIRECTION,
        TRANSFORMERS,
        BackwardMotion,
        DirectionState,
        kept_bytes,
    )

    motion = object.__new__(BackwardMotion)
    added = SimpleNamespace(value=lambda block, h: torch.empty_like(h), output=lambda block, h: torch.empty_like(h))
    motion.network = added
    patches = {"attn1_patch": [motion.before], "attn1_output_patch": [motion.after]}
    options = {"patches": patches, "patches_replace": {"attn1": dict.fromkeys(TRANSFORMERS, motion.attention)}}

    def both():
        forward = DirectionState()
        for state in (forward, DirectionState(backward=True, maps=forward.maps)):
            evaluate_svd(svd, 2, {**options, "cond_or_uncond": [0, 1], DIRECTION: state})

    shape = motion._prepare_sampling(
        lambda model, noise_shape: noise_shape, SimpleNamespace(model=svd), [25, 4, 72, 128]
    )
    assert_told(svd.memory_required([2 * shape[0], *shape[1:]]), both)
    assert kept_bytes(svd.diffusion_model, [25, 4, 64, 128], 2) == kept_map_bytes(25, 512, 1024)


def test_control_maps_of_a_chunk_of_frames(host):
    import comfy.ops
    from betwixt.fcvg_core.sampling.controlnext import ControlNeXt, ControlNeXtConfig

    config = ControlNeXtConfig.of(published("fcvg/controlnext.manifest.json.gz"))
    network = ControlNeXt(config, operations=comfy.ops.manual_cast, device=META, dtype=torch.float32)
    pictures, told = empty(5, 3, *CLIP[1:]), 5 * network.bytes_per_frame(*CLIP[1:], 2)
    network.requires_grad_(False)
    assert_told(told, lambda: network(pictures, empty(1, dtype=torch.float32)))


@pytest.mark.parametrize("halves", [1, 2])
def test_tooncrafter(host, halves):
    import comfy.ops
    from betwixt.nodes.host.tooncrafter.model import KEY, NativeUNet, ToonCrafterConfig
    from betwixt.tooncrafter_core.checkpoint import take_apart
    from betwixt.tooncrafter_core.unet_config import UNetConfig
    from comfy.model_base import BaseModel

    unet = take_apart(published("tooncrafter/full_manifest.json.gz")).unet
    network = NativeUNet(UNetConfig.of(unet), HALF, META, comfy.ops.disable_weight_init).requires_grad_(False)
    n, cells = halves * TOON[0], (TOON[1] // 8, TOON[2] // 8)
    asking = SimpleNamespace(
        memory_usage_factor=ToonCrafterConfig.memory_usage_factor,
        memory_usage_factor_conds=(),
        get_dtype_inference=lambda: HALF,
    )
    told = BaseModel.memory_required(asking, [n, 4, *cells])
    given = {"image_tokens": empty(n, 16, 1024), "fs": empty(n), "num_video_frames": TOON[0]}
    counted = assert_told(
        told,
        lambda: network(empty(n, 8, *cells), empty(n), empty(n, 77, 1024), transformer_options={KEY: {}}, **given),
    )
    assert 2 * card_choices.TOON_UNET + counted <= 6e9


@pytest.fixture
def first_stage(host):
    """Without its weights, for what it says of memory."""
    from betwixt.nodes.host.tooncrafter.first_stage import FirstStage, FirstStageNetwork
    from betwixt.tooncrafter_core.checkpoint import take_apart

    parts = take_apart(published("tooncrafter/full_manifest.json.gz"))
    stage = object.__new__(FirstStage)
    network = FirstStageNetwork(parts.first_stage).to(HALF).requires_grad_(False)
    stage.dtype, stage.variant = HALF, SimpleNamespace(dual_reference=True, name="ToonCrafter")
    stage.patcher = SimpleNamespace(model=network, load_device=META)
    return stage


@pytest.mark.parametrize("at_once", [1, 3, 6])
def test_decoding_with_references(first_stage, at_once):
    from betwixt.tooncrafter_core.clip_decoder import decode_clip, stored_affine
    from betwixt.tooncrafter_core.dual_reference import References

    frames, height, width = TOON
    shapes = [(128, 1), (256, 2), (512, 4), (512, 8), (128, 1)]
    references = References(tuple(empty(2, channels, height // s, width // s) for channels, s in shapes))
    decoder, latents = first_stage.patcher.model.decoder, empty(frames, 4, height // 8, width // 8)
    assert_told(
        first_stage.decode_bytes(frames, at_once, height * width),
        lambda: decode_clip(decoder, decoder.attn_refinement, latents, references, at_once, stored_affine),
    )


def test_encoding_of_key_frames(first_stage, monkeypatch):
    import comfy.model_management as management

    told = []
    monkeypatch.setattr(first_stage, "_load", told.append)
    monkeypatch.setattr(management, "intermediate_device", lambda: META)
    pictures = torch.empty(2, *TOON[1:], 3, device=META)
    first_stage.encode(pictures)
    assert_told(told[0], lambda: first_stage.encode(pictures))


@pytest.mark.parametrize("frames, at_once", [(8, None), (25, None), (8, 1), (25, 1), (25, 4)])
def test_decoding_of_svd(host, frames, at_once):
    from betwixt.common.memory_model import piecewise_bytes, whole_bytes
    from betwixt.tooncrafter_core.clip_decoder import decode_clip, stored_affine
    from comfy.ldm.modules.temporal_ae import VideoDecoder

    shape = {"double_z": True, "z_channels": 4, "resolution": 256, "in_channels": 3, "out_ch": 3, "ch": 128}
    shape |= {"ch_mult": [1, 2, 4, 4], "num_res_blocks": 2, "attn_resolutions": [], "dropout": 0.0}
    with META:
        decoder = VideoDecoder(**shape, video_kernel_size=[3, 1, 1], alpha=0.0).to(HALF).requires_grad_(False)
    latents, pixels = empty(frames, 4, CLIP[1] // 8, CLIP[2] // 8), CLIP[1] * CLIP[2]
    if at_once is None:
        assert_told(whole_bytes(frames, pixels, 2), lambda: decoder(latents))
        return
    told = piecewise_bytes(frames, at_once, pixels, 2, 128)
    assert_told(told, lambda: decode_clip(decoder, None, latents, None, at_once, stored_affine))


@pytest.mark.parametrize("pairs, height, width", [(1, *PICTURE), (4, *PICTURE), (1, 1088, 1920)])
def test_gmflow(host, pairs, height, width):
    from betwixt.nodes.host.services.flow_models import GMFlowModel
    from betwixt.rerender_core.flow.gmflow import GMFlow

    network, frames = GMFlow(device=META).requires_grad_(False), empty(pairs, 3, height, width, dtype=torch.float32)
    assert_told(GMFlowModel.bytes(None, pairs, height, width), lambda: network(frames, frames))


@pytest.mark.parametrize("pairs, height, width", [(1, *PICTURE), (4, *PICTURE), (2, 256, 256), (1, 1080, 1920)])
def test_raft(host, pairs, height, width):
    from betwixt.nodes.host.services.flow_models import RAFTModel
    from torchvision.models.optical_flow import raft_large

    with META:
        network = raft_large().eval().requires_grad_(False)
    frames = empty(2 * pairs, 3, height, width, dtype=torch.float32)
    told = RAFTModel.bytes(RAFTModel, pairs, height, width)
    assert_told(told, lambda: network(frames, frames, num_flow_updates=2))


@pytest.mark.parametrize("cells", [(64, 64), (64, 96)])
def test_key_frames_that_attend_to_two_others(host, cells):
    """What features may not take from the model: its evaluation with twice as many keys and values."""
    import comfy.model_detection
    import comfy.supported_models

    weights, prefix = published("rerender/full_manifest.json.gz"), "model.diffusion_model."
    config = comfy.model_detection.detect_unet_config(weights, prefix, None)
    config |= {"num_heads": 8, "num_head_channels": -1}
    model = built(comfy.supported_models.SD15(config), weights, prefix)

    read = []

    def twice(n, context, value, options):
        if options["block"][0] == "output" and n.shape[-1] < 1280:
            read.append(n[0].numel())
        return (n, *[torch.cat([context] * 2, dim=1)] * 2) if options["block"][0] == "output" else (n, context, value)

    given = {"transformer_options": {"patches": {"attn1_patch": [twice]}}, "c_crossattn": empty(2, 77, 768)}
    x, t = empty(2, 4, *cells, dtype=torch.float32), empty(2, dtype=torch.float32)
    counted = assert_told(model.memory_required([2, 4, *cells]), lambda: model.apply_model(x, t, **given))
    assert 2 * (card_choices.SD15_UNET + card_choices.SD15_CONTROLNET) + counted <= 5e9
    assert sum(read) == SD15_FEATURES * cells[0] * cells[1]
    assert model.model_config.memory_usage_factor == SD15_FACTOR


def test_interest_points(host):
    from betwixt.fcvg_core.lines.gluestick.matcher import GlueStickMatcher
    from betwixt.fcvg_core.lines.gluestick.superpoint import SuperPoint

    with META:
        network = SuperPoint().requires_grad_(False)
    sizes = SimpleNamespace(superpoint=network, max_points=0, max_lines=0)
    sizes.gluestick = SimpleNamespace(final_proj=SimpleNamespace(weight=empty(256)))
    told = GlueStickMatcher.activation_bytes(sizes, *PICTURE)
    assert_told(told, lambda: network(empty(1, 1, *PICTURE, dtype=torch.float32)))


@torch.inference_mode()
def test_image_tokens(host):
    import comfy.ops
    from betwixt.nodes.host.tooncrafter.first_stage import attention
    from betwixt.tooncrafter_core.checkpoint import take_apart
    from betwixt.tooncrafter_core.resampler import Resampler

    weights = take_apart(published("tooncrafter/full_manifest.json.gz")).resampler
    network = Resampler.of(weights, 12, attention=attention, operations=comfy.ops.manual_cast, device="meta")
    with FusedAttention() as attended:
        network.to(HALF)(empty(1, 257, network.proj_in.in_features))
    assert attended.calls


@torch.inference_mode()
@pytest.mark.parametrize("cross", [False, True])
def test_matching_of_lines(cross):
    from betwixt.fcvg_core.lines.gluestick.network import MultiHeadAttention

    network = MultiHeadAttention(256, torch.nn, device=META)
    with FusedAttention() as attended:
        network(empty(256, 1500, dtype=torch.float32), 700, cross)
    assert attended.calls == 2


def test_what_fused_attention_refuses():
    tokens = empty(1, 1, 128, 64)  # channels first
    for query, said in (
        (tokens.transpose(2, 3), "neighbours"),
        (empty(1, 1, 64, 12), "multiple of 8"),
        (empty(1, 64, 128), "batch"),
    ):
        with pytest.raises(AssertionError, match=said), FusedAttention():
            torch.nn.functional.scaled_dot_product_attention(query, query, query)
