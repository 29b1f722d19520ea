"""ToonCrafter on a CUDA card: seconds and peak memory of a whole clip with a full-size random model.

``python -m benchmarks.tooncrafter_gpu [--steps N] [--weight-dtype fp16] [--tiny]``; ComfyUI's tree is taken from
COMFYUI_PATH or the cache. Weights are random, of the published names and shapes, and go through the pack's loaders
and the host's sampling. Published: 24 s and 24 GB for 512x320, 16 frames, 50 steps on an A100.
"""

import argparse
import time

import comfy.model_management as management
import comfy.sample
import torch
from betwixt.nodes.host.tooncrafter.files import INITIAL_QUERY
from betwixt.nodes.host.tooncrafter.first_stage import FirstStage
from betwixt.nodes.host.tooncrafter.model import build_model
from betwixt.nodes.host.tooncrafter.sampling import reference_ddim, rescaled_guidance, sampling_sigmas
from betwixt.tooncrafter_core.checkpoint import TOONCRAFTER, take_apart
from betwixt.tooncrafter_core.keyframes import key_latents
from betwixt.tooncrafter_core.unet_config import INIT_ATTENTION_HEADS

from support.models.random_svd import random_weights
from support.models.synthetic_weights import load_manifest
from support.models.tooncrafter_stand_ins import GOLDEN, PRUNED

OPTIONS = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
OPTIONS.add_argument("--width", type=int, default=512)
OPTIONS.add_argument("--height", type=int, default=320)
OPTIONS.add_argument("--frames", type=int, default=16)
OPTIONS.add_argument("--steps", type=int, default=50)
OPTIONS.add_argument("--weight-dtype", default="fp16")
OPTIONS.add_argument("--tiny", action="store_true", help="narrow networks on the CPU: a check that the script runs")
ARGUMENTS = OPTIONS.parse_args()
if ARGUMENTS.tiny:
    ARGUMENTS.width, ARGUMENTS.height, ARGUMENTS.steps, ARGUMENTS.weight_dtype = 64, 64, 2, "fp32"

GIB = 1024**3


def measured(work):
    """Result, seconds, allocated and reserved peak in GiB of ``work()``."""
    cuda = torch.cuda.is_available()
    management.soft_empty_cache()
    if cuda:
        torch.cuda.reset_peak_memory_stats()
        torch.cuda.synchronize()
    start = time.perf_counter()
    result = work()
    if cuda:
        torch.cuda.synchronize()
    seconds = time.perf_counter() - start
    peaks = (torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()) if cuda else (0, 0)
    return result, seconds, *(peak / GIB for peak in peaks)


def load():
    """MODEL and first stage with random weights."""
    manifest = load_manifest(GOLDEN / ("manifest.json.gz" if ARGUMENTS.tiny else "full_manifest.json.gz"))
    shapes = {key: e["shape"] for key, e in manifest.items() if "." in key and not key.startswith(PRUNED)}
    parts = take_apart(random_weights(shapes, torch.float16, management.get_torch_device()))
    head_width = parts.unet[INITIAL_QUERY].shape[0] // INIT_ATTENTION_HEADS
    model = build_model(parts.unet, TOONCRAFTER.schedule, "random weights", ARGUMENTS.weight_dtype)
    return model, FirstStage(TOONCRAFTER, parts.first_stage, parts.resampler, head_width, "random weights")


def conditioning(first_stage: FirstStage, latents):
    """positive, negative of random text and image tokens."""
    keys = key_latents(*latents, ARGUMENTS.frames, "between two pictures")
    for _ in range(2):
        tokens = first_stage.image_tokens(torch.randn(1, 257, first_stage.image_width))
        entry = {"betwixt_key_latents": keys, "betwixt_image_tokens": tokens, "betwixt_fs": 10}
        yield [[torch.randn(1, 77, first_stage.token_width), entry]]


def sample(model, conditionings):
    model = model.clone()
    model.set_model_sampler_post_cfg_function(rescaled_guidance(0.7))
    sigmas = sampling_sigmas(model.get_model_object("model_sampling"), "trailing", ARGUMENTS.steps)
    noise = torch.randn(ARGUMENTS.frames, 4, ARGUMENTS.height // 8, ARGUMENTS.width // 8)
    empty = torch.zeros_like(noise)
    return comfy.sample.sample_custom(
        model, noise, 7.5, reference_ddim(), sigmas, *conditionings, empty, disable_pbar=True, seed=0
    )


@torch.inference_mode()
def main() -> None:
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    size = f"{ARGUMENTS.width}x{ARGUMENTS.height}x{ARGUMENTS.frames}"
    model, first_stage = load()
    print(f"{name}, torch {torch.__version__}, {size}, {ARGUMENTS.steps} steps, {ARGUMENTS.weight_dtype}\n")
    print("| stage | s | GiB allocated | GiB reserved |")
    print("|---|---|---|---|")
    rows, whole = [], time.perf_counter()
    pictures = torch.rand(2, ARGUMENTS.height, ARGUMENTS.width, 3)
    (latents, references), *row = measured(lambda: first_stage.encode(pictures))
    rows.append(("encode", *row))
    conditionings, *row = measured(lambda: list(conditioning(first_stage, latents)))
    rows.append(("image tokens", *row))
    samples, *row = measured(lambda: sample(model, conditionings))
    rows.append(("sample", *row))
    images, *row = measured(lambda: first_stage.decode(samples.float(), references, True, lambda share: None))
    rows.append(("decode, both passes", *row))
    total = time.perf_counter() - whole
    rows.append(("whole clip", total, max(row[2] for row in rows), max(row[3] for row in rows)))
    for stage, seconds, allocated, reserved in rows:
        print(f"| {stage} | {seconds:.2f} | {allocated:.1f} | {reserved:.1f} |")
    assert images.shape == (ARGUMENTS.frames, ARGUMENTS.height, ARGUMENTS.width, 3)


if __name__ == "__main__":
    main()
