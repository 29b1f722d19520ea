"""A golden case: its inputs, parameters and manifests, and how a comparison is stated."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors import safe_open

from support.models import synthetic_weights

STORED = Path(__file__).resolve().parent.parent / "tests" / "golden"


@dataclass(frozen=True)
class Check:
    """One compared quantity: its maximum error and what is tolerated (both in the unit the golden README gives)."""

    name: str
    error: float
    tolerance: float

    @property
    def ok(self) -> bool:
        return self.error <= self.tolerance  # NaN fails


@dataclass(frozen=True)
class Case:
    """One file of a golden folder.

    Attributes:
        device: where it is to be computed.
        hosted: the host brings its tensors there; they are handed out beside the processor, as nodes get theirs.
    """

    path: Path
    device: str = "cpu"
    hosted: bool = False

    @property
    def component(self) -> str:
        return self.path.parent.name

    @property
    def name(self) -> str:
        return self.path.stem

    @cached_property
    def tensors(self) -> dict[str, torch.Tensor]:
        place = "cpu" if self.hosted else self.device
        with safe_open(self.path, "pt") as file:
            return {key: file.get_tensor(key).to(place) for key in file.keys()}

    @cached_property
    def parameters(self) -> dict:
        """The JSON in the file's metadata, the object under ``case`` unpacked."""
        with safe_open(self.path, "pt") as file:
            metadata = dict(file.metadata() or {})
        merged = {}
        for key, value in metadata.items():
            try:
                decoded = json.loads(value)
            except json.JSONDecodeError:
                decoded = value
            if key == "case" and isinstance(decoded, dict):
                merged.update(decoded)
            else:
                merged[key] = decoded
        return merged

    @cached_property
    def config(self) -> dict:
        """The folder's ``config.json``, or the stored one of this component, or nothing."""
        path = self.beside("config.json")
        return json.loads(path.read_text()) if path.exists() else {}

    @cached_property
    def read(self) -> set[str]:
        """Names of the tensors that were asked for, to tell what a comparison leaves out."""
        return set()

    def __getitem__(self, key: str) -> torch.Tensor:
        self.read.add(key)
        return self.tensors[key]

    def __contains__(self, key: str) -> bool:
        return key in self.tensors

    def array(self, key: str) -> np.ndarray:
        return self[key].cpu().numpy()

    def scalar(self, key: str):
        return self[key].item()

    def png(self, key: str) -> np.ndarray:
        """A tensor that holds the bytes of a PNG file, decoded to uint8 RGB [H, W, 3]."""
        return cv2.imdecode(self.array(key), cv2.IMREAD_COLOR)[..., ::-1].copy()

    def beside(self, filename: str) -> Path:
        """A file of this case's folder, or the one of the same name stored with the tests."""
        path = self.path.parent / filename
        return path if path.exists() else STORED / self.component / filename

    def manifest(self, filename: str) -> dict:
        return synthetic_weights.load_manifest(self.beside(filename))


@contextlib.contextmanager
def without_tf32() -> Iterator[None]:
    """Float32 as it is meant, on a card too: TF32's ten bits would hide what a network does."""
    places = torch.backends.cuda.matmul, torch.backends.cudnn
    before = [place.allow_tf32 for place in places]
    try:
        for place in places:
            place.allow_tf32 = False
        yield
    finally:
        for place, allowed in zip(places, before, strict=True):
            place.allow_tf32 = allowed


def max_error(actual, expected) -> float:
    """Largest absolute difference; infinite when the shapes differ."""
    actual, expected = (torch.as_tensor(value).cpu().double() for value in (actual, expected))
    if actual.shape != expected.shape:
        return float("inf")
    return float((actual - expected).abs().max()) if actual.numel() else 0.0


def max_relative_error(actual, expected) -> float:
    """Largest absolute difference divided by the largest expected magnitude."""
    scale = float(torch.as_tensor(expected).cpu().double().abs().max()) if torch.as_tensor(expected).numel() else 1.0
    return max_error(actual, expected) / max(scale, 1e-30)
