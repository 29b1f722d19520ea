"""A painterly filter without weights: the demo's stand-in for a hand-painted key frame."""

import cv2
import numpy as np

STROKES = (13, 7, 3)  # brush diameters in pixels, coarse to fine
PAPER_SEED = 7


def paint(picture: np.ndarray) -> np.ndarray:
    """A picture as if painted with warm gouache on rough paper; uint8 RGB [H, W, 3].

    Strokes follow the picture's own edges and the paper's grain is fixed to the sheet, so that two frames painted one
    by one flicker: what propagation from few key frames avoids.
    """
    smooth = picture
    for diameter in STROKES:
        smooth = cv2.bilateralFilter(smooth, diameter, 48, diameter)
    bands = np.round(smooth / 255.0 * 9) / 9
    grey = cv2.cvtColor(smooth, cv2.COLOR_RGB2GRAY)
    edges = cv2.GaussianBlur(cv2.Canny(grey, 50, 110), (0, 0), 1.1)[..., None] / 255.0
    height, width = grey.shape
    noise = np.random.default_rng(PAPER_SEED).normal(size=(height, width)).astype(np.float32)
    bristles = cv2.GaussianBlur(noise, (0, 0), sigmaX=5.0, sigmaY=0.8)
    bristles /= bristles.std()
    warm = bands * (1.08, 0.98, 0.82) + (0.02, 0.0, 0.05)
    painted = warm * (1 + 0.07 * bristles[..., None]) - 0.35 * edges * (0.4, 0.7, 1.0)
    return np.round(np.clip(painted, 0, 1) * 255).astype(np.uint8)
