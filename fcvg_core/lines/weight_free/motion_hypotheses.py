"""Dense motions between two key frames: several hypotheses, because no single flow survives large and layered motion.

Optical flow alone (DIS, Kroeger et al. 2016) fails for turns, zooms and motions of tens of pixels. So the frames are
first aligned by each of a few global motions, found one after the other among sparse feature matches (RootSIFT,
sequential RANSAC), and the flow adds what remains.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from ....common.helpers import pair_of
from ....common.recent_results import made_once
from ..geometry import dot
from .bilinear import sample

WORKING_SIZE = 640  # longer side of the pictures flow is computed on
MAX_GLOBAL_MOTIONS = 4
MIN_INLIERS = 10
MOST_FEATURES = 1500
RIGID_TRUST = 0.6  # in a global motion without flow, which nothing confirms locally
STILL = np.eye(3)
SIMPLER = 0.75  # share of a homography's supporters with which a similarity is preferred: it extrapolates better


@dataclass(frozen=True)
class MotionHypothesis:
    """Where the pixels of the first frame go.

    Attributes:
        displacement: float32 (h, w, 2), in pixels of the key frames, on a grid ``scale`` times as fine as theirs.
        trust: float32 (h, w), 0..1: agreement of forward and backward flow; constant without flow.
        scale: (x, y) grid points per key frame pixel.
    """

    displacement: np.ndarray
    trust: np.ndarray
    scale: np.ndarray

    def at(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Displacement (..., 2) and trust (...) at key frame pixels (..., 2); outside, of the nearest border pixel."""
        grid = (points + 0.5) * self.scale - 0.5
        return sample(self.displacement, grid), sample(self.trust, grid)


def _pixels(size: tuple[int, int]) -> np.ndarray:
    """Coordinates (height, width, 2), float32, of the pixels of a picture of ``size`` (width, height)."""
    return np.stack(np.meshgrid(*map(np.arange, size)), axis=-1).astype(np.float32)


def _transform(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Homography applied to (..., 2) points."""
    return cv2.perspectiveTransform(points.reshape(-1, 1, 2), matrix).reshape(points.shape)


@made_once
def features(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """SIFT features of a uint8 grey picture: places, float32 (N, 2), and RootSIFT descriptors, float32 (N, 128)."""
    sift = cv2.SIFT_create(nfeatures=MOST_FEATURES, contrastThreshold=0.02)
    points, described = sift.detectAndCompute(picture, None)
    if described is None:
        return np.zeros((0, 2), np.float32), np.zeros((0, 128), np.float32)
    places = np.array([point.pt for point in points], np.float32).reshape(-1, 2)
    return places, np.sqrt(described / np.maximum(described.sum(axis=1, keepdims=True), 1e-6))


@made_once
def feature_matches(first: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mutual nearest SIFT features of two grey pictures that pass the ratio test: two float32 (M, 2)."""
    greys = first, last
    (places0, described0), (places1, described1) = pair_of(lambda side: features(greys[side]))
    if min(len(places0), len(places1)) < 2:
        return np.zeros((0, 2), np.float32), np.zeros((0, 2), np.float32)
    likeness = described0 @ described1.T  # RootSIFT: Hellinger kernel, 1 for equal descriptors
    best = likeness.argmax(axis=1)
    rows = np.arange(len(best))
    top = likeness[rows, best]
    mutual = likeness.argmax(axis=0)[best] == rows
    likeness[rows, best] = -1
    runner_up = likeness.max(axis=1)
    keep = mutual & ((1 - top) < 0.75 * (1 - runner_up))
    return places0[keep], places1[best[keep]]


def _plausible(matrix: np.ndarray | None, size: tuple[int, int]) -> bool:
    """No mirroring, no extreme zoom, no strong perspective anywhere in the picture."""
    if matrix is None or not np.isfinite(matrix).all():
        return False
    height, width = size
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], float)
    depth = corners @ matrix[2, :2] + matrix[2, 2]
    if depth.min() <= 0.5 or depth.max() > 2:
        return False
    moved = _transform(matrix, corners)
    edges = np.roll(moved, -1, axis=0) - moved
    turn = edges[:, 0] * np.roll(edges[:, 1], -1) - edges[:, 1] * np.roll(edges[:, 0], -1)
    area = 0.5 * np.sum(moved[:, 0] * np.roll(moved[:, 1], -1) - moved[:, 1] * np.roll(moved[:, 0], -1))
    return bool((turn > 0).all() and 0.2 < area / (width * height) < 5)


