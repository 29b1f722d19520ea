"""Reduced ToonCrafter files in the published layout, written to disk and loaded as the loader nodes load them."""

import functools
import tempfile
from pathlib import Path
from unittest import mock

import torch

from support.bootstrap import use_host
from support.golden import Case
from support.models import synthetic_weights

SCHEDULES = {"manifest.json.gz": "schedule.safetensors", "manifest_dc256.json.gz": "dc256_schedule.safetensors"}


def root_buffers(schedule: Case) -> dict[str, torch.Tensor]:
    """The tables at the top level of a published file."""
    return {key: value for key, value in schedule.tensors.items() if "/" not in key}


def state_dict(manifest: Path) -> dict[str, torch.Tensor]:
    """Everything a published file holds, at the manifest's width."""
    weights = synthetic_weights.state_dict(synthetic_weights.load_manifest(manifest))
    schedule = Case(manifest).beside(SCHEDULES[manifest.name])
    return {**root_buffers(Case(schedule)), **weights}


def load(manifest: Path, weight_dtype: str = "default"):
    """A checkpoint of the manifest's width, through a file; ``weight_dtype`` of the UNet."""
    use_host()
    from betwixt.nodes.host.tooncrafter.files import load_checkpoint
    from comfy.cli_args import args

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.ckpt"
        torch.save({"epoch": 1, "state_dict": state_dict(manifest)}, path)
        # The host keeps CLIP in half precision by default; the goldens are float32.
        with mock.patch.object(args, "fp32_text_enc", True), torch.inference_mode(False):
            return load_checkpoint(str(path), weight_dtype)


_checkpoint = functools.lru_cache(maxsize=2)(load)


def checkpoint(case: Case, manifest: str = "manifest.json.gz"):
    """The loaded reduced checkpoint: model, first_stage, clip, clip_vision, variant."""
    return _checkpoint(case.beside(manifest))


@functools.lru_cache(maxsize=1)
def _sketch_encoder(manifest: Path):
    use_host()
    from betwixt.nodes.host.tooncrafter.sketch_guidance import load_sketch_encoder

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sketch_encoder.ckpt"
        torch.save(synthetic_weights.state_dict(synthetic_weights.load_manifest(manifest)), path)
        with torch.inference_mode(False):
            return load_sketch_encoder(str(path))


def sketch_encoder(case: Case):
    """The loaded reduced sketch encoder, a CONTROL_NET."""
    return _sketch_encoder(case.beside("manifest_sketch_encoder.json.gz"))
