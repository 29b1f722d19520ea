"""Reduced ToonCrafter files in the published layout, written to disk and loaded as the loader nodes load them."""

import contextlib
import functools
import json
import tempfile
from pathlib import Path
from unittest import mock

import torch

from support.bootstrap import use_host
from support.golden import Case
from support.models import synthetic_weights

SCHEDULES = {"manifest_dc256.json.gz": "dc256_schedule.safetensors"}


def root_buffers(schedule: Case) -> dict[str, torch.Tensor]:
    """The tables at the top level of a published file."""
    return {key: value for key, value in schedule.tensors.items() if "/" not in key}


def state_dict(manifest: Path) -> dict[str, torch.Tensor]:
    """Everything a published file holds, at the manifest's width."""
    weights = synthetic_weights.state_dict(synthetic_weights.load_manifest(manifest))
    schedule = Case(manifest).beside(SCHEDULES.get(manifest.name, "schedule.safetensors"))
    return {**root_buffers(Case(schedule)), **weights}


@contextlib.contextmanager
def head_counts(config: dict):
    """While it lasts, checkpoints are loaded with the head counts of a folder's ``config.json``, which shapes do not
    show; published files have those of the published networks."""
    from betwixt.nodes.host.tooncrafter import clip_towers, files

    def tower(load, part: str):
        heads = config.get(part, {}).get("heads")

        def loaded(state_dict, head_width, file):
            with mock.patch.object(clip_towers, "_heads", lambda *_: heads) if heads else contextlib.nullcontext():
                return load(state_dict, head_width, file)

        return loaded

    def first_stage(variant, weights, resampler, head_width, file, original=files.FirstStage):
        return original(variant, weights, resampler, config.get("resampler", {}).get("dim_head", head_width), file)

    with (
        mock.patch.object(files, "text_encoder", tower(files.text_encoder, "text")),
        mock.patch.object(files, "image_encoder", tower(files.image_encoder, "visual")),
        mock.patch.object(files, "FirstStage", first_stage),
    ):
        yield


def load(manifest: Path, weight_dtype: str = "default", config: str = "{}"):
    """A checkpoint of the manifest's width, through a file.

    Args:
        weight_dtype: of the UNet.
        config: JSON of the folder's ``config.json``.
    """
    use_host()
    from betwixt.nodes.host.tooncrafter.files import load_checkpoint
    from comfy.cli_args import args

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.ckpt"
        torch.save({"epoch": 1, "state_dict": state_dict(manifest)}, path)
        # The host keeps CLIP in half precision by default; the goldens are float32.
        single = mock.patch.object(args, "fp32_text_enc", True)
        with single, head_counts(json.loads(config)), torch.inference_mode(False):
            return load_checkpoint(str(path), weight_dtype)


_checkpoint = functools.lru_cache(maxsize=2)(load)


def checkpoint(case: Case, manifest: str = "manifest.json.gz"):
    """The loaded reduced checkpoint: model, first_stage, clip, clip_vision, variant."""
    return _checkpoint(case.beside(manifest), config=json.dumps(case.config))


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
