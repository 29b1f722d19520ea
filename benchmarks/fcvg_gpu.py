"""FCVG on a CUDA card: seconds per step and peak memory of a full-size random model.

``python -m benchmarks.fcvg_gpu [--memory GIB] [--tiny]``; ComfyUI's tree is taken from COMFYUI_PATH or the cache.
Weights are random, of the published names and shapes, and go through the pack's loaders and the host's sampling.
The row "as published" evaluates the model so: float32, conditional and unconditional half in one batch, the condition
encoder on both halves of both directions, all frames at once.
"""

import argparse
import dataclasses
import statistics
import time

import comfy.model_management as management
import comfy.samplers
import comfy.sd
import torch
from betwixt.common.errors import BetwixtError
from betwixt.fcvg_core.sampling import decode as svd_decode
from betwixt.fcvg_core.sampling.backward_motion import delta_weights
from betwixt.fcvg_core.sampling.cross_normalisation import ControlMap, inject
from betwixt.fcvg_core.sampling.fusion import Fusion
from betwixt.fcvg_core.sampling.noise_levels import karras_sigmas, timestep
from betwixt.nodes.host.svd.bidirectional_guider import BidirectionalGuider, BidirectionalSettings
from betwixt.nodes.host.svd.controlnext_model import controlnext_from
from betwixt.nodes.host.svd.controlnext_patch import INJECTED_AFTER, ConditionVideo, ControlNeXtPatch
from betwixt.nodes.host.svd.model import model_from
from betwixt.nodes.host.svd.temporal_attention import BackwardMotion
from betwixt.nodes.host.svd.vae import decode_frames

from support.models import random_svd, tiny_svd

OPTIONS = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
OPTIONS.add_argument("--width", type=int, default=1024)
OPTIONS.add_argument("--height", type=int, default=576)
OPTIONS.add_argument("--frames", type=int, default=25)
OPTIONS.add_argument("--steps", type=int, default=4, help="sampling steps per row; the first is not timed")
OPTIONS.add_argument("--memory", type=float, nargs="*", default=[12.0], help="also behave as cards of so many GiB")
OPTIONS.add_argument("--tiny", action="store_true", help="a miniature on the CPU: a check that the script runs")
ARGUMENTS = OPTIONS.parse_args()
if ARGUMENTS.tiny:
    ARGUMENTS.width, ARGUMENTS.height, ARGUMENTS.frames, ARGUMENTS.steps = 128, 64, 3, 2

GIB = 1024**3


@dataclasses.dataclass
class PublishedInjection:
    """The control as the published pipeline computes it: 2F pictures at once in every call, half for nothing."""

    encoder: object
    pictures: torch.Tensor

    def __call__(self, h, options):
        if options["block"] != INJECTED_AFTER:
            return h
        both = torch.cat([self.pictures] * 2).to(h).movedim(-1, 1)
        control = self.encoder.model(both, timestep(options["sigmas"][:1]))
        weight = torch.tensor([float(kind == 0) for kind in options["cond_or_uncond"]], device=h.device)
        weight = weight.repeat_interleave(ARGUMENTS.frames).view(-1, 1, 1, 1)
        return inject(h, ControlMap.of(control, h.shape[-2:]), weight)

    def attach(self, model):
        patched = model.clone()
        patched.set_additional_models("published", [self.encoder])
        patched.set_model_input_block_patch_after_skip(self)
        return patched


