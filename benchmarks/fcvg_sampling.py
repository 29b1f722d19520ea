"""Sampling from both ends on the CPU: overhead of the guider, work of the condition encoder, memory of its injection.

``python -m benchmarks.fcvg_sampling``. The UNet is SVD's structure with narrow levels, the encoder has full size. The
guider is compared with two plain CFG clips of the host, one per key frame. Both evaluate the UNet equally often, so the
overhead is the difference of the times spent outside it; medians of several runs.
"""

import os
import re
import statistics
import time
from pathlib import Path

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

from support.models import random_svd, tiny_svd

FRAMES, HEIGHT, WIDTH, STEPS, REPEATS = 8, 16, 24, 3, 3
MIB = 1024**2


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


def timed(model, work) -> tuple[float, float]:
    """Processor seconds of ``work()``, and of those the ones outside the UNet."""
    network, inside = model.model.diffusion_model, []
    forward = network.forward

    def measured(*args, **kwargs):
        start = time.process_time()
        try:
            return forward(*args, **kwargs)
        finally:
            inside.append(time.process_time() - start)

    network.forward = measured
    start = time.process_time()
    work()
    total = time.process_time() - start
    del network.forward
    return total, total - sum(inside)


def plain_guider(model, conds):
    guider = comfy.samplers.CFGGuider(model)
    guider.set_conds(*conds)
    guider.set_cfg(3.0)
    return guider


def bidirectional_guider(model):
    guider = BidirectionalGuider(model, BidirectionalSettings(Fusion()))
    guider.set_conds(*conditioning(1), *conditioning(2))
    return guider


def overhead(model) -> None:
    """The guider's time over that of two plain clips."""

    def plain():
        for seed in (1, 2):
            sample(plain_guider(model, conditioning(seed)))

    def both():
        sample(bidirectional_guider(model))

    both()
    rows = [(*timed(model, plain), *timed(model, both)) for _ in range(REPEATS)]
    total, outside_plain, _, outside_both = (statistics.median(column) for column in zip(*rows, strict=True))
    print("| two CFG clips, s | of these outside the UNet | guider outside the UNet, s | overhead |\n|---|---|---|---|")
    share = (outside_both - outside_plain) / total
    print(f"| {total:.2f} | {outside_plain:.3f} | {outside_both:.3f} | {share:+.1%} |\n")


def encoder_work(model) -> None:
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
    print("| frames | steps | encoded per step | through the stem per run | published: encoded per step |")
    print("|---|---|---|---|---|")
    print(f"| {FRAMES} | {STEPS} | {counts['encode'] / STEPS:g} | {counts['stem']} | {4 * FRAMES} |\n")


def peak_bytes(work) -> int:
    """Highest resident memory of a child process while it does ``work()``, above that at its start (Linux)."""

    def resident(field: str) -> int:
        return 1024 * int(re.search(rf"{field}:\s+(\d+)", Path("/proc/self/status").read_text())[1])

    reader, writer = os.pipe()
    if os.fork() == 0:
        before = resident("VmRSS")
        work()
        os.write(writer, str(resident("VmHWM") - before).encode())
        os._exit(0)
    os.wait()
    return int(os.read(reader, 64))


def injection_memory() -> None:
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
    print("| injection | peak MiB |\n|---|---|")
    for name, work in rows.items():
        print(f"| {name} | {peak_bytes(work) / MIB:.0f} |")


@torch.inference_mode()
def main() -> None:
    torch.set_num_threads(1)
    print(f"{FRAMES} frames of {8 * WIDTH}x{8 * HEIGHT}, {STEPS} steps, one thread\n")
    model, _ = model_from(tiny_svd.unet_weights(), "unet")
    overhead(model)
    encoder_work(model)
    injection_memory()


if __name__ == "__main__":
    main()
