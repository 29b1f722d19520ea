"""ToonCrafter's nodes run in process on the stand-in models; the host must be importable."""

import torch

SIZE, FRAMES = 64, 4


def run(node, **inputs):
    """Outputs of a node on its defaults and the given inputs."""
    defaults = {
        entry.id: entry.default for entry in node.GET_SCHEMA().inputs if getattr(entry, "default", None) is not None
    }
    clone = node.PREPARE_CLASS_CLONE({"hidden_inputs": {}})
    with torch.inference_mode():
        return clone.execute(**{**defaults, **inputs}).result


def text(loaded, prompt: str) -> list:
    tokens, pooled = loaded.clip.encode_from_tokens(loaded.clip.tokenize(prompt), return_pooled=True)
    return [[tokens, {"pooled_output": pooled}]]


def conditioned(loaded, **changes):
    """positive, negative, pictures_only, latent, references of two random pictures."""
    from betwixt.nodes.tooncrafter.conditioning import ToonCrafterConditioning

    generator = torch.Generator().manual_seed(0)
    pictures = torch.rand(2, 1, 48, 80, 3, generator=generator)
    inputs = {
        "first_stage": loaded.first_stage,
        "clip_vision": loaded.clip_vision,
        "positive": text(loaded, "a scene"),
        "negative": text(loaded, ""),
        "start_image": pictures[0],
        "end_image": pictures[1],
        **{"width": SIZE, "height": SIZE, "frame_count": FRAMES},
    }
    return run(ToonCrafterConditioning, **{**inputs, **changes})


def sample(model, positive, negative, latent, steps=2, cfg=3.0, sampler="euler", scheduler="simple", seed=0):
    import comfy.sample

    samples = latent["samples"]
    noise = comfy.sample.prepare_noise(samples, seed)
    with torch.inference_mode():
        return comfy.sample.sample(
            model, noise, steps, cfg, sampler, scheduler, positive, negative, samples, disable_pbar=True, seed=seed
        )


def decode(loaded, latent, **inputs):
    from betwixt.nodes.tooncrafter.decode import DualReferenceDecode

    return run(DualReferenceDecode, samples=latent, first_stage=loaded.first_stage, **inputs)[0]


def random_latent(tag: str, frames: int = 6) -> dict:
    samples = torch.randn(frames, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    return {"samples": samples, "betwixt_model": tag}


def sketched(loaded, sketch_encoder, **changes):
    from betwixt.nodes.tooncrafter.sketches import ApplySketches

    positive, negative, _, latent, _ = conditioned(loaded, frame_count=16)
    lines = torch.ones(2, 48, 80, 3)
    lines[:, 20:24] = 0
    inputs = {"positive": positive, "negative": negative, "control_net": sketch_encoder, "sketches": lines}
    return *run(ApplySketches, **{**inputs, "frames": "0, -1", **changes}), latent
