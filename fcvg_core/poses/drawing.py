"""Poses as FCVG draws them: pictures for its condition encoder (docs/methods/poses.md, Drawing)."""

import colorsys
import math
from collections.abc import Sequence

import cv2
import numpy as np

from ...common.errors import BetwixtError
from ...common.progress import Progress, silent
from .pose import SCORE_THRESHOLD, PoseFrame

REFERENCE_SIDE = 2160  # px of the drawing canvas' shorter side, to which all sizes below refer
LIMB_WIDTH, JOINT_RADIUS, FINGER_WIDTH, FACE_RADIUS = 8, 4, 4, 3
LIMB_SHADE = 0.6
MAX_ASPECT = 12  # longer side / shorter side; the canvas takes 14 MB per unit
# Beyond these, where nothing is in the picture and every colour is saturated, cv2's integers would overflow.
POSITION_LIMIT, SCORE_LIMIT = 1 << 20, 1000.0

LIMBS = (
    *((1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10)),
    *((1, 11), (11, 12), (12, 13), (1, 0), (0, 14), (14, 16), (0, 15), (15, 17)),
)
FINGERS = tuple((0 if k == 0 else 4 * finger + k, 4 * finger + k + 1) for finger in range(5) for k in range(4))
# Joint and limb colours. FCVG exchanges red and blue at the end: here the exchange is in the table, (b, g, r).
COLOURS = (
    *((0, 0, 255), (0, 85, 255), (0, 170, 255), (0, 255, 255), (0, 255, 170), (0, 255, 85)),
    *((0, 255, 0), (85, 255, 0), (170, 255, 0), (255, 255, 0), (255, 170, 0), (255, 85, 0)),
    *((255, 0, 0), (255, 0, 85), (255, 0, 170), (255, 0, 255), (170, 0, 255), (85, 0, 255)),
)
FINGER_COLOURS = tuple(colorsys.hsv_to_rgb(k / 20, 1.0, 1.0)[::-1] for k in range(20))


def draw_poses(poses: Sequence[PoseFrame], height: int, width: int, progress: Progress = silent) -> np.ndarray:
    """Draw poses on black.

    Figures are drawn on a canvas whose shorter side is 2160 px and reduced by bilinear interpolation without
    antialiasing, with red and blue exchanged against OpenPose: what FCVG's weights have been trained on. A score is
    the brightness of its point; a limb is left out when a joint of it scores below 0.3.

    Args:
        poses: F frames; positions are taken relative to the picture, whatever canvas they came from.
        height, width: size of the pictures in pixels.
        progress: told after each frame.

    Returns:
        uint8 RGB (F, height, width, 3).

    Raises:
        BetwixtError: one side is more than 12 times the other.
    """
    drawer = PoseDrawer(height, width)
    pictures = np.empty((len(poses), height, width, 3), np.uint8)
    for index, pose in enumerate(poses):
        pictures[index] = drawer.picture(pose)
        progress((index + 1) / len(poses), "drawing poses")
    return pictures


class PoseDrawer:
    """Draws pose after pose on one canvas, black between them; see :func:`draw_poses`."""

    def __init__(self, height: int, width: int):
        if max(height, width) > MAX_ASPECT * min(height, width):
            raise BetwixtError(
                f"Poses cannot be drawn on a picture of {width}x{height}.",
                f"One side may be at most {MAX_ASPECT} times the other.",
                "Crop the key frames.",
            )
        scale = REFERENCE_SIDE / min(height, width)
        self._size = (width, height)
        self._canvas = np.zeros((int(height * scale), int(width * scale), 3), np.uint8)

    def picture(self, pose: PoseFrame) -> np.ndarray:
        """uint8 RGB (height, width, 3); black without people."""
        if not len(pose):
            return np.zeros((*self._size[::-1], 3), np.uint8)
        _draw_people(self._canvas, pose)
        picture = cv2.resize(self._canvas, self._size, interpolation=cv2.INTER_LINEAR)
        self._canvas[_drawn_box(pose, self._canvas.shape)] = 0  # the rest never takes memory
        return picture


