"""Weight files: checkpoints of both kinds, safetensors, ONNX under both engines."""

import io
import random
from collections import OrderedDict
from functools import cache
from pathlib import Path

import numpy as np

from . import mutators
from .target import Target


def _saved(contents, **options) -> bytes:
    import torch

    buffer = io.BytesIO()
    torch.save(contents, buffer, **options)
    return buffer.getvalue()


@cache
def _checkpoints(zipped: bool) -> tuple[bytes, ...]:
    import torch

    weights = {
        "conv1a.weight": torch.ones(2, 1, 3, 3),
        "a.bias": torch.zeros(2, dtype=torch.float16),
        "n": torch.tensor(3),
    }
    beside = {"epoch": 7, "loss": np.float64(0.25), "curve": np.arange(3.0), "flags": {"a", 1}, "type": torch.float16}
    shared = torch.arange(12.0)
    views = OrderedDict(a=shared[2:6], b=shared[::2], p=torch.nn.Parameter(torch.ones(2)))
    contents = (weights, {"state_dict": weights, **beside}, {"model": views, "order": OrderedDict(x=[1, (2, 3.5)])})
    return tuple(_saved(each, _use_new_zipfile_serialization=zipped) for each in contents)


def _zip_checkpoint(draws: random.Random) -> bytes:
    seed = draws.choice(_checkpoints(True))
    return mutators.repacked(seed, draws) if draws.random() < 0.75 else mutators.damaged(seed, draws)


def _legacy_checkpoint(draws: random.Random) -> bytes:
    alphabet = mutators.PICKLE_OPERATIONS if draws.random() < 0.5 else None
    return mutators.damaged(draws.choice(_checkpoints(False)), draws, alphabet)


@cache
def _safetensors() -> bytes:
    import torch
    from safetensors.torch import save

    return save({"a.weight": torch.ones(2, 3), "a.bias": torch.zeros(2, dtype=torch.float16)}, {"format": "pt"})


def _read_checkpoint(path: Path) -> None:
    from betwixt.common.files.checkpoints import describe_state_dict, non_finite_report, unwrap_state_dict
    from betwixt.common.files.weight_files import read_torch_file

    for mapped in (False, True):
        state_dict = unwrap_state_dict(read_torch_file(str(path), mapped))
        describe_state_dict(state_dict)
        non_finite_report(state_dict)


def _read_safetensors(path: Path) -> None:
    from betwixt.common.files.checkpoints import describe_state_dict, non_finite_report
    from betwixt.common.files.weight_files import check_safetensors
    from safetensors.torch import load_file

    check_safetensors(str(path))
    state_dict = load_file(path)
    describe_state_dict(state_dict)
    non_finite_report(state_dict)


@cache
def _networks() -> tuple[bytes, ...]:
    from support.golden import STORED
    from support.models import onnx_networks

    folder = STORED / "dwpose"
    stored = tuple((folder / name).read_bytes() for name in ("standin_det.onnx", "standin_pose.onnx"))
    return (*stored, *2 * (onnx_networks.detector(), onnx_networks.pose()))


def _network(draws: random.Random) -> bytes:
    seed = draws.choice(_networks())
    return mutators.protobuf_damaged(seed, draws) if draws.random() < 0.8 else mutators.damaged(seed, draws)


def _open_network(path: Path, runtime: str) -> None:
    from betwixt.fcvg_core.poses.onnx_session import open_session, run_network

    session = open_session(str(path), runtime)
    size = [side if isinstance(side, int) else 1 for side in session.get_inputs()[0].shape]
    if len(size) == 4 and max(size) <= 1024:  # as the pose estimator asks for
        size[0] = 1
        run_network(session, np.ones(size, np.float32), path.name)


WEIGHTS, NETWORKS = "betwixt.common.files.weight_files", "betwixt.fcvg_core.poses.onnx_session"
TARGETS = {
    "checkpoint": Target(_zip_checkpoint, _read_checkpoint, ".pth", (WEIGHTS,)),
    "legacy_checkpoint": Target(_legacy_checkpoint, _read_checkpoint, ".pth", (WEIGHTS,)),
    "safetensors": Target(
        lambda draws: mutators.damaged(_safetensors(), draws), _read_safetensors, ".safetensors", (WEIGHTS,)
    ),
    "onnx_opencv": Target(_network, lambda path: _open_network(path, "opencv"), ".onnx", (NETWORKS,)),
    "onnx_onnxruntime": Target(
        _network, lambda path: _open_network(path, "onnxruntime"), ".onnx", (NETWORKS, "onnxruntime")
    ),
}