def _rigid_motion(source: np.ndarray, target: np.ndarray) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Matrix (3, 3) and inliers of the best supported motion: a similarity if a homography explains little more."""
    matrix, inliers = cv2.findHomography(source, target, cv2.USAC_MAGSAC, 2.5, maxIters=2000, confidence=0.999)
    similar, agreed = cv2.estimateAffinePartial2D(
        source, target, method=cv2.RANSAC, ransacReprojThreshold=2.5, confidence=0.999
    )
    if similar is not None and (matrix is None or agreed.sum() >= SIMPLER * inliers.sum()):
        return np.vstack([similar, [0, 0, 1]]), agreed
    return matrix, inliers


@made_once
def global_motions(first: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, ...]:
    """3x3 motions of the large rigid parts of two grey pictures, the best supported first; may be empty."""
    source, target = feature_matches(first, last)
    found: list[np.ndarray] = []
    while len(source) >= MIN_INLIERS and len(found) < MAX_GLOBAL_MOTIONS:
        matrix, inliers = _rigid_motion(source, target)
        if matrix is None or inliers is None or inliers.sum() < MIN_INLIERS:
            break
        if _plausible(matrix, first.shape):
            found.append(matrix)
        rest = inliers.ravel() == 0
        source, target = source[rest], target[rest]
    return tuple(found)


@made_once
def optical_flow(first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """DIS (Kroeger et al. 2016) from one uint8 grey picture (H, W), at least 16 px, to another: (H, W, 2) px."""
    return cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(first, last, None)


@made_once
def coarse_flow(first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """As :func:`optical_flow`, with fewer patches and not smoothed: lines average it along themselves."""
    solver = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    solver.setPatchStride(4)
    solver.setGradientDescentIterations(12)
    solver.setVariationalRefinementIterations(0)
    return solver.calc(first, last, None)


def _flow_after(matrix: np.ndarray, source: np.ndarray, target: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Displacement (h, w, 2) of ``source`` pixels: ``matrix`` brings the target back, optical flow adds the rest."""
    if np.array_equal(matrix, STILL):
        return coarse_flow(source, target)
    height, width = source.shape
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    aligned = cv2.warpPerspective(target, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    rest = coarse_flow(source, aligned)
    return _transform(matrix, pixels + rest) - pixels


def motion_hypotheses(first: np.ndarray, last: np.ndarray, tell=lambda share: None) -> list[MotionHypothesis]:
    """Motion hypotheses for two uint8 grey pictures (H, W) of equal size, plain optical flow first.

    Args:
        tell: called with the share done, 0..1; may raise to cancel.
    """
    shrink = min(1.0, WORKING_SIZE / max(first.shape))
    size = tuple(max(16, round(side * shrink)) for side in first.shape[::-1])
    scale = np.divide(size, first.shape[::-1]).astype(np.float32)
    first, last = (cv2.resize(grey, size, interpolation=cv2.INTER_AREA) for grey in (first, last))
    matrices = [STILL, *global_motions(first, last)]
    greys = first, last
    pixels = _pixels(size)
    hypotheses = []
    for number, matrix in enumerate(matrices):
        tell((number + 1) / (len(matrices) + 1))
        ways = matrix, np.linalg.inv(matrix)

        def flow(side: int, ways=ways) -> np.ndarray:
            return _flow_after(ways[side], greys[side], greys[1 - side], pixels)

        forward, backward = pair_of(flow)
        error = forward + sample(backward, pixels + forward)
        hypotheses.append(MotionHypothesis(forward / scale, 1 / (1 + dot(error, error)), scale))
        if number:  # the rigid motion alone as well: in flat colours flow drifts
            rigid = (_transform(matrix, pixels) - pixels) / scale
            hypotheses.append(MotionHypothesis(rigid, np.full(size[::-1], RIGID_TRUST, np.float32), scale))
    return hypotheses
