"""A moving pattern and settings for short runs of 'Rerender Key Frames'."""

import torch
from betwixt.rerender_core.flow.estimation import DenseInverseSearch
from betwixt.rerender_core.keyframes.constraints import (
    Adaptive,
    CrossFrame,
    KeyframeConstraints,
    PixelAware,
    ShapeAware,
)
from betwixt.rerender_core.keyframes.correspondence import needed_pairs
from betwixt.rerender_core.keyframes.flow_ahead import FlowAhead
from betwixt.rerender_core.keyframes.rendering import KeyframeSettings

SIZE = 64
ALL = KeyframeConstraints(CrossFrame(), ShapeAware(), PixelAware(), Adaptive())
DEFAULTS = {"steps": 4, "cfg": 7.5, "strength": 0.95, "seed": 3, "first_frame_only": False, "keep_colours": True}
DEFAULTS |= {"on_cancel": "stop", "anchor": {"anchor": "first key frame"}, "constraints": ALL}


def clip(count: int, size: int = SIZE) -> torch.Tensor:
    """A smooth pattern that moves two pixels per frame."""
    y, x = torch.meshgrid(torch.arange(size + 0.0), torch.arange(size + 0.0), indexing="ij")
    waves = [torch.sin((x + 2 * shift) / 7)[..., None] * torch.cos(y / 9)[..., None] for shift in range(count)]
    return torch.stack([0.5 + 0.4 * wave * torch.tensor([1.0, 0.6, -0.8]) for wave in waves])


def counted(model):
    """A clone of the MODEL and the list its evaluations are written to: batch sizes."""
    calls, patched = [], model.clone()

    def evaluate(apply_model, arguments):
        calls.append(arguments["input"].shape[0])
        return apply_model(arguments["input"], arguments["timestep"], **arguments["c"])

    patched.set_model_unet_function_wrapper(evaluate)
    return patched, calls


def rendering(parts: tuple, count: int, **changes):
    """(renderer of ``count`` key frames on the host, stores of its cross-frame attention).

    Args:
        parts: weights, MODEL, CONTROL_NET and VAE.
        changes: of :class:`KeyframeSettings`, ``steps`` and ``region``.
    """
    from betwixt.nodes.host.rerender.rendering import HostRendering
    from betwixt.nodes.host.rerender.sampler import alphas, published_sigmas
    from betwixt.nodes.host.rerender.unclamped_vae import UnclampedVAE

    from support.models import tiny_sd15

    _, model, _, vae = parts
    region, steps = changes.pop("region", None), changes.pop("steps", DEFAULTS["steps"])
    options = {"strength": DEFAULTS["strength"], "constraints": ALL, **changes}
    constraints = options["constraints"]
    frames, sigmas = clip(count), published_sigmas(model.model.model_sampling, steps)
    texts, cross = (tiny_sd15.text(0), tiny_sd15.text(1)), constraints.cross_frame
    host = HostRendering(model, UnclampedVAE(vae), *texts, 7.5, sigmas, DEFAULTS["seed"], cross)
    settings = KeyframeSettings(alphas(sigmas), steps, **options)
    pairs = needed_pairs(count, settings.refresh, constraints)
    flow = pairs and FlowAhead(frames, pairs, DenseInverseSearch("ultrafast"), lambda *progress: None, lambda: None)
    renderer = host.renderer(frames, flow, settings, region)
    return renderer, renderer.attention
