"""Random Stable Video Diffusion weights in the published layouts, of full or of reduced size."""

import math
from pathlib import Path

import torch

from support.models.synthetic_weights import load_manifest

GOLDEN = Path(__file__).resolve().parent.parent.parent / "tests" / "golden" / "fcvg"
FULL_UNET, REDUCED_UNET = "full_manifest.json.gz", "manifest.json.gz"
CONTROLNEXT = "controlnext.manifest.json.gz"


def random_weights(shapes: dict, dtype: torch.dtype, device="cpu", seed: int = 0) -> dict:
    """Normal weights scaled to keep activations near unit size; norms near 1, biases near 0. On the CPU."""
    generator = torch.Generator(device).manual_seed(seed)
    weights = {}
    for key, shape in shapes.items():
        values = torch.randn(tuple(shape), generator=generator, device=device)
        if len(shape) > 1:
            values /= math.sqrt(math.prod(shape[1:]))
        elif key.endswith("weight"):
            values = 1 + 0.1 * values
        else:
            values *= 0.02
        weights[key] = values.to(dtype).cpu()
    return weights


def from_manifest(filename: str, dtype: torch.dtype, device="cpu") -> dict:
    """Random weights with the names and shapes of a manifest of the fcvg goldens."""
    manifest = load_manifest(GOLDEN / filename)
    return random_weights({key: entry["shape"] for key, entry in manifest.items()}, dtype, device)


def temporal_vae(dtype: torch.dtype, device="cpu") -> dict:
    """Random weights of SVD's VAE at full size, in the names of its checkpoint; the host must be importable."""
    import comfy.ldm.models.autoencoder as autoencoder

    encoder = {"double_z": True, "z_channels": 4, "resolution": 256, "in_channels": 3, "out_ch": 3, "ch": 128}
    encoder |= {"ch_mult": [1, 2, 4, 4], "num_res_blocks": 2, "attn_resolutions": [], "dropout": 0.0}
    decoder = {**encoder, "video_kernel_size": [3, 1, 1], "alpha": 0.0}
    module = "comfy.ldm.modules"
    with torch.device("meta"):
        engine = autoencoder.AutoencodingEngine(
            regularizer_config={"target": "comfy.ldm.models.autoencoder.DiagonalGaussianRegularizer"},
            encoder_config={"target": f"{module}.diffusionmodules.model.Encoder", "params": encoder},
            decoder_config={"target": f"{module}.temporal_ae.VideoDecoder", "params": decoder},
        )
    return random_weights({key: value.shape for key, value in engine.state_dict().items()}, dtype, device)
