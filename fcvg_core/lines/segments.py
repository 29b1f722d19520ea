"""The line segments of one picture, chosen as GlueStick's front end chooses them
(docs/methods/lines.md, Selecting segments)."""

from typing import Literal

import cv2
import numpy as np

from .lsd.detector import lsd
from .lsd.sampling import gaussian_sample

Method = Literal["exact", "quick"]

SCALES = (0.3, 0.4, 0.5, 0.7, 0.8, 1.0)  # tried in this order until there are enough segments


def detect_segments(
    grey: np.ndarray, max_segments: int = 300, min_length: float = 15.0, method: Method = "exact"
) -> tuple[np.ndarray, np.ndarray]:
    """Detect, filter and rank line segments.

    The detector runs at rising scales and stops at the first that gives at least ``max_segments``, counted before the
    length filter; if none does, the segments of scale 1.0 are used.

    Args:
        grey: uint8 [H, W], any size.
        max_segments: the most segments to return, > 0.
        min_length: shortest segment to keep, in pixels.
        method: "exact" is LSD as the published pipeline runs it; "quick" is OpenCV's detector set as close to it as it
            goes (:func:`quick_lsd`), a different set of segments wherever the picture is not clear-cut.

    Returns:
        ``segments`` float32 (N, 2, 2), pixel (x, y) of both endpoints, and ``scores`` float32 (N,), the angular
        precision times the root of the length; best first. N may be 0.
    """
    detector = lsd if method == "exact" else quick_lsd
    for scale in SCALES:
        found = detector(grey, scale)
        if len(found) >= max_segments:
            break
    segments = found[:, :4].reshape(-1, 2, 2)
    lengths = np.linalg.norm(segments[:, 1] - segments[:, 0], axis=1)
    scores = found[:, 4] * np.sqrt(lengths)
    long_enough = lengths >= min_length
    segments, scores = segments[long_enough], scores[long_enough]
    best = np.argsort(-scores)[:max_segments]  # the published pipeline's sort, which leaves the order of ties open
    return segments[best], scores[best]


def quick_lsd(grey: np.ndarray, scale: float, bins: int = 1024) -> np.ndarray:
    """OpenCV's LSD brought as close to :func:`.lsd.detector.lsd` as its parameters allow
    (docs/methods/lines.md, The quick detector).

    At scale 1 its segments are moved by the half pixel by which the conventions differ. Below, the picture is sampled
    as the exact detector does it and, because OpenCV takes 8 bits only, rounded after its contrast has been stretched
    to 0..255; the gradient threshold is stretched along.

    Arguments and result as for :func:`.lsd.detector.lsd`, endpoint order included; the order of segments is OpenCV's.
    ``bins`` are the steps of gradient that pixels are sorted by; with 64 detection takes seven tenths of the time.
    """
    stretch = 1.0
    picture = np.ascontiguousarray(grey)
    if scale != 1.0:
        sampled = gaussian_sample(grey, scale)
        least, most = sampled.min(), sampled.max()
        stretch = 255.0 / max(most - least, 1.0)
        picture = np.rint((sampled - least) * stretch).astype(np.uint8)
    detector = cv2.createLineSegmentDetector(
        cv2.LSD_REFINE_ADV, scale=1.0, quant=2.0 * stretch, ang_th=22.5, log_eps=0.0, density_th=0.0, n_bins=bins
    )
    ends, _, precisions, _ = detector.detect(picture)
    if ends is None:
        return np.zeros((0, 5), np.float32)
    reversed_ends = ends.reshape(-1, 2, 2)[:, ::-1].reshape(-1, 4)
    return np.hstack([(reversed_ends + 0.5) / scale, precisions.reshape(-1, 1)]).astype(np.float32)
