"""Key-frame stylisation: model steps, memory of the feature stores, processor time beside the model.

``python -m benchmarks.rerender [--clip FILE] [--frames 3] [--every 10] [--resolution 256]``

Narrow synthetic model with the published settings, so the counts and sizes hold for any model and the times do not. Key
frames are drawn, or every tenth frame of a clip, fitted by the pack.
"""

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
from betwixt.rerender_core.keyframes.rendering import KeyframeSettings

from benchmarks.clips import read_clip
from benchmarks.common import Clock, Report, options
from support.models import tiny_sd15

DRAWN, STEPS, STRENGTH = 128, 20, 0.75
FULL_WIDTH, FULL_SIDE = 10, 512  # SD1.5 has ten times the channels of the narrow model; its short side


class TimedModel:
    """Counts the model's evaluations and the seconds spent in them."""

    def __init__(self, model):
        self.steps, self.clock, self.patcher = 0, Clock(), model.clone()
        self.patcher.set_model_unet_function_wrapper(self)

    def __call__(self, apply_model, arguments):
        self.steps += arguments["input"].shape[0] / 2  # both halves of guidance
        with self.clock:
            return apply_model(arguments["input"], arguments["timestep"], **arguments["c"])


class TimedVAE(UnclampedVAE):
    """Adds up the seconds spent in the VAE."""

    def __init__(self, vae):
        super().__init__(vae)
        self.clock = Clock()

    def encode(self, pictures):
        with self.clock:
            return super().encode(pictures)

    def decode(self, latents):
        with self.clock:
            return super().decode(latents)


def drawn(count: int) -> torch.Tensor:
    """A moving pattern, [N, H, W, 3]."""
    y, x = torch.meshgrid(torch.arange(DRAWN + 0.0), torch.arange(DRAWN + 0.0), indexing="ij")
    waves = [torch.sin((x + 2 * t) / 9) * torch.cos(y / 12) for t in range(count)]
    return torch.stack([(0.5 + 0.4 * wave)[..., None].expand(-1, -1, 3) for wave in waves])


def run(parts: tuple, frames: torch.Tensor, constraints: KeyframeConstraints, every_step: bool) -> tuple:
    """The cells of a row beside its name."""
    model, vae = TimedModel(parts[0]), TimedVAE(parts[1])
    (count, height, width), cross = frames.shape[:3], constraints.cross_frame
    sigmas = published_sigmas(model.patcher.model.model_sampling, STEPS)
    texts = (tiny_sd15.text(0), tiny_sd15.text(1))
    host = HostRendering(model.patcher, vae, *texts, 7.5, sigmas, 0, cross)
    pairs = needed_pairs(count, frozenset(), constraints)
    with Clock() as motion:
        flow = estimate_flow(frames, pairs, DenseInverseSearch()) if pairs else None
        between = correspondence_from(flow) if pairs else None
    settings = KeyframeSettings(alphas(sigmas), STEPS, STRENGTH, constraints, every_step=every_step)
    renderer = host.renderer(frames, between, settings)
    counted = []
    with Clock() as whole:
        for _ in renderer.render():
            counted.append(model.steps)
    beside = 1000 * (whole.processor - model.clock.processor - vae.clock.processor) / model.steps
    stored = 0 if renderer.attention is None else renderer.attention.bytes / 2**20
    full = stored * FULL_WIDTH / 2 * (FULL_SIDE / min(height, width)) ** 2 / 1024  # half precision, GiB
    return (
        round(counted[0]),
        (counted[-1] - counted[0]) / (count - 1),
        float(stored),
        float(full),
        1000 * model.clock.processor / model.steps,
        beside,
        vae.clock.processor / count,
        motion.processor / (count - 1),
    )


@torch.inference_mode()
def main() -> None:
    parser = options(__doc__, repeats=1)
    parser.add_argument("--clip", type=Path)
    parser.add_argument("--frames", type=int, default=3, help="key frames, the anchor included")
    parser.add_argument("--every", type=int, default=10, help="frames of the clip between two key frames")
    parser.add_argument("--resolution", type=int, default=256, help="pixels of the clip's short side")
    given = parser.parse_args()
    report, count = Report("rerender", given), given.frames
    if given.clip is None:
        name, frames = "drawn key frames", drawn(count)
    else:
        name = f"key frames of {given.clip.stem}, one in {given.every}"
        frames = read_clip(given.clip, given.every * (count - 1) + 1, given.resolution)[:: given.every]
    height, width = frames.shape[1:3]
    title = f"{count} {name}, {width}x{height}, {STEPS} steps, strength {STRENGTH:g}, both halves of guidance"
    columns = ["constraints", "model steps, anchor", "model steps per key frame", "features kept here, MiB"]
    columns += [f"of SD1.5 in fp16, short side {FULL_SIDE}, GiB", "ms per step in the model"]
    columns += ["ms per step beside model and VAE", "s per frame in the VAE", "s of flow per frame"]
    weights = tiny_sd15.weights()
    parts = tiny_sd15.model(weights), tiny_sd15.vae(weights)
    published = KeyframeConstraints(CrossFrame(), ShapeAware(), PixelAware(), Adaptive())
    every_layer = replace(published, cross_frame=CrossFrame(loose=False))
    run(parts, frames[:2], published, False)  # warms up
    with report.table("drawn" if given.clip is None else "clip", title, columns) as table:
        table.add("none", *run(parts, frames, KeyframeConstraints(), False))
        table.add("all, loose", *run(parts, frames, published, False))
        table.add("all, every layer", *run(parts, frames, every_layer, False))
        table.add("all, loose, every step as published", *run(parts, frames, published, True))


if __name__ == "__main__":
    main()
