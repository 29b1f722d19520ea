"""Sampling from both ends on the CPU: overhead of the guider, work of the condition encoder, memory of its injection.

``python -m benchmarks.fcvg_sampling``; Linux. The UNet is SVD's structure with narrow levels, the encoder has full
size. The guider is compared with two plain CFG clips of the host, one per key frame. Both evaluate the UNet equally
often, so the overhead is the difference of the processor times spent outside it.
"""

import os

import comfy.samplers
import torch
from betwixt.fcvg_core.sampling.cross_normalisation import ControlMap, inject
from betwixt.fcvg_core.sampling.fusion import Fusion
from betwixt.fcvg_core.sampling.noise_levels import karras_sigmas
from betwixt.nodes.host.svd import controlnext_patch
from betwixt.nodes.host.svd.bidirectional_guider import BidirectionalGuider, BidirectionalSettings
from betwixt.nodes.host.svd.controlnext_model import controlnext_from
from betwixt.nodes.host.svd.controlnext_patch import ConditionVideo, ControlNeXtPatch, ControlRun
from betwixt.nodes.host.svd.model import model_from

from benchmarks.common import Clock, Report, Spread, options
from benchmarks.memory import PeakMemory
from support.models import random_svd, tiny_svd

FRAMES, HEIGHT, WIDTH, STEPS = 8, 16, 24, 3
SIZE = f"{FRAMES} frames of {8 * WIDTH}x{8 * HEIGHT}, {STEPS} steps"


def conditioning(seed: int):
    generator = torch.Generator().manual_seed(seed)
    embed = torch.randn(1, 1, 1024, generator=generator)
    latent = torch.randn(1, 4, HEIGHT, WIDTH, generator=generator)
    settings = {"motion_bucket_id": 127, "fps": 7, "augmentation_level": 0.02}
    return [[[embed * on, {**settings, "concat_latent_image": latent * on}]] for on in (1.0, 0.0)]


def sample(guider) -> None:
    noise = torch.randn(FRAMES, 4, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))
    euler = comfy.samplers.sampler_object("euler")
    guider.sample(noise, torch.zeros_like(noise), euler, karras_sigmas(STEPS), disable_pbar=True, seed=0)


def outside_the_network(model, work) -> tuple[float, float]:
    """Processor seconds of ``work()``, and of those the ones outside the UNet."""
    network, inside = model.model.diffusion_model, Clock()
    forward = network.forward

    def measured(*args, **kwargs):
        with inside:
            return forward(*args, **kwargs)

    network.forward = measured
    with Clock() as whole:
        work()
    del network.forward
    return whole.processor, whole.processor - inside.processor


def plain_guider(model, conds):
    guider = comfy.samplers.CFGGuider(model)
    guider.set_conds(*conds)
    guider.set_cfg(3.0)
    return guider


def bidirectional_guider(model):
    guider = BidirectionalGuider(model, BidirectionalSettings(Fusion()))
    guider.set_conds(*conditioning(1), *conditioning(2))
    return guider


def overhead(report: Report, model, repeats: int) -> None:
    """The guider's time over that of two plain clips."""

    def plain():
        for seed in (1, 2):
            sample(plain_guider(model, conditioning(seed)))

    def both():
        sample(bidirectional_guider(model))

    both()
    rows = [(*outside_the_network(model, plain), *outside_the_network(model, both)) for _ in range(repeats)]
    total, outside_plain, _, outside_both = map(Spread.of, zip(*rows, strict=True))
    columns = ["two CFG clips, processor s", "of these outside the UNet", "guider outside the UNet", "overhead, %"]
    with report.table("overhead", f"The guider against two plain CFG clips, {SIZE}", columns) as table:
        share = 100 * (outside_both.median - outside_plain.median) / total.median
        table.add(total, outside_plain, outside_both, share)


def encoder_work(report: Report, model) -> None:
    """Frames that pass the encoder per step."""
    encoder = controlnext_from(tiny_svd.controlnext_weights())
    counts = {"stem": 0, "encode": 0}
    for name in counts:
        function = getattr(encoder.model, name)

        def counted(features, *rest, name=name, function=function):
            counts[name] += features.shape[0]
            return function(features, *rest)

        setattr(encoder.model, name, counted)
    video = ConditionVideo(torch.rand(FRAMES, 8 * HEIGHT, 8 * WIDTH, 3))
    sample(bidirectional_guider(ControlNeXtPatch(encoder, video).attach(model)))
    columns = ["frames", "steps", "encoded per step", "through the stem per run", "published: encoded per step"]
    with report.table("encoder", f"Frames through the condition encoder, {SIZE}", columns) as table:
        table.add(FRAMES, STEPS, counts["encode"] / STEPS, counts["stem"], 4 * FRAMES)


def peak_mebibytes(work) -> float:
    """Peak memory of a child process while it does ``work()``."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        with PeakMemory() as memory:
            work()
        os.write(writer, str(memory.mebibytes).encode())
        os._exit(0)
    os.wait()
    return float(os.read(reader, 64))


def injection_memory(report: Report) -> None:
    """Peak of the tensors alive while the control of one step is computed and added, both directions."""
    encoder = controlnext_from(random_svd.from_manifest(random_svd.CONTROLNEXT, torch.float32))
    pictures = torch.rand(FRAMES, 8 * HEIGHT, 8 * WIDTH, 3)
    trunk = torch.randn(2 * FRAMES, 320, HEIGHT // 2, WIDTH // 2)

    def published():
        both = torch.cat([pictures] * 2).movedim(-1, 1)
        weight = torch.tensor([0.0, 1.0]).repeat_interleave(FRAMES).view(-1, 1, 1, 1)
        for direction in (both, both.flip(0)):
            control = encoder.model(direction, torch.tensor([1.0]))
            inject(trunk, ControlMap.of(control, trunk.shape[-2:]), weight)

    def ours(memory_share: float):
        controlnext_patch.MEMORY_SHARE = memory_share  # in the child process alone
        run = ControlRun(encoder, ConditionVideo(pictures))
        control = run.control(50.0, trunk)
        for which in (control, control.reversed()):
            torch.cat([trunk[:FRAMES], inject(trunk[FRAMES:], which, 1.0)])

    rows = {
        "published: 2F pictures at once, both directions": published,
        "once per frame, all at once, stem kept": lambda: ours(1.0),
        "once per frame, one at a time": lambda: ours(0.0),
    }
    title = f"Control of one step, both directions, {SIZE}, encoder of full size"
    with report.table("injection", title, ["injection", "peak memory, MiB"]) as table:
        for name, work in rows.items():
            table.add(name, peak_mebibytes(work))


@torch.inference_mode()
def main() -> None:
    given = options(__doc__, repeats=3, threads=1).parse_args()
    report = Report("fcvg_sampling", given)
    model, _ = model_from(tiny_svd.unet_weights(), "unet")
    overhead(report, model, given.repeats)
    encoder_work(report, model)
    injection_memory(report)


if __name__ == "__main__":
    main()
