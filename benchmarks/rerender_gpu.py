"""Key frames on a CUDA card: seconds per key frame and peak memory of a full-size random SD1.5 with a ControlNet.

``python -m benchmarks.rerender_gpu [--size 512] [--memory GIB...] [--tiny]``; ComfyUI is taken from COMFYUI_PATH or
the cache. Weights are random, of the published names and shapes, in half precision, and go through the host's loaders
and sampling. Published: 14.23 s per 512x512 key frame on a V100.
"""

import argparse
import statistics
import time

import comfy.controlnet
import comfy.model_management as management
import comfy.sd
import torch
from betwixt.nodes.host.rerender.rendering import HostRendering
from betwixt.nodes.host.rerender.sampler import alphas, published_sigmas
from betwixt.nodes.host.rerender.unclamped_vae import UnclampedVAE
from betwixt.rerender_core.flow.estimation import DenseInverseSearch, estimate_flow
from betwixt.rerender_core.keyframes.constraints import (
    Adaptive,
    CrossFrame,
    KeyframeConstraints,
    PixelAware,
    ShapeAware,
)
from betwixt.rerender_core.keyframes.correspondence import correspondence_from, needed_pairs
from betwixt.rerender_core.keyframes.rendering import KeyframeSettings

from support.golden import STORED
from support.models import random_svd, tiny_sd15
from support.models.synthetic_weights import load_manifest

OPTIONS = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
OPTIONS.add_argument("--size", type=int, default=512)
OPTIONS.add_argument(
    "--frames", type=int, default=4, help="key frames per row; the anchor and the first one are not timed"
)
OPTIONS.add_argument("--memory", type=float, nargs="*", default=[8.0], help="also behave as cards of so many GiB")
OPTIONS.add_argument("--tiny", action="store_true", help="narrow model on the CPU: a check that the script runs")
ARGUMENTS = OPTIONS.parse_args()
if ARGUMENTS.tiny:
    ARGUMENTS.size, ARGUMENTS.frames, ARGUMENTS.memory = 64, 3, []

GIB, STEPS, STRENGTH, CONTEXT = 1024**3, 20, 0.75, 768
CONSTRAINTS = KeyframeConstraints(CrossFrame(), ShapeAware(), PixelAware(), Adaptive())


def parts():
    """(MODEL, CONTROL_NET, VAE, width of the text context)."""
    if ARGUMENTS.tiny:
        weights = tiny_sd15.weights()
        return tiny_sd15.model(weights), tiny_sd15.control_net(weights), tiny_sd15.vae(weights), 64
    manifest = load_manifest(STORED / "rerender" / "full_manifest.json.gz")
    device = management.get_torch_device()
    shapes = {key: entry["shape"] for key, entry in manifest.items()}
    weights = random_svd.random_weights(shapes, torch.float16, device)
    unet = tiny_sd15.part(weights, tiny_sd15.UNET)
    control = {key: value for key, value in weights.items() if key.startswith(tiny_sd15.CONTROL)}
    return (
        comfy.sd.load_diffusion_model_state_dict(unet),
        comfy.controlnet.load_controlnet_state_dict(control),
        comfy.sd.VAE(sd=tiny_sd15.part(weights, tiny_sd15.VAE)),
        CONTEXT,
    )


def clip(size: int, frames: int) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(size + 0.0), torch.arange(size + 0.0), indexing="ij")
    waves = [torch.sin((x + 3 * t) / 9) * torch.cos(y / 12) for t in range(frames)]
    return torch.stack([(0.5 + 0.4 * wave)[..., None].expand(-1, -1, 3) for wave in waves])


def synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def row(name: str, model, control, vae, context: int, every_step: bool = False) -> None:
    frames = clip(ARGUMENTS.size, ARGUMENTS.frames)
    control = control.copy().set_cond_hint(frames.movedim(-1, 1), 0.7)
    options = {"control": control, "control_apply_to_uncond": False}
    texts = [[[tiny_sd15.text(seed, context)[0][0], options]] for seed in (0, 1)]
    sigmas = published_sigmas(model.get_model_object("model_sampling"), STEPS)
    host = HostRendering(model, UnclampedVAE(vae), *texts, 7.5, sigmas, 0, CONSTRAINTS.cross_frame)
    flow = estimate_flow(frames, needed_pairs(len(frames), frozenset(), CONSTRAINTS), DenseInverseSearch("fast"))
    settings = KeyframeSettings(alphas(sigmas), STEPS, STRENGTH, CONSTRAINTS, every_step=every_step)
    renderer = host.renderer(frames, correspondence_from(flow), settings)
    management.soft_empty_cache()
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    moments = []
    try:
        for _ in renderer.render():
            synchronise()
            moments.append(time.perf_counter())
    except management.OOM_EXCEPTION:
        print(f"| {name} | out of memory | | | |", flush=True)
        return
    seconds = statistics.median(b - a for a, b in zip(moments[1:], moments[2:], strict=False))
    peaks = (torch.cuda.max_memory_allocated, torch.cuda.max_memory_reserved) if torch.cuda.is_available() else ()
    allocated, reserved = [peak() / GIB for peak in peaks] or (0.0, 0.0)
    devices = {
        tokens.device.type
        for store in (renderer.attention.first, renderer.attention.previous)
        for tokens in store.values()
    }
    print(f"| {name} | {seconds:.2f} | {allocated:.1f} | {reserved:.1f} | {', '.join(sorted(devices))} |", flush=True)


def as_card(gib: float) -> None:
    """Make the host and PyTorch believe in a card of so much memory."""
    budget = int(gib * GIB)
    torch.cuda.set_per_process_memory_fraction(min(1.0, budget / torch.cuda.get_device_properties(0).total_memory))

    def free_memory(device=None, torch_free_too=False):
        if device is not None and torch.device(device).type == "cpu":
            return (64 * GIB, 64 * GIB) if torch_free_too else 64 * GIB
        reserved, allocated = torch.cuda.memory_reserved(), torch.cuda.memory_allocated()
        unused = reserved - allocated
        return (budget - reserved + unused, unused) if torch_free_too else budget - reserved + unused

    management.get_free_memory = free_memory


@torch.inference_mode()
def main() -> None:
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    size = ARGUMENTS.size
    print(f"{name}, torch {torch.__version__}, {size}x{size}, {STEPS} steps, strength {STRENGTH:g}, one ControlNet\n")
    loaded = parts()
    print("| run | s per key frame | GiB allocated | GiB reserved | stores on |")
    print("|---|---|---|---|---|")
    row("with the savings", *loaded)
    row("every step as published", *loaded, every_step=True)
    for gib in ARGUMENTS.memory:
        management.unload_all_models()
        management.soft_empty_cache()
        as_card(gib)
        row(f"as a card of {gib:g} GiB", *loaded)


if __name__ == "__main__":
    main()
