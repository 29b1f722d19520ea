"""How unlike a pixel and the place a motion takes it to are; light that changes between the key frames set aside."""

import cv2
import numpy as np

COLOUR_LIMIT = 30.0  # grey levels of mean colour difference that count as "altogether unlike"
GRADIENT_LIMIT = 20.0  # grey levels over 2 px
GRADIENT_SHARE = 0.5
SAMPLING_SHARE = 0.5  # of the colour difference that forgives half a pixel of sampling (Birchfield and Tomasi, 1998)
LIGHT_LIMIT = 0.3  # logarithm of a channel's change of light, beside the whole picture's, that is believed
LEAST_LIGHT = 0.015  # mean change below which light counts as the same
_BOX = np.ones((3, 3), np.uint8)


def fetch(picture: np.ndarray, displacement: np.ndarray, grid: np.ndarray, nearest: bool = False) -> np.ndarray:
    """``picture(p + displacement(p))``, beyond the border the nearest pixel; float32 or uint8 (H, W[, C])."""
    flags = cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR
    return cv2.remap(picture, grid + displacement, None, flags, borderMode=cv2.BORDER_REPLICATE)


def channel_mean(planes: np.ndarray) -> np.ndarray:
    """Mean (H, W) over the channels of float32 (H, W, C)."""
    count = planes.shape[-1]
    return cv2.transform(planes, np.full((1, count), 1 / count))


def outside(displacement: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """bool (H, W): where a displacement leads out of the picture."""
    x, y = (grid[..., axis] + displacement[..., axis] for axis in (0, 1))
    height, width = grid.shape[:2]
    return (x < -0.5) | (y < -0.5) | (x > width - 0.5) | (y > height - 0.5)


def gradient(picture: np.ndarray) -> np.ndarray:
    """Gradient (H, W, 2) of a float32 RGB picture's brightness, grey levels over 2 px."""
    grey = channel_mean(picture)
    return np.stack([cv2.Sobel(grey, cv2.CV_32F, *axes, scale=0.25) for axes in ((1, 0), (0, 1))], axis=-1)


def sampling_difference(picture: np.ndarray, fetched: np.ndarray) -> np.ndarray:
    """Mean colour difference (H, W) beyond the range of the 3x3 px around the fetched pixel."""
    low, high = cv2.erode(fetched, _BOX), cv2.dilate(fetched, _BOX)
    return channel_mean(np.maximum(np.maximum(picture - high, low - picture), 0))


def unlikeness(
    picture: np.ndarray, edges: np.ndarray, other: np.ndarray, displacement: np.ndarray, grid: np.ndarray, light=None
) -> np.ndarray:
    """0 = alike .. 1 = unlike, float32 (H, W).

    Args:
        picture, other: float32 RGB 0..255 (H, W, 3), this key frame and the other one.
        edges: :func:`gradient` of ``picture``.
        displacement: (H, W, 2), px, into the other key frame.
        grid: :func:`..motion.motions.pixel_grid`.
        light: (H, W, 3) this frame's light over the other one's, or None.
    """
    fetched = fetch(other, displacement, grid)
    if light is not None:
        fetched *= light
    plain = channel_mean(cv2.absdiff(picture, fetched))
    colour = SAMPLING_SHARE * sampling_difference(picture, fetched) + (1 - SAMPLING_SHARE) * plain
    shape = channel_mean(cv2.absdiff(edges, gradient(fetched)))
    cost = (1 - GRADIENT_SHARE) * np.minimum(colour / COLOUR_LIMIT, 1)
    return (cost + GRADIENT_SHARE * np.minimum(shape / GRADIENT_LIMIT, 1)).astype(np.float32)


def change_of_light(
    picture: np.ndarray, other: np.ndarray, displacement: np.ndarray, grid: np.ndarray
) -> np.ndarray | None:
    """Smooth ratio (H, W, 3) of a key frame's light to the other one's, or None where both have the same.

    Arguments as for :func:`unlikeness`; the displacement need only be right in most places.
    """
    height, width = picture.shape[:2]
    ratio = np.log((picture + 8) / (fetch(other, displacement, grid) + 8))
    usual = np.median(ratio, axis=(0, 1))
    sound = ((np.abs(ratio - usual).max(axis=-1) < LIGHT_LIMIT) & ~outside(displacement, grid)).astype(np.float32)
    shrink = max(1, round(width / 64))
    size = max(8, width // shrink), max(8, height // shrink)
    weighted = np.concatenate([ratio * sound[..., None], sound[..., None]], axis=-1)
    small = cv2.resize(weighted, size, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), size[0] / 12, borderType=cv2.BORDER_REFLECT)
    prior = np.float32(0.02)  # where nothing sound is near, the whole picture's change
    smooth = (small[..., :3] + prior * usual) / (small[..., 3:] + prior)
    if np.abs(smooth).mean() < LEAST_LIGHT:
        return None
    return np.exp(cv2.resize(smooth, (width, height), interpolation=cv2.INTER_LINEAR)).astype(np.float32)
