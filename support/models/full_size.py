"""Networks of the published names and shapes without contents, on the meta device; ComfyUI must be importable."""

import contextlib
from collections.abc import Iterator
from unittest import mock

import comfy.ldm.modules.attention as attention
import comfy.model_detection
import comfy.ops
import comfy.supported_models
import torch
from comfy.ldm.modules.diffusionmodules import model as vae

from support.golden import STORED
from support.models.synthetic_weights import load_manifest

META, HALF = torch.device("meta"), torch.float16


def empty(*shape: int, dtype=HALF) -> torch.Tensor:
    return torch.empty(shape, dtype=dtype, device=META)


def published(manifest: str) -> dict:
    """All tensors of a published file."""
    return {key: empty(*entry["shape"]) for key, entry in load_manifest(STORED / manifest).items()}


@contextlib.contextmanager
def attending_as_on_a_card() -> Iterator[None]:
    """The host's choices of attention and precision on a card with fused kernels."""
    import comfy.model_management as management
    from betwixt.nodes.host.svd import temporal_attention

    with contextlib.ExitStack() as stack:
        for module, name, value in (
            (attention, "optimized_attention", attention.attention_pytorch),
            (temporal_attention, "optimized_attention", attention.attention_pytorch),
            (attention, "SDP_BATCH_LIMIT", 2**15),
            (vae, "vae_attention", lambda: vae.pytorch_attention),
            (management, "pytorch_attention_flash_attention", lambda: True),
        ):
            stack.enter_context(mock.patch.object(module, name, value))
        yield


def _built(config, tensors: dict, prefix: str = ""):
    config.set_inference_dtype(HALF, None)
    with META:
        model = config.get_model(tensors, prefix)
    model.diffusion_model.to(HALF).requires_grad_(False)
    return model


def svd():
    from betwixt.nodes.host.svd.model import SvdUnet

    unet = SvdUnet.of(published("fcvg/full_manifest.json.gz"))
    return _built(unet.config(), unet.tensors)


def evaluate_svd(model, halves: int, size: tuple[int, int, int], options: dict | None = None) -> None:
    """Both or one half of guidance; ``size``: frames, height and width in pixels."""
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


def controlnext(dtype=torch.float32):
    from betwixt.fcvg_core.sampling.controlnext import ControlNeXt, ControlNeXtConfig

    config = ControlNeXtConfig.of(published("fcvg/controlnext.manifest.json.gz"))
    return ControlNeXt(config, operations=comfy.ops.manual_cast, device=META, dtype=dtype).requires_grad_(False)


def tooncrafter_unet():
    from betwixt.nodes.host.tooncrafter.model import NativeUNet
    from betwixt.tooncrafter_core.checkpoint import take_apart
    from betwixt.tooncrafter_core.unet_config import UNetConfig

    unet = take_apart(published("tooncrafter/full_manifest.json.gz")).unet
    return NativeUNet(UNetConfig.of(unet), HALF, META, comfy.ops.disable_weight_init).requires_grad_(False)


def evaluate_tooncrafter(network, halves: int, size: tuple[int, int, int], options: dict | None = None) -> None:
    """As :func:`evaluate_svd`."""
    from betwixt.nodes.host.tooncrafter.model import KEY

    n, cells = halves * size[0], (size[1] // 8, size[2] // 8)
    given = {"image_tokens": empty(n, 16, 1024), "fs": empty(n), "num_video_frames": size[0]}
    options = {KEY: {}} if options is None else options
    network(empty(n, 8, *cells), empty(n), empty(n, 77, 1024), transformer_options=options, **given)


def tooncrafter_first_stage():
    from betwixt.nodes.host.tooncrafter.first_stage import FirstStageNetwork
    from betwixt.tooncrafter_core.checkpoint import take_apart

    parts = take_apart(published("tooncrafter/full_manifest.json.gz"))
    return FirstStageNetwork(parts.first_stage).to(HALF).requires_grad_(False)


def references(height: int, width: int):
    """Of ToonCrafter's decoder, for two pictures."""
    from betwixt.tooncrafter_core.dual_reference import References

    shapes = [(128, 1), (256, 2), (512, 4), (512, 8), (128, 1)]
    return References(tuple(empty(2, channels, height // s, width // s) for channels, s in shapes))


def resampler(**changes):
    """ToonCrafter's; ``attention`` None: without the host's."""
    from betwixt.nodes.host.tooncrafter.first_stage import attention as host_attention
    from betwixt.tooncrafter_core.attention import scaled_dot_product
    from betwixt.tooncrafter_core.checkpoint import take_apart
    from betwixt.tooncrafter_core.resampler import Resampler

    weights = take_apart(published("tooncrafter/full_manifest.json.gz")).resampler
    chosen = changes.get("attention", host_attention) or scaled_dot_product
    network = Resampler.of(weights, 12, attention=chosen, operations=comfy.ops.manual_cast, device=META)
    return network.to(HALF)


def svd_decoder():
    from comfy.ldm.modules.temporal_ae import VideoDecoder

    shape = {"double_z": True, "z_channels": 4, "resolution": 256, "in_channels": 3, "out_ch": 3, "ch": 128}
    shape |= {"ch_mult": [1, 2, 4, 4], "num_res_blocks": 2, "attn_resolutions": [], "dropout": 0.0}
    with META:
        return VideoDecoder(**shape, video_kernel_size=[3, 1, 1], alpha=0.0).to(HALF).requires_grad_(False)


def gmflow():
    from betwixt.rerender_core.flow.gmflow import GMFlow

    return GMFlow(operations=comfy.ops.manual_cast, device=META).requires_grad_(False)


def sd15():
    weights, prefix = published("rerender/full_manifest.json.gz"), "model.diffusion_model."
    config = comfy.model_detection.detect_unet_config(weights, prefix, None)
    config |= {"num_heads": 8, "num_head_channels": -1}
    return _built(comfy.supported_models.SD15(config), weights, prefix)
