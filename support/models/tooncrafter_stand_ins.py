"""Narrow ToonCrafter and DynamiCrafter files in the layout and under the names of the published ones."""

from pathlib import Path

import torch
from safetensors.torch import save_file

from support.golden import STORED
from support.models import synthetic_weights
from support.models.tooncrafter_checkpoints import state_dict

GOLDEN = STORED / "tooncrafter"
ONLY_TOONCRAFTER = (".time_stack.", ".mix_factor", ".time_mix_conv.", ".attn_refinement.")  # of the decoder
PRUNED = ("cond_stage_model.", "embedder.")


def tooncrafter(dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    """Everything in ``model.ckpt``; repackaged files have the schedule tables in half precision as well."""
    weights = state_dict(GOLDEN / "manifest.json.gz")
    return {key: value.to(dtype) for key, value in weights.items()}


def dynamicrafter_512(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """What a DynamiCrafter file has of ToonCrafter's keys."""
    return {name: value for name, value in weights.items() if not any(part in name for part in ONLY_TOONCRAFTER)}


def dynamicrafter_256(dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    """Everything in that model's file."""
    return {key: value.to(dtype) for key, value in state_dict(GOLDEN / "manifest_dc256.json.gz").items()}


def pruned(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Without text and image encoder."""
    return {key: value for key, value in weights.items() if not key.startswith(PRUNED)}


def sketch_encoder() -> dict[str, torch.Tensor]:
    manifest = synthetic_weights.load_manifest(GOLDEN / "manifest_sketch_encoder.json.gz")
    return synthetic_weights.state_dict(manifest)


def write_models(models: Path) -> None:
    """The files that the shipped workflows name."""
    for folder in ("checkpoints", "controlnet"):
        (models / folder).mkdir(parents=True, exist_ok=True)
    weights = tooncrafter(torch.float16)
    smaller = dynamicrafter_512(weights)
    checkpoints = models / "checkpoints"
    save_file(weights, checkpoints / "tooncrafter_512_interp-fp16.safetensors")
    save_file(pruned(smaller), checkpoints / "dynamicrafter_512_interp_fp16_pruned.safetensors")
    torch.save({"epoch": 1, "state_dict": smaller}, checkpoints / "dynamicrafter_512.ckpt")
    torch.save({"state_dict": dynamicrafter_256(torch.float16)}, checkpoints / "dynamicrafter_256.ckpt")
    torch.save(sketch_encoder(), models / "controlnet" / "sketch_encoder.ckpt")
