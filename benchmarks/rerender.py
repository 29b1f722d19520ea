"""Key-frame stylisation: model steps, memory of the feature stores, time beside the model.

``python -m benchmarks.rerender``; narrow synthetic model, so the counts hold for any model and the times do not.
"""

import time
from dataclasses import replace

from tests.bootstrap import use_host

use_host()

import torch  # noqa: E402
from betwixt.nodes.host.rerender_host import HostRendering  # noqa: E402
from betwixt.nodes.host.rerender_sampler import alphas, published_sigmas  # noqa: E402
from betwixt.nodes.host.unclamped_vae import UnclampedVAE  # noqa: E402
from betwixt.rerender_core.flow import DenseInverseSearch, estimate_flow  # noqa: E402
from betwixt.rerender_core.keyframe_constraints import (  # noqa: E402
    Adaptive,
    CrossFrame,
    KeyframeConstraints,
    PixelAware,
    ShapeAware,
)
from betwixt.rerender_core.keyframe_flow import correspondence_from, needed_pairs  # noqa: E402
from betwixt.rerender_core.keyframe_rendering import KeyframeRenderer, KeyframeSettings  # noqa: E402
from betwixt.rerender_core.keyframe_sampling import draw_noises  # noqa: E402

from tests import tiny_sd15  # noqa: E402

SIZE, FRAMES, STEPS, STRENGTH = 128, 3, 20, 0.75
FULL_WIDTH = 10  # SD1.5 has ten times the channels of the narrow model


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


def clip() -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(SIZE + 0.0), torch.arange(SIZE + 0.0), indexing="ij")
    return torch.stack(
        [
            (0.5 + 0.4 * torch.sin((x + 2 * t) / 9) * torch.cos(y / 12))[..., None].expand(-1, -1, 3)
            for t in range(FRAMES)
        ]
    )


def row(name: str, parts: tuple, constraints: KeyframeConstraints, every_step: bool) -> None:
    model, vae = TimedModel(parts[0]), UnclampedVAE(parts[1])
    sigmas = published_sigmas(model.patcher.model.model_sampling, STEPS)
    texts = (tiny_sd15.text(0), tiny_sd15.text(1))
    host = HostRendering(model.patcher, vae, *texts, 7.5, sigmas, 0, constraints.cross_frame)
    frames, cross = clip(), constraints.cross_frame
    pairs = needed_pairs(FRAMES, frozenset(), constraints)
    flow = estimate_flow(frames, pairs, DenseInverseSearch("fast")) if pairs else None
    settings = KeyframeSettings(alphas(sigmas), STEPS, STRENGTH, constraints, every_step=every_step)
    stores = host.attention(cross.window) if cross else None
    noises = draw_noises((1, 4, SIZE // 8, SIZE // 8), STEPS, 0)
    renderer = KeyframeRenderer(
        frames.movedim(-1, 1) * 2 - 1, correspondence_from(flow), settings, noises, host, stores
    )
    finished, counted = renderer.render(), []
    start = time.perf_counter()
    for _ in finished:
        counted.append(model.steps)
    seconds = time.perf_counter() - start
    stored = 0 if stores is None else (stores.first.bytes + stores.previous.bytes) / 2**20
    beside = 1000 * (seconds - model.seconds) / model.steps
    per_key = (counted[-1] - counted[0]) / (FRAMES - 1)
    full = stored * FULL_WIDTH / 2 * (512 / SIZE) ** 2 / 1024  # half precision, GiB
    print(f"| {name} | {counted[0]:g} | {per_key:g} | {stored:.1f} | {full:.2f} | {beside:.1f} |", flush=True)


@torch.inference_mode()
def main() -> None:
    weights = tiny_sd15.weights()
    parts = tiny_sd15.model(weights), tiny_sd15.vae(weights)
    published = KeyframeConstraints(CrossFrame(), ShapeAware(), PixelAware(), Adaptive())
    print(f"{FRAMES} key frames of {SIZE}x{SIZE}, {STEPS} steps, strength {STRENGTH:g}, both halves of guidance\n")
    print(
        "| constraints | steps, anchor | steps per key frame | stores here, MiB | SD1.5 at 512x512 in fp16, GiB "
        "| ms per step beside the model (VAE included) |"
    )
    print("|---|---|---|---|---|---|")
    row("none", parts, KeyframeConstraints(), False)
    row("all, loose", parts, published, False)
    row(
        "all, every layer",
        parts,
        replace(published, cross_frame=CrossFrame(loose=False)),
        False,
    )
    row("all, loose, every step as published", parts, published, True)


if __name__ == "__main__":
    main()
