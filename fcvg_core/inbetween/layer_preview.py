"""Pictures of motion layers: each layer in a colour of its own, and where the motion is not known."""

import colorsys

import cv2
import numpy as np
import torch

from .layers import FREE, MotionLayers

UNKNOWN = np.array([1.0, 0.0, 0.25], np.float32)


def layer_picture(layers: MotionLayers) -> torch.Tensor:
    """Both key frames side by side, tinted by layer, optical flow grey; float32 RGB [H, 2 W, 3], 0..1."""
    numbers = sorted({int(n) for side in layers.label for n in np.unique(side)} - {FREE})
    tints = {
        n: np.array(colorsys.hsv_to_rgb(0.618 * place % 1, 0.75, 1), np.float32) for place, n in enumerate(numbers)
    }
    tints[FREE] = np.full(3, 0.5, np.float32)
    sides = []
    for side in (0, 1):
        tint = np.zeros((*layers.size, 3), np.float32)
        for number, colour in tints.items():
            tint[layers.label[side] == number] = colour
        sides.append(_over(layers.pictures[side], tint, np.full(layers.size, 0.55, np.float32)))
    return torch.from_numpy(np.concatenate(sides, axis=1))


def unknown_picture(layers: MotionLayers) -> torch.Tensor:
    """Both key frames side by side, red where their motion is not known; float32 RGB [H, 2 W, 3], 0..1."""
    sides = [
        _over(layers.pictures[side], np.broadcast_to(UNKNOWN, (*layers.size, 3)), 0.7 * (1 - layers.explained[side]))
        for side in (0, 1)
    ]
    return torch.from_numpy(np.concatenate(sides, axis=1))


def _over(picture: np.ndarray, tint: np.ndarray, share: np.ndarray) -> np.ndarray:
    size = picture.shape[1::-1]
    tint = cv2.resize(np.ascontiguousarray(tint), size, interpolation=cv2.INTER_NEAREST)
    share = cv2.resize(share.astype(np.float32), size)[..., None]
    return (picture + share * (tint - picture)).clip(0, 1)
