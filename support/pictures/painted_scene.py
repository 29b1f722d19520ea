"""A drawn scene, the same moved and relit, and a painting of the first: a patch synthesis whose result is known."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from betwixt.rerender_core.ebsynth.guides import edge_guide, position_guide
from betwixt.rerender_core.ebsynth.synthesis.packed_guides import PackedGuides, SourceGuides

WEIGHTS = {"colour": 6.0, "edge": 0.5, "temporal": 0.5, "position": 2.0}


@dataclass(frozen=True)
class PaintedScene:
    """uint8 RGB [H, W, 3]: ``key`` and its painting ``style``, ``frame`` and what its painting should be, ``truth``;
    ``flow`` float32 [H, W, 2], the estimate (half a pixel off) of where each pixel of the frame lies in the key."""

    key: np.ndarray
    style: np.ndarray
    frame: np.ndarray
    truth: np.ndarray
    flow: np.ndarray

    def packed_guides(self, names=tuple(WEIGHTS)) -> PackedGuides:
        """The named ones of Rerender's four guides, with a batch dimension of 1."""
        height, width = self.key.shape[:2]
        position = position_guide(height, width)
        pictures = {
            "colour": (self.key, self.frame),
            "edge": (edge_guide(self.key), edge_guide(self.frame)),
            "temporal": (self.style, moved(self.style, self.flow, cv2.INTER_NEAREST)),
            "position": (position, moved(position, self.flow, cv2.INTER_NEAREST)),
        }
        sources, targets = ([torch.from_numpy(pictures[name][side])[None] for name in names] for side in (0, 1))
        return SourceGuides(sources, [WEIGHTS[name] for name in names]).packed_with(targets)


def moved(picture: np.ndarray, flow: np.ndarray, interpolation=cv2.INTER_CUBIC) -> np.ndarray:
    """``picture`` sampled at each pixel plus ``flow``."""
    y, x = np.mgrid[: flow.shape[0], : flow.shape[1]].astype(np.float32)
    return cv2.remap(picture, x + flow[..., 0], y + flow[..., 1], interpolation, borderMode=cv2.BORDER_REFLECT)


def smooth_noise(random, height, width, grain, channels=1) -> np.ndarray:
    """Noise of unit variance with features of about ``grain`` pixels, float32 [H, W, channels]."""
    small = random.standard_normal((int(height / grain) + 4, int(width / grain) + 4, channels)).astype(np.float32)
    large = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC).reshape(height, width, channels)
    return (large - large.mean()) / large.std()


def drawn_picture(random, height, width) -> np.ndarray:
    picture = np.full((height, width, 3), random.uniform(70, 150, 3), np.float32)
    for grain, strength in ((height / 3, 35), (height / 10, 18), (height / 30, 6)):
        picture += strength * smooth_noise(random, height, width, grain, 3)
    picture = picture.clip(0, 255).astype(np.uint8)
    for _ in range(14):
        centre = random.uniform((0, 0), (width, height)).astype(int).tolist()
        size = int(random.uniform(0.03, 0.13) * height)
        colour = random.uniform(0, 255, 3).tolist()
        if random.random() < 0.4:
            cv2.circle(picture, centre, size, colour, -1, cv2.LINE_AA)
            continue
        box = (tuple(centre), (2 * size, size), random.uniform(0, 180))
        corners = cv2.boxPoints(box)
        cv2.fillConvexPoly(picture, np.int32(corners), colour, cv2.LINE_AA)
        for share in np.linspace(0, 1, 6)[1:-1]:
            between = [corners[i] * (1 - share) + corners[j] * share for i, j in ((0, 1), (3, 2))]
            ends = [tuple(np.int32(point).tolist()) for point in between]
            cv2.line(picture, *ends, [0.6 * value for value in colour], max(height // 200, 1), cv2.LINE_AA)
    return picture


def painted(random, picture: np.ndarray, stroke: int = 9) -> np.ndarray:
    """Brush strokes along the picture's contours in more vivid colours."""
    height, width = picture.shape[:2]
    grey = cv2.GaussianBlur(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), 4)
    across = np.stack([cv2.Sobel(grey, -1, 1, 0), cv2.Sobel(grey, -1, 0, 1)], axis=-1)
    across += 2.0 * smooth_noise(random, height, width, height / 6, 2)
    along = np.stack([-across[..., 1], across[..., 0]], axis=-1)
    along /= np.linalg.norm(along, axis=-1, keepdims=True) + 1e-6
    bristles = smooth_noise(random, height, width, 1.5)[..., 0]
    for step in range(1, stroke, 2):
        bristles = (bristles + moved(bristles, step * along) + moved(bristles, -step * along)) / 3
    flat = cv2.bilateralFilter(picture, 9, 60, 9).astype(np.float32)
    mean = flat.mean(axis=-1, keepdims=True)
    vivid = mean + 1.6 * (flat - mean) + 30 * (bristles / bristles.std())[..., None] * np.float32([1.0, 0.9, 0.7])
    return vivid.clip(0, 255).astype(np.uint8)


def painted_scene(height: int, width: int, seed: int = 0) -> PaintedScene:
    """A scene with a turn, a zoom, a bend, a change of light and noise; displacements up to about 6 % of the height."""
    random = np.random.default_rng(seed)
    key = drawn_picture(random, height, width)
    style = painted(random, key)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    turn, zoom = random.uniform(-0.03, 0.03), random.uniform(-0.04, 0.04)
    dx, dy = x - width / 2, y - height / 2
    flow = np.stack([zoom * dx - turn * dy, turn * dx + zoom * dy], axis=-1)
    flow += 0.015 * height * smooth_noise(random, height, width, height / 4, 2)
    light = 1 + 0.06 * smooth_noise(random, height, width, height / 2)
    frame = moved(key, flow) * light + 2.0 * random.standard_normal((height, width, 3))
    estimate = flow + 0.5 * smooth_noise(random, height, width, height / 12, 2)
    frame = frame.clip(0, 255).astype(np.uint8)
    return PaintedScene(key, style, frame, moved(style, flow), estimate.astype(np.float32))
