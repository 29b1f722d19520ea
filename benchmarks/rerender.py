"""Key-frame stylisation: model steps, memory of the feature stores, time beside the model.

``python -m benchmarks.rerender [--clip FILE] [--frames 3] [--every 10] [--resolution 256]``

Narrow synthetic model with the published settings, so the counts and sizes hold for any model and the times do not. Key
frames are drawn, or every tenth frame of a clip, fitted by the pack.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

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
from betwixt.rerender_core.keyframes.rendering import KeyframeRenderer, KeyframeSettings
from betwixt.rerender_core.keyframes.sampling import draw_noises

from benchmarks.clips import read_clip
from support.models import tiny_sd15

OPTIONS = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
OPTIONS.add_argument("--clip", type=Path)
OPTIONS.add_argument("--frames", type=int, default=3, help="key frames, the anchor included")
OPTIONS.add_argument("--every", type=int, default=10, help="frames of the clip between two key frames")
OPTIONS.add_argument("--resolution", type=int, default=256, help="pixels of the clip's short side")
ARGUMENTS = OPTIONS.parse_args()

DRAWN, STEPS, STRENGTH = 128, 20, 0.75
FULL_WIDTH, FULL_SIDE = 10, 512  # SD1.5 has ten times the channels of the narrow model; its short side


class TimedModel:
    """Counts the model's evaluations and the seconds spent in them."""

    def __init__(self, model):
        self.steps, self.seconds, self.patcher = 0, 0.0, model.clone()
        self.patcher.set_model_unet_function_wrapper(self)

    def __call__(self, apply_model, arguments):
        start = time.perf_counter()
        result = apply_model(arguments["input"], arguments["timestep"], **arguments["c"])
        self.seconds += time.perf_counter() - start
        self.steps += arguments["input"].shape[0] / 2  # both halves of guidance
        return result


class TimedVAE(UnclampedVAE):
    """Adds up the seconds spent in the VAE."""

    seconds = 0.0

    def timed(self, work, argument):
        start = time.perf_counter()
        result = work(argument)
        self.seconds += time.perf_counter() - start
        return result

    def encode(self, pictures):
        return self.timed(super().encode, pictures)

    def decode(self, latents):
        return self.timed(super().decode, latents)


def drawn(count: int) -> torch.Tensor:
    """A moving pattern, [N, H, W, 3]."""
    y, x = torch.meshgrid(torch.arange(DRAWN + 0.0), torch.arange(DRAWN + 0.0), indexing="ij")
    waves = [torch.sin((x + 2 * t) / 9) * torch.cos(y / 12) for t in range(count)]
    return torch.stack([(0.5 + 0.4 * wave)[..., None].expand(-1, -1, 3) for wave in waves])


def row(name: str, parts: tuple, frames: torch.Tensor, constraints: KeyframeConstraints, every_step: bool) -> None:
    model, vae = TimedModel(parts[0]), TimedVAE(parts[1])
    (count, height, width), cross = frames.shape[:3], constraints.cross_frame
    sigmas = published_sigmas(model.patcher.model.model_sampling, STEPS)
    texts = (tiny_sd15.text(0), tiny_sd15.text(1))
    host = HostRendering(model.patcher, vae, *texts, 7.5, sigmas, 0, cross)
    pairs = needed_pairs(count, frozenset(), constraints)
    start = time.perf_counter()
    flow = estimate_flow(frames, pairs, DenseInverseSearch()) if pairs else None
    between = correspondence_from(flow) if pairs else None
    flow_seconds = (time.perf_counter() - start) / (count - 1)
    settings = KeyframeSettings(alphas(sigmas), STEPS, STRENGTH, constraints, every_step=every_step)
    stores = host.attention(cross.window) if cross else None
    noises = draw_noises((1, 4, height // 8, width // 8), STEPS, 0)
    renderer = KeyframeRenderer(frames, between, settings, noises, host, stores)
    counted = []
    start = time.perf_counter()
    for _ in renderer.render():
        counted.append(model.steps)
    beside = 1000 * (time.perf_counter() - start - model.seconds - vae.seconds) / model.steps
    stored = 0 if stores is None else stores.bytes / 2**20
    full = stored * FULL_WIDTH / 2 * (FULL_SIDE / min(height, width)) ** 2 / 1024  # half precision, GiB
    print(
        f"| {name} | {counted[0]:g} | {(counted[-1] - counted[0]) / (count - 1):g} | {stored:.1f} | {full:.2f} "
        f"| {1000 * model.seconds / model.steps:.0f} | {beside:.1f} | {vae.seconds / count:.2f} | {flow_seconds:.2f} |",
        flush=True,
    )


@torch.inference_mode()
def main() -> None:
    count = ARGUMENTS.frames
    if ARGUMENTS.clip is None:
        name, frames = "drawn key frames", drawn(count)
    else:
        every = ARGUMENTS.every
        name = f"key frames of {ARGUMENTS.clip.stem}, one in {every}"
        frames = read_clip(ARGUMENTS.clip, every * (count - 1) + 1, ARGUMENTS.resolution)[::every]
    height, width = frames.shape[1:3]
    print(f"{count} {name}, {width}x{height}, {STEPS} steps, strength {STRENGTH:g}, both halves of guidance\n")
    print(
        "| constraints | steps, anchor | steps per key frame | stores here, MiB | SD1.5 in fp16, short side 512, GiB "
        "| ms per step in the model | ms per step beside model and VAE | s per frame in the VAE | s of flow per frame |"
    )
    print("|" + 9 * "---|")
    weights = tiny_sd15.weights()
    parts = tiny_sd15.model(weights), tiny_sd15.vae(weights)
    published = KeyframeConstraints(CrossFrame(), ShapeAware(), PixelAware(), Adaptive())
    every_layer = replace(published, cross_frame=CrossFrame(loose=False))
    row("none", parts, frames, KeyframeConstraints(), False)
    row("all, loose", parts, frames, published, False)
    row("all, every layer", parts, frames, every_layer, False)
    row("all, loose, every step as published", parts, frames, published, True)


if __name__ == "__main__":
    main()