def conditioning():
    latent = torch.randn(1, 4, ARGUMENTS.height // 8, ARGUMENTS.width // 8)
    settings = {"motion_bucket_id": 127, "fps": 7, "augmentation_level": 0.02}
    embed = torch.randn(1, 1, 1024)
    return [[[embed * on, {**settings, "concat_latent_image": latent * on}]] for on in (1, 0)]


def synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def measured(work) -> tuple[float, float, float]:
    """Seconds, allocated and reserved peak in GiB of ``work()``."""
    management.soft_empty_cache()
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    synchronise()
    start = time.perf_counter()
    work()
    synchronise()
    seconds = time.perf_counter() - start
    if not torch.cuda.is_available():
        return seconds, 0.0, 0.0
    return seconds, torch.cuda.max_memory_allocated() / GIB, torch.cuda.max_memory_reserved() / GIB


def step_row(name: str, model, fusion: Fusion) -> None:
    guider = BidirectionalGuider(model, BidirectionalSettings(fusion))
    guider.set_conds(*conditioning(), *conditioning())
    noise = torch.randn(ARGUMENTS.frames, 4, ARGUMENTS.height // 8, ARGUMENTS.width // 8)
    moments = []

    def callback(*_):
        synchronise()
        moments.append(time.perf_counter())

    def run():
        sampler = comfy.samplers.sampler_object("euler")
        sigmas = karras_sigmas(ARGUMENTS.steps)
        guider.sample(noise, torch.zeros_like(noise), sampler, sigmas, callback=callback, disable_pbar=True, seed=0)

    try:
        _, allocated, reserved = measured(run)
    except management.OOM_EXCEPTION:
        print(f"| {name} | out of memory | | | |", flush=True)
        return
    step = statistics.median(b - a for a, b in zip(moments, moments[1:], strict=False))
    clip = 25 * step
    print(f"| {name} | {step:.2f} | {clip / ARGUMENTS.frames:.2f} | {allocated:.1f} | {reserved:.1f} |", flush=True)


def as_card(gib: float) -> None:
    """Make the host and PyTorch believe in a card of so much memory."""
    budget = int(gib * GIB)
    torch.cuda.set_per_process_memory_fraction(min(1.0, budget / torch.cuda.get_device_properties(0).total_memory))

    def free_memory(device=None, torch_free_too=False):
        reserved, allocated = torch.cuda.memory_reserved(), torch.cuda.memory_allocated()
        unused = reserved - allocated
        return (budget - reserved + unused, unused) if torch_free_too else budget - reserved + unused

    management.get_free_memory = free_memory


def decode_row(dtype: torch.dtype) -> None:
    vae = comfy.sd.VAE(sd=random_svd.temporal_vae(dtype, management.get_torch_device()))
    latents = torch.randn(ARGUMENTS.frames, 4, ARGUMENTS.height // 8, ARGUMENTS.width // 8)
    for chunk in (2, 8, ARGUMENTS.frames):
        try:
            seconds, allocated, reserved = measured(
                lambda chunk=chunk: svd_decode.decode(lambda part: decode_frames(vae, part), latents, chunk)
            )
        except BetwixtError:
            print(f"| decode, chunks of {chunk} | out of memory | | | |", flush=True)
            continue
        per_frame = seconds / ARGUMENTS.frames
        print(
            f"| decode, chunks of {chunk} | {seconds:.2f} (clip) | {per_frame:.2f} | {allocated:.1f} | {reserved:.1f} |"
        )


@torch.inference_mode()
def main() -> None:
    device = management.get_torch_device()
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    print(f"{name}, torch {torch.__version__}, {ARGUMENTS.width}x{ARGUMENTS.height}x{ARGUMENTS.frames}")
    start = time.perf_counter()
    if ARGUMENTS.tiny:
        weights, encoder = tiny_svd.unet_weights(torch.float16), controlnext_from(tiny_svd.controlnext_weights())
    else:
        weights = random_svd.from_manifest(random_svd.FULL_UNET, torch.float16, device)
        encoder = controlnext_from(random_svd.from_manifest(random_svd.CONTROLNEXT, torch.float32, device))
    pictures = torch.rand(ARGUMENTS.frames, ARGUMENTS.height, ARGUMENTS.width, 3)
    dtype = "fp32" if ARGUMENTS.tiny else "fp16"
    model, report = model_from(weights, "unet", dtype)
    print(f"{report}\nready after {time.perf_counter() - start:.0f} s\n")
    print("| evaluation | s per step | s per frame (25 steps) | GiB allocated | GiB reserved |")
    print("|---|---|---|---|---|")
    controlled = ControlNeXtPatch(encoder, ConditionVideo(pictures)).attach(model)
    shapes = {key: value for key, value in weights.items() if "temporal_transformer_blocks.0.attn1.to_" in key}
    deltas = {key: 0.1 * value for key, value in shapes.items() if "to_v" in key or "to_out" in key}
    rows = (
        (f"FCVG, {dtype}", controlled, Fusion()),
        (f"without conditions, {dtype}", model, Fusion()),
        (f"FCVG unguided step, {dtype}", controlled, Fusion(guidance=(1.0, 1.0))),
        (f"GI attention, {dtype}", BackwardMotion(delta_weights(deltas, None, "delta")).attach(model), Fusion()),
    )
    for row in rows:
        step_row(*row)
    decode_row(torch.float16)
    management.unload_all_models()
    published = model_from({key: value.float() for key, value in weights.items()}, "unet", "fp32")[0]
    step_row("as published, fp32", PublishedInjection(encoder, pictures).attach(published), Fusion())
    del published
    for gib in () if ARGUMENTS.tiny else ARGUMENTS.memory:
        management.unload_all_models()
        management.soft_empty_cache()
        as_card(gib)
        step_row(f"FCVG, fp16, as a card of {gib:g} GiB", controlled, Fusion())


if __name__ == "__main__":
    main()
