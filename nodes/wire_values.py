"""One check per type of wire: what every node may rely on in the values that arrive at it."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch

from ..common.errors import BetwixtError
from ..common.files.published_files import CLIP_VISION_H
from ..common.finite import all_finite
from ..common.pictures import rgb_frames

# Type of a wire -> (what it carries, what each such value has). Values of other packs may have the same name and be
# something else, so that names alone are not trusted. "a.b": a part of a part.
PARTS = {
    "MODEL": ("a diffusion model", ("model",)),
    "CLIP": ("a text encoder", ("tokenize",)),
    "CLIP_VISION": ("an image encoder", ("encode_image", "model")),
    "VAE": ("a VAE", ("first_stage_model", "encode", "decode")),
    "CONTROL_NET": ("a ControlNet", ("copy", "set_cond_hint")),
    "OPTICAL_FLOW": ("an optical flow model", ("model",)),
    "LINE_MATCHER": ("a line matcher", ("match",)),
    "LINE_MATCHES": ("matched lines", ("start", "end", "score", "canvas")),
    "POSE_ESTIMATOR": ("a pose estimator", ("estimate",)),
    "CONTROLNEXT": ("a ControlNeXt encoder", ("model.config",)),
    "INBETWEEN_CONDITIONING": ("the conditionings of two key frames", ("conditionings", "latent")),
    "TOONCRAFTER_FIRST_STAGE": ("ToonCrafter's first stage", ("variant", "encode", "decode")),
    "KEY_FRAME_REFERENCES": ("references of two key frames", ("pictures", "model")),
    "FLOW_MODEL": ("an optical flow estimator", ("estimate", "pairs_at_once")),
    "FLOW": ("optical flow", ("forward", "backward", "occlusion", "pairs")),
    "STYLIZED_KEYS": ("painted key frames with their numbers", ("frames", "numbers")),
    "PATCH_SETTINGS": ("settings of the patch synthesis", ("synthesis", "weights")),
    "PROPAGATION": ("a propagated clip", ("parts", "clip")),
    "INTERP_MODEL": ("a frame interpolation model", ("model", "load_device", "model_dtype")),
    "KEYFRAME_CONSTRAINTS": ("a chain of constraints", ("cross_frame", "added")),
}
# What a checkpoint may lack -> where else it is to be had
INSIDE_CHECKPOINTS = {
    "MODEL": "'Load Diffusion Model'",
    "CLIP": "'Load CLIP'",
    "CLIP_VISION": f"'Load CLIP Vision' with {CLIP_VISION_H.described}",
    "VAE": "'Load VAE'",
}
SHOWN = 60  # characters of a wrong value in an error


def checked_value(value: object, kind: str, name: str) -> object:
    """The value of a wire, in the form that nodes rely on.

    Args:
        kind: type of the wire, e.g. "IMAGE"; those that are not listed here are only refused where nothing arrives.
        name: the input's name as the user sees it.

    Returns:
        IMAGE: float32 [B, H, W, 3], finite; MASK: float32 [B, H, W], finite; the others as they are.

    Raises:
        BetwixtError: nothing arrives, or something else than the type's name says.
    """
    if value is None:
        raise _nothing(kind, name)
    if kind in CHECKS:
        return CHECKS[kind](value, name)
    if kind in PARTS:
        described, parts = PARTS[kind]
        if isinstance(value, str | Mapping | torch.Tensor) or not all(_has(value, part) for part in parts):
            raise BetwixtError(
                f"What arrives at '{name}' is {shown(value)}.",
                f"{described[0].upper()}{described[1:]} is needed.",
                _connect(name),
            )
    return value


def _has(value: object, part: str) -> bool:
    try:
        operator.attrgetter(part)(value)
    except AttributeError:
        return False
    return True


def shown(value: object) -> str:
    """A value in an error: short, with its type or shape."""
    if isinstance(value, torch.Tensor | np.ndarray):
        return f"a tensor of the shape {list(value.shape)}"
    if isinstance(value, bool | int | float | str | None):
        text = repr(value) if not isinstance(value, int) or value.bit_length() < 200 else "a very large number"
        return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}" + (f" ({shown(value[0])}, ...)" if len(value) > 0 else "")
    return f"a value of the type {type(value).__name__}"


def _nothing(kind: str, name: str) -> BetwixtError:
    described = PARTS[kind][0] if kind in PARTS else f"a value of the type {kind}"
    remedy = _connect(name)
    if kind in INSIDE_CHECKPOINTS:
        remedy = f"Take a checkpoint that holds {described}, or connect {INSIDE_CHECKPOINTS[kind]} to '{name}'."
    return BetwixtError(f"Nothing arrives at '{name}'.", f"{described[0].upper()}{described[1:]} is needed.", remedy)


def _connect(name: str) -> str:
    return f"Check what is connected to '{name}'."


def _tensor(value: object, name: str, described: str) -> torch.Tensor:
    if not isinstance(value, torch.Tensor):
        raise BetwixtError(f"What arrives at '{name}' is {shown(value)}.", f"{described} is needed.", _connect(name))
    if value.is_complex():
        raise BetwixtError(f"'{name}' holds complex numbers.", f"{described} is needed.", _connect(name))
    return value


def _image(value: object, name: str) -> torch.Tensor:
    images = _tensor(value, name, "A batch of pictures [frames, height, width, channels]")
    return rgb_frames(images, name)


def _mask(value: object, name: str) -> torch.Tensor:
    """[B, H, W] of [H, W], [B, H, W], [B, 1, H, W] or [B, H, W, 1]."""
    masks = _tensor(value, name, "A mask [frames, height, width]")
    if masks.ndim == 4 and 1 in (masks.shape[1], masks.shape[3]):
        masks = masks.squeeze(1) if masks.shape[1] == 1 else masks.squeeze(3)
    masks = masks[None] if masks.ndim == 2 else masks
    if masks.ndim != 3 or masks.numel() == 0:
        raise BetwixtError(
            f"'{name}' has the shape {list(masks.shape)}.",
            "A mask [height, width] or a batch [frames, height, width] with at least one pixel is needed.",
            _connect(name),
        )
    masks = masks.float()
    if not all_finite(masks):
        raise BetwixtError(
            f"'{name}' contains NaN or infinite values.",
            "All values must lie in 0..1.",
            "Check the node that makes it.",
        )
    return masks


def _latent(value: object, name: str) -> Mapping:
    if not isinstance(value, Mapping) or not isinstance(value.get("samples"), torch.Tensor):
        raise BetwixtError(
            f"What arrives at '{name}' is {shown(value)}.",
            "A LATENT is needed, a dictionary with 'samples'.",
            _connect(name),
        )
    samples = value["samples"]
    if samples.ndim < 3 or samples.numel() == 0 or not samples.is_floating_point():
        raise BetwixtError(
            f"The latent on '{name}' has the shape {list(samples.shape)} ({samples.dtype}).",
            "Floating-point numbers [frames, channels, height / 8, width / 8], at least one, are needed.",
            _connect(name),
        )
    if not all_finite(samples):
        raise BetwixtError(
            f"The latent on '{name}' contains NaN or infinite values.",
            "All values must be finite.",
            "Look for what produced them: often half precision, a guidance that is far too high, or a damaged model.",
        )
    mask = value.get("noise_mask")
    if mask is not None and not _is_noise_mask(mask):
        raise BetwixtError(
            f"The latent on '{name}' has the noise mask {shown(mask)}.",
            "Finite numbers [frames, height, width] are needed.",
            "Check the node that sets the mask.",
        )
    return value


def _is_noise_mask(mask: object) -> bool:
    sound = isinstance(mask, torch.Tensor) and mask.ndim >= 2 and mask.numel() > 0 and not mask.is_complex()
    return sound and all_finite(mask)


def _conditioning(value: object, name: str) -> Sequence:
    sound = isinstance(value, list | tuple) and len(value) > 0
    for entry in value if sound else ():
        pair = isinstance(entry, list | tuple) and len(entry) == 2
        sound &= pair and isinstance(entry[0], torch.Tensor) and isinstance(entry[1], Mapping) and entry[0].numel() > 0
    if not sound:
        raise BetwixtError(
            f"What arrives at '{name}' is {shown(value)}.",
            "A CONDITIONING with at least one entry is needed.",
            _connect(name),
        )
    if not all(bool(torch.isfinite(entry[0]).all()) for entry in value):
        raise BetwixtError(
            f"The conditioning on '{name}' contains NaN or infinite values.",
            "All values must be finite.",
            "Check the text or image encoder upstream.",
        )
    return value


def _sigmas(value: object, name: str) -> torch.Tensor:
    sigmas = _tensor(value, name, "A list of noise levels")
    if sigmas.ndim != 1 or sigmas.numel() == 0 or not bool(torch.isfinite(sigmas.float()).all()):
        raise BetwixtError(
            f"'{name}' is {shown(value)}, or not all of it is finite.",
            "Noise levels are one row of finite numbers.",
            _connect(name),
        )
    return sigmas


def _tracks(value: object, name: str) -> Mapping:
    places = value.get("track_path") if isinstance(value, Mapping) else None
    seen = value.get("track_visibility") if isinstance(value, Mapping) else None
    sound = isinstance(places, torch.Tensor) and places.ndim == 3 and places.shape[-1] == 2 and places.shape[0] > 0
    if sound and seen is not None:
        fitting = [tuple(places.shape[:2]), (places.shape[0], 1)]
        sound = isinstance(seen, torch.Tensor) and tuple(seen.shape) in fitting
    if not sound:
        found = places if isinstance(places, torch.Tensor) else value
        raise BetwixtError(
            f"What arrives at '{name}' is {shown(found)}.",
            "TRACKS are points [frames, tracks, 2] and whether each is seen, [frames, tracks].",
            f"Connect the TRACKS output of a node to '{name}'.",
        )
    return value


def _layers(value: object, name: str) -> tuple:
    """One entry for each gap between key frames."""
    if not isinstance(value, tuple) or not all(hasattr(gap, "pictures") for gap in value) or not value:
        raise BetwixtError(
            f"What arrives at '{name}' is {shown(value)}.",
            "Motion layers are needed.",
            f"Connect 'Find Motion Layers' to '{name}'.",
        )
    return value


CHECKS: dict[str, Callable[[object, str], object]] = {
    "IMAGE": _image,
    "MASK": _mask,
    "LATENT": _latent,
    "CONDITIONING": _conditioning,
    "SIGMAS": _sigmas,
    "TRACKS": _tracks,
    "MOTION_LAYERS": _layers,
}
