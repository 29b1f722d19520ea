"""The person detector of DWPose, YOLOX: letterboxing, decoding and suppression
(docs/methods/poses.md, Person detector)."""

import cv2
import numpy as np

FILL = 114  # grey of the letterbox
STRIDES = (8, 16, 32)  # px per cell of the three output grids, in output order
CANDIDATE_SCORE, PERSON_SCORE, MAX_OVERLAP = 0.1, 0.3, 0.45
PERSON = 0  # COCO class
COLUMNS = 85  # dx, dy, log w, log h, objectness, 80 class scores


def letterbox(image: np.ndarray, height: int = 640, width: int = 640) -> tuple[np.ndarray, float]:
    """Fit a picture into the top left corner of the network's input.

    Args:
        image: uint8 RGB [H, W, 3]. YOLOX learned on BGR; DWPose hands it RGB and so do we.
        height, width: the network's input size.

    Returns:
        float32 [1, 3, height, width], 0..255, and the ratio of network pixels to picture pixels.
    """
    ratio = min(height / image.shape[0], width / image.shape[1])
    fitted = max(int(image.shape[1] * ratio), 1), max(int(image.shape[0] * ratio), 1)
    tensor = np.empty((1, 3, height, width), np.float32)
    for channel, plane in enumerate(cv2.split(cv2.resize(image, fitted, interpolation=cv2.INTER_LINEAR))):
        tensor[0, channel, : fitted[1], : fitted[0]] = plane
    tensor[..., fitted[1] :, :] = FILL
    tensor[..., : fitted[1], fitted[0] :] = FILL
    return tensor, ratio


def decode(raw: np.ndarray, cells: np.ndarray, height: int = 640, width: int = 640) -> np.ndarray:
    """Boxes of some grid cells.

    Args:
        raw: float32 (N, 85), N = cells of the grids with strides 8, 16 and 32, row by row.
        cells: indices (P,) of the wanted ones.

    Returns:
        float32 (P, 4): centre x, centre y, width, height in pixels of the network's input.
    """
    sizes = [(height // step) * (width // step) for step in STRIDES]
    starts = np.cumsum([0, *sizes])
    grid = np.searchsorted(starts, cells, side="right") - 1
    stride = np.array(STRIDES)[grid]
    y, x = np.divmod(cells - starts[grid], width // stride)
    stride = stride[:, None].astype(np.float32)
    centre = (raw[cells, :2] + np.stack([x, y], axis=-1).astype(np.float32)) * stride
    return np.concatenate([centre, np.exp(raw[cells, 2:4]) * stride], axis=1)


def suppress(boxes: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Non-maximum suppression with areas counted in whole pixels (x2 - x1 + 1).

    Args:
        boxes: (N, 4), corners x1, y1, x2, y2.
        scores: (N,).

    Returns:
        Indices of the kept boxes, best first.
    """
    x1, y1, x2, y2 = boxes.T
    areas = (x2 - x1 + 1) * (y2 - y1 + 1)
    order = scores.argsort()[::-1]
    kept = []
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(best)
        w = np.maximum(0, np.minimum(x2[best], x2[rest]) - np.maximum(x1[best], x1[rest]) + 1)
        h = np.maximum(0, np.minimum(y2[best], y2[rest]) - np.maximum(y1[best], y1[rest]) + 1)
        overlap = w * h / (areas[best] + areas[rest] - w * h)
        order = rest[overlap <= MAX_OVERLAP]
    return np.array(kept, np.intp)


def person_boxes(raw: np.ndarray, ratio: float, height: int = 640, width: int = 640) -> np.ndarray:
    """The people in a detector output.

    Args:
        raw: float32 (N, 85).
        ratio: network pixels per picture pixel, from :func:`letterbox`.
        height, width: the network's input size.

    Returns:
        float64 (P, 4): x1, y1, x2, y2 in picture pixels, best first; boxes may reach beyond the picture.
    """
    scores = raw[:, 4] * raw[:, 5 + PERSON]
    candidates = np.flatnonzero(scores > CANDIDATE_SCORE)
    centre_size = decode(raw, candidates, height, width)
    half = centre_size[:, 2:] / 2
    corners = np.concatenate([centre_size[:, :2] - half, centre_size[:, :2] + half], axis=1) / ratio
    kept = suppress(corners, scores[candidates])
    kept = kept[scores[candidates][kept] > PERSON_SCORE]
    return corners[kept].astype(np.float64)
