"""Synthetic SuperPoint and GlueStick files in the layouts they are published in."""

from pathlib import Path

import numpy as np
import torch

from support.golden import STORED
from support.models import synthetic_weights

FOLDER = STORED / "gluestick"


def superpoint_weights() -> dict[str, torch.Tensor]:
    return synthetic_weights.state_dict(synthetic_weights.load_manifest(FOLDER / "superpoint_manifest.json"))


def gluestick_weights(manifest: str = "manifest.json") -> dict[str, torch.Tensor]:
    """Of the reduced matcher with 6 layers, or of ``full_manifest.json.gz``."""
    return synthetic_weights.state_dict(synthetic_weights.load_manifest(FOLDER / manifest))


def training_checkpoint(weights: dict[str, torch.Tensor], prefix: str = "matcher.") -> dict:
    """What a training framework saves: the whole pipeline's weights, statistics as numpy values, settings."""
    model = {f"{prefix}{name}": value for name, value in weights.items()}
    model["extractor.sp.conv1a.bias"] = torch.zeros(64)
    return {
        "model": model,
        "epoch": 30,
        "losses": {"total": np.float64(0.5)},
        "conf": {"model": {"name": "two_view_pipeline"}},
        "optimizer": {"state": {}},
    }


def write_published_files(folder: Path, manifest: str = "manifest.json") -> None:
    """``superpoint_v1.pth`` in torch's old format and ``checkpoint_GlueStick_MD.tar``."""
    torch.save(superpoint_weights(), folder / "superpoint_v1.pth", _use_new_zipfile_serialization=False)
    torch.save(training_checkpoint(gluestick_weights(manifest)), folder / "checkpoint_GlueStick_MD.tar")
