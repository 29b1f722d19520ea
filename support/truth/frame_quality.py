"""How near frames come to true ones: PSNR, SSIM, distance of edges, and the pace of motion."""

import cv2
import numpy as np
from betwixt.common.measures.similarity import Similarity, decibels

EDGES = (40, 100)  # Canny's thresholds
FARTHEST = 20.0  # px that an edge may be off at most
MOVING = 1.0  # px, from which a pixel's pace counts


def psnr(frame: np.ndarray, truth: np.ndarray, where: np.ndarray | None = None) -> float:
    """Peak signal-to-noise ratio, dB, of uint8 pictures (H, W, 3); ``where`` (H, W) limits it."""
    error = (frame.astype(np.float64) - truth) ** 2
    mean = (error if where is None else error[where]).mean()
    return decibels(float(max(mean, 1e-9)) / 255**2)


def ssim(frame: np.ndarray, truth: np.ndarray) -> float:
    """Structural similarity of the brightness, mean over all pixels, mirrored borders included."""
    greys = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255 for picture in (frame, truth)]
    luminance, structure = Similarity(*greys[0].shape).with_borders(*greys)
    return float((luminance * structure).mean(dtype=np.float64))


def edge_distance(frame: np.ndarray, truth: np.ndarray) -> float:
    """Mean distance, px, from the edges of each picture to the nearest edge of the other (chamfer), capped."""
    edges = [cv2.Canny(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), *EDGES) > 0 for picture in (frame, truth)]
    if not all(found.any() for found in edges):
        return 0.0 if edges[0].any() == edges[1].any() else FARTHEST
    away = [np.minimum(cv2.distanceTransform((~e).astype(np.uint8), cv2.DIST_L2, 5), FARTHEST) for e in edges]
    return float((away[1][edges[0]].mean() + away[0][edges[1]].mean()) / 2)


def pace(frames: list[np.ndarray]) -> np.ndarray:
    """Share of the way that each frame of a clip has gone, by optical flow from the first frame: 0 .. 1.

    The median over pixels that move, of the flow's part along the flow to the last frame.
    """
    greys = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    whole = flow.calc(greys[0], greys[-1], None)
    length = np.square(whole).sum(axis=-1)
    moving = length > MOVING**2
    if not moving.any():
        return np.linspace(0, 1, len(frames))
    shares = [(flow.calc(greys[0], grey, None) * whole).sum(axis=-1)[moving] / length[moving] for grey in greys]
    return np.array([np.median(share) for share in shares])


def flicker(frames: list[np.ndarray]) -> float:
    """Mean absolute second difference over time, grey levels."""
    stack = np.stack(frames).astype(np.float32)
    return float(np.abs(stack[:-2] - 2 * stack[1:-1] + stack[2:]).mean())
