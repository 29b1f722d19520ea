"""DWPose around its networks, step by step as published (docs/methods/poses.md, Person detector; Crops)."""

from collections.abc import Callable

import cv2
import numpy as np
from betwixt.fcvg_core.poses import dwpose
from betwixt.fcvg_core.poses.person_detector import CANDIDATE_SCORE, FILL, PERSON, PERSON_SCORE, STRIDES, suppress

Network = Callable[[np.ndarray], list[np.ndarray]]


def detect_as_published(image: np.ndarray, network: Network, side: int = 640) -> np.ndarray:
    """Boxes of the people in a uint8 RGB picture, (P, 4); every cell is decoded and every class suppressed."""
    ratio = min(side / image.shape[0], side / image.shape[1])
    fitted = cv2.resize(image, (int(image.shape[1] * ratio), int(image.shape[0] * ratio)))
    padded = np.full((side, side, 3), FILL, np.uint8)
    padded[: fitted.shape[0], : fitted.shape[1]] = fitted
    raw = network(np.ascontiguousarray(padded.transpose(2, 0, 1), dtype=np.float32)[None])[0][0].copy()

    places, strides = [], []
    for stride in STRIDES:
        x, y = np.meshgrid(np.arange(side // stride), np.arange(side // stride))
        places.append(np.stack([x, y], axis=-1).reshape(-1, 2))
        strides.append(np.full((len(places[-1]), 1), stride))
    stride = np.concatenate(strides)
    raw[:, :2] = (raw[:, :2] + np.concatenate(places)) * stride
    raw[:, 2:4] = np.exp(raw[:, 2:4]) * stride
    half = raw[:, 2:4] / 2
    corners = np.concatenate([raw[:, :2] - half, raw[:, :2] + half], axis=1) / ratio
    scores = raw[:, 4:5] * raw[:, 5:]
    found = {}
    for kind in range(scores.shape[1]):
        candidates = scores[:, kind] > CANDIDATE_SCORE
        if candidates.any():
            kept = suppress(corners[candidates], scores[candidates, kind])
            found[kind] = corners[candidates][kept][scores[candidates, kind][kept] > PERSON_SCORE]
    return found.get(PERSON, np.zeros((0, 4)))


def estimate_as_published(image: np.ndarray, boxes: np.ndarray, network: Network, height: int = 384, width: int = 288):
    """The poses in some boxes; crops are normalised in float64."""
    centres, sizes = dwpose.crop_geometry(boxes, height, width)
    rows = []
    for centre, size in zip(centres, sizes, strict=True):
        crop = (dwpose.crop(image, centre, size, height, width) - dwpose.MEAN) / dwpose.DEVIATION
        rows.append(network(crop.transpose(2, 0, 1)[None].astype(np.float32)))
    simcc_x, simcc_y = (np.concatenate(axis) for axis in zip(*rows, strict=True))
    points = dwpose.openpose_order(*dwpose.decode_simcc(simcc_x, simcc_y, centres, sizes))
    return dwpose.pose_frame(*points, *image.shape[:2])
