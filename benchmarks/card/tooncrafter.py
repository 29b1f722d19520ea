"""ToonCrafter with random weights of the published names and shapes: a whole clip, key frames in, pictures out."""

import functools
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

from benchmarks.card.measuring import Card, Measured, Moments, counted, measured, shares, synchronise
from support.models.random_svd import random_weights
from support.models.synthetic_weights import load_manifest
from support.models.tooncrafter_stand_ins import GOLDEN, PRUNED

FRAMES, STEPS = 16, 50


@functools.lru_cache(maxsize=1)
def loaded(tiny: bool):
    """MODEL and first stage."""
    manifest = load_manifest(GOLDEN / ("manifest.json.gz" if tiny else "full_manifest.json.gz"))
    shapes = {key: e["shape"] for key, e in manifest.items() if "." in key and not key.startswith(PRUNED)}
    parts = take_apart(random_weights(shapes, torch.float16, management.get_torch_device()))
    head_width = parts.unet[INITIAL_QUERY].shape[0] // INIT_ATTENTION_HEADS
    model = build_model(parts.unet, TOONCRAFTER.schedule, "random weights", "fp32" if tiny else "fp16")
    return model, FirstStage(TOONCRAFTER, parts.first_stage, parts.resampler, head_width, "random weights")


def conditioning(first_stage: FirstStage, latents):
    """positive, negative of random text and image tokens."""
    keys = key_latents(*latents, FRAMES, "between two pictures")
    for _ in range(2):
        tokens = first_stage.image_tokens(torch.randn(1, 257, first_stage.image_width))
        entry = {"betwixt_key_latents": keys, "betwixt_image_tokens": tokens, "betwixt_fs": 10}
        yield [[torch.randn(1, 77, first_stage.token_width), entry]]


def sample(model, conditionings, steps: int, size: tuple[int, int], moments=None, stop: int | None = None):
    """Reference DDIM; ``moments`` is called after every step, ``stop``: only the first so many steps."""
    model = model.clone()
    model.set_model_sampler_post_cfg_function(rescaled_guidance(0.7))
    sigmas = sampling_sigmas(model.get_model_object("model_sampling"), "trailing", steps)[: stop and stop + 1]
    noise = torch.randn(FRAMES, 4, size[0] // 8, size[1] // 8)
    return comfy.sample.sample_custom(
        model,
        noise,
        7.5,
        reference_ddim(),
        sigmas,
        *conditionings,
        torch.zeros_like(noise),
        callback=moments,
        disable_pbar=True,
        seed=0,
    )


def clip_rows(card: Card, height: int, width: int, steps: int = STEPS) -> None:
    steps = card.steps(steps)
    model, first_stage = loaded(card.tiny)
    pictures, size = torch.rand(2, height, width, 3), (height, width)
    name = f"ToonCrafter {FRAMES}x{width}x{height}"

    def encoded():
        latents, references = first_stage.encode(pictures)
        return list(conditioning(first_stage, latents)), references

    def decoded(samples):
        return first_stage.decode(samples.float(), references, True, lambda share: None)

    conditionings, references = encoded()
    flops = counted(lambda: sample(model, conditionings, steps, size, stop=1))
    samples = sample(model, conditionings, steps, size, stop=1)
    decode_flops = counted(lambda: decoded(samples))
    synchronise()
    start = time.perf_counter()
    (conditionings, references), encode = measured(encoded)
    moments = Moments()
    samples, sampling = measured(lambda: sample(model, conditionings, steps, size, moments))
    images, decode = measured(lambda: decoded(samples))
    whole = time.perf_counter() - start
    assert images.shape == (FRAMES, height, width, 3)
    step = moments.median(skip=2)
    card.row(f"{name}, {steps} steps", seconds_per_step=step, **shares(flops, step), **stage(sampling))
    card.row(f"{name}, decode in two passes", **shares(decode_flops, decode.seconds), **stage(decode))
    card.row(f"{name}, encode and image tokens", **stage(encode))
    most = max(encode, sampling, decode, key=lambda taken: taken.allocated or 0.0)
    card.row(f"{name}, whole clip", seconds=whole, **shares(steps * flops + decode_flops, whole), **most.peaks())
    if height < 500:
        card.profile("tooncrafter", lambda: sample(model, conditionings, steps, size, stop=2))
        card.profile("tooncrafter_decode", lambda: decoded(samples))


def stage(taken: Measured) -> dict:
    return {"seconds": taken.seconds, **taken.peaks()}


def tooncrafter(card: Card) -> None:
    clip_rows(card, *((64, 64) if card.tiny else (320, 512)))


def tooncrafter_large(card: Card) -> None:
    clip_rows(card, *((64, 128) if card.tiny else (576, 1024)))


RUN = {"tooncrafter": tooncrafter, "tooncrafter_large": tooncrafter_large}
