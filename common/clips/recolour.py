"""Colours of one picture given to another: histogram matching in Lab and the luminosity blend
(docs/methods/rerender.md, Recolouring)."""

import cv2
import numpy as np

LUMA = np.array([0.299, 0.587, 0.114])


def match_histogram(channel: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Values of ``channel`` (uint8 [H, W]) mapped so that their distribution is ``reference``'s, truncated to uint8."""
    values, inverse, counts = np.unique(channel.ravel(), return_inverse=True, return_counts=True)
    wanted, wanted_counts = np.unique(reference.ravel(), return_counts=True)
    share, wanted_share = np.cumsum(counts) / channel.size, np.cumsum(wanted_counts) / reference.size
    return np.interp(share, wanted_share, wanted)[inverse].reshape(channel.shape).astype(np.uint8)


def match_lab(picture: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """8-bit Lab of a picture (uint8 RGB [H, W, 3]) with the channel distributions of ``reference``."""
    lab, wanted = (cv2.cvtColor(image, cv2.COLOR_RGB2LAB) for image in (picture, reference))
    return np.stack([match_histogram(lab[..., c], wanted[..., c]) for c in range(3)], axis=-1)


def luminosity_blend(background: np.ndarray, foreground: np.ndarray) -> np.ndarray:
    """Colours of ``background`` with the brightness of ``foreground``; both uint8 RGB [H, W, 3]."""
    base, top = background / 255.0, foreground / 255.0
    colour = base + ((top - base) @ LUMA)[..., None]
    luminosity = (colour @ LUMA)[..., None]
    low, high = colour.min(axis=-1, keepdims=True), colour.max(axis=-1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        raised = luminosity + (colour - luminosity) * luminosity / (luminosity - low)
        colour = np.where(low < 0, raised, colour)
        lowered = luminosity + (colour - luminosity) * (1 - luminosity) / (high - luminosity)
        colour = np.where(high > 1, lowered, colour)
    return np.round(colour * 255).clip(0, 255).astype(np.uint8)


def recoloured(picture: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """A picture with the colours of ``reference`` and its own brightness; uint8 RGB [H, W, 3]."""
    background = cv2.cvtColor(match_lab(picture, reference), cv2.COLOR_LAB2RGB)
    return luminosity_blend(background, picture)