def overlay_poses(frames: np.ndarray, poses: Sequence[PoseFrame]) -> np.ndarray:
    """The drawn poses over the darkened pictures they were found in.

    Args:
        frames: uint8 RGB (F, H, W, 3).
        poses: F frames.

    Returns:
        uint8 RGB (F, H, W, 3).
    """
    drawn = draw_poses(poses, *frames.shape[1:3])
    return np.where(drawn.any(axis=-1, keepdims=True), drawn, frames // 2)


def _drawn_box(pose: PoseFrame, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Rows and columns of a canvas outside which :func:`_draw_people` draws nothing."""
    seen = pose.body_visible | (pose.body_score >= SCORE_THRESHOLD)
    parts = [pose.body[seen], *(points.reshape(-1, 2) for points in (pose.left_hand, pose.right_hand, pose.face))]
    points = _positions(np.concatenate(parts), np.array(shape[1::-1], np.float64))
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 2 * LIMB_WIDTH + (high - low).max() / 64  # limbs turn by whole degrees around their middle
    left, top = np.maximum(low - margin, 0).astype(int).tolist()
    right, bottom = np.maximum(high + margin + 1, 0).astype(int).tolist()
    return slice(top, bottom), slice(left, right)


def _draw_people(canvas: np.ndarray, pose: PoseFrame) -> None:
    """Limbs, joints, hands, faces; the loop over people is inside each of them, which decides who covers whom."""
    size = np.array(canvas.shape[1::-1], np.float64)
    body, body_scores = _positions(pose.body, size), _scores(pose.body_score)
    for limb in range(len(LIMBS)):
        for points, scores in zip(body.tolist(), body_scores, strict=True):
            _draw_limb(canvas, points, scores, limb)
    joints, visible = body.astype(np.int64).tolist(), pose.body_visible.tolist()
    for joint, colour in enumerate(COLOURS):
        for person, scores in enumerate(body_scores):
            if visible[person][joint]:
                shade = [int(channel * scores[joint]) for channel in colour]
                cv2.circle(canvas, joints[person][joint], JOINT_RADIUS, shade, cv2.FILLED)
    for hands, hand_scores in ((pose.left_hand, pose.left_hand_score), (pose.right_hand, pose.right_hand_score)):
        for points, scores in zip(_pixels(hands, size), _scores(hand_scores), strict=True):
            _draw_hand(canvas, points, scores)
    for points, scores in zip(_pixels(pose.face, size), _scores(pose.face_score), strict=True):
        for point, score in zip(points, scores, strict=True):
            if min(point) >= 1:
                cv2.circle(canvas, point, FACE_RADIUS, (int(score * 255),) * 3, cv2.FILLED)


def _positions(points: np.ndarray, size: np.ndarray) -> np.ndarray:
    return np.clip(points * size, -POSITION_LIMIT, POSITION_LIMIT)


def _pixels(points: np.ndarray, size: np.ndarray) -> list:
    """Canvas positions truncated toward zero, as nested lists of (x, y) lists."""
    return _positions(points, size).astype(np.int64).tolist()


def _scores(scores: np.ndarray) -> list:
    return np.clip(scores, -SCORE_LIMIT, SCORE_LIMIT).tolist()


def _draw_limb(canvas: np.ndarray, body: list, scores: list, limb: int) -> None:
    a, b = LIMBS[limb]
    if scores[a] < SCORE_THRESHOLD or scores[b] < SCORE_THRESHOLD:
        return
    (ax, ay), (bx, by) = body[a], body[b]
    length = ((ay - by) ** 2 + (ax - bx) ** 2) ** 0.5
    angle = math.degrees(math.atan2(ay - by, ax - bx))
    centre = (int((ax + bx) / 2), int((ay + by) / 2))
    outline = cv2.ellipse2Poly(centre, (int(length / 2), LIMB_WIDTH), int(angle), 0, 360, 1)
    # The reference shades the finished limbs, all channels saturated at 255 by then: same bytes, no pass over 25 MB.
    full = [min(int(channel * scores[a] * scores[b]), 255) for channel in COLOURS[limb]]
    cv2.fillConvexPoly(canvas, outline, [int(channel * LIMB_SHADE) for channel in full])


def _draw_hand(canvas: np.ndarray, points: list, scores: list) -> None:
    for (a, b), colour in zip(FINGERS, FINGER_COLOURS, strict=True):
        if min(*points[a], *points[b]) >= 1:
            shade = int(scores[a] * scores[b] * 255)
            cv2.line(canvas, points[a], points[b], [channel * shade for channel in colour], FINGER_WIDTH)
    for point, score in zip(points, scores, strict=True):
        if min(point) >= 1:
            cv2.circle(canvas, point, JOINT_RADIUS, (int(255 * score), 0, 0), cv2.FILLED)
