"""The networks behind FID and FVD, from files that the user has placed; nothing is downloaded."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from betwixt.common.errors import BetwixtError
from torch import Tensor
from torch.overrides import TorchFunctionMode

from benchmarks.sets.motion import LEAST_FRAMES, motion_features

AT_ONCE = 16  # pictures in one evaluation
PUBLISHED_CLASSES = 1008  # of the Inception network that FID was published with
IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

# Features [rows, D] of a clip, uint8 [T, H, W, 3].
Features = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Measure:
    """One distance between sets.

    Attributes:
        title: for the table.
        files: names of the files or folders that serve, any one of them; empty if none is needed.
        sources: where each is published.
        least_frames: of a clip.
        load: (path or None, device) -> features.
    """

    title: str
    files: tuple[str, ...]
    sources: tuple[str, ...]
    least_frames: int
    load: Callable[[Path | None, torch.device], Features]

    def find(self, folder: Path) -> Path | None:
        """The first of the files that is there."""
        return next((folder / name for name in self.files if (folder / name).exists()), None)

    def missing(self, folder: Path) -> BetwixtError:
        named = " or ".join(f"{name} ({source})" for name, source in zip(self.files, self.sources, strict=True))
        return BetwixtError(
            f"{self.title} needs {named}, which is not in {folder}.",
            "Nothing is downloaded.",
            f"Put it into {folder}, or say with --weights where it is.",
        )

    def features(self, folder: Path, device: torch.device) -> Features:
        """Raises:
        BetwixtError: the file is missing, or another one.
        """
        path = self.find(folder)
        if self.files and path is None:
            raise self.missing(folder)
        return self.load(path, device)


def _wrong_file(path: Path, needed: str) -> BetwixtError:
    return BetwixtError(f"{path} cannot be used.", f"{needed} is needed.", "Get the file again from its source.")


class FidPooling(TorchFunctionMode):
    """Pooling of the Inception network that FID was published with: averages leave out the padding, and the last block
    takes the maximum (``last``) instead."""

    last = False

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function is F.avg_pool2d and kwargs.get("padding") == 1:
            return F.max_pool2d(*args, **kwargs) if self.last else function(*args, **kwargs, count_include_pad=False)
        return function(*args, **kwargs)


def load_inception(path: Path | None, device: torch.device) -> Features:
    """Pooled features, 2048 per frame. The number of classes tells the published network (1008, from TensorFlow) from
    torchvision's (1000), whose distances are others."""
    from torchvision.models import inception_v3

    assert path is not None
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
        classes = len(weights["fc.weight"])
        with torch.device("meta"):
            network = inception_v3(num_classes=classes, aux_logits=False, init_weights=False, transform_input=False)
        own = {key: value for key, value in weights.items() if not key.startswith("AuxLogits.")}
        network.load_state_dict(own, assign=True)
    except Exception as error:  # whatever a wrong file brings up
        raise _wrong_file(path, "An Inception v3 in torchvision's names") from error
    return inception_features(network.float(), classes == PUBLISHED_CLASSES, device)


def inception_features(network: torch.nn.Module, published: bool, device: torch.device) -> Features:
    """Features before the classifier of a torchvision Inception v3, of frames resized to 299x299 (bilinear, without
    antialiasing, as published) with values -1..1."""
    network.fc = torch.nn.Identity()
    network.eval().to(device)
    pooling = FidPooling()
    network.Mixed_7c.register_forward_pre_hook(lambda *_: setattr(pooling, "last", True))
    network.Mixed_7c.register_forward_hook(lambda *_: setattr(pooling, "last", False))

    @torch.inference_mode()
    def features(frames: np.ndarray) -> np.ndarray:
        rows = []
        for part in _parts(frames):
            pictures = 2 * _resized(part.to(device), 299) - 1
            if published:
                with pooling:
                    rows.append(network(pictures))
            else:
                rows.append(network(pictures))
        return torch.cat(rows).double().cpu().numpy()

    return features


def load_i3d(path: Path | None, device: torch.device) -> Features:
    """400 features of a clip, from the TorchScript file that FVD is commonly computed with: clips of 224x224, -1..1."""
    assert path is not None
    try:
        network = torch.jit.load(str(path), map_location=device).eval()
    except RuntimeError as error:
        raise _wrong_file(path, "The TorchScript file of I3D") from error

    @torch.inference_mode()
    def features(frames: np.ndarray) -> np.ndarray:
        clip = torch.cat([2 * _resized(part.to(device), 224) - 1 for part in _parts(frames)])
        found = network(clip.transpose(0, 1)[None], rescale=False, resize=False, return_features=True)
        return found.reshape(1, -1).double().cpu().numpy()

    return features


def load_videomae(path: Path | None, device: torch.device) -> Features:
    """Mean token of a VideoMAE in transformers' layout (a folder with config.json and its weights), of as many frames,
    spread evenly, as it takes."""
    from transformers import VideoMAEModel

    assert path is not None
    try:
        network, report = VideoMAEModel.from_pretrained(path, local_files_only=True, output_loading_info=True)
    except Exception as error:
        raise _wrong_file(path, "A folder with VideoMAE's config.json and weights") from error
    if report["missing_keys"]:
        raise _wrong_file(path, "A folder with all weights of VideoMAE")
    network.eval().to(device)
    count, side = network.config.num_frames, network.config.image_size
    mean, deviation = (torch.tensor(values).view(3, 1, 1).to(device) for values in (IMAGENET_MEAN, IMAGENET_DEVIATION))

    @torch.inference_mode()
    def features(frames: np.ndarray) -> np.ndarray:
        chosen = frames[np.linspace(0, len(frames) - 1, count).round().astype(int)]
        clip = torch.cat([(_resized(part.to(device), side) - mean) / deviation for part in _parts(chosen)])
        return network(clip[None]).last_hidden_state.mean(dim=1).double().cpu().numpy()

    return features


def load_motion(path: Path | None, device: torch.device) -> Features:
    return lambda frames: motion_features(frames)[None]


def _parts(frames: np.ndarray) -> tuple[Tensor, ...]:
    """[n, 3, H, W] 0..1, a few at a time."""
    return (torch.from_numpy(frames).movedim(-1, 1).float() / 255).split(AT_ONCE)


def _resized(pictures: Tensor, side: int) -> Tensor:
    return F.interpolate(pictures, size=(side, side), mode="bilinear", align_corners=False)


MEASURES = {
    "fid": Measure(
        "FID",
        ("pt_inception-2015-12-05-6726825d.pth", "inception_v3_google-0cc3c7bd.pth"),
        ("the release fid_weights of github.com/mseitzer/pytorch-fid", "torchvision's weights of Inception v3"),
        1,
        load_inception,
    ),
    "fvd-i3d": Measure(
        "FVD (I3D)", ("i3d_torchscript.pt",), ("named in github.com/universome/fvd-comparison",), 10, load_i3d
    ),
    "fvd-videomae": Measure(
        "FVD (VideoMAE)", ("videomae",), ("a folder of huggingface.co/MCG-NJU/videomae-large",), 2, load_videomae
    ),
    "motion": Measure("motion histograms", (), (), LEAST_FRAMES, load_motion),
}
