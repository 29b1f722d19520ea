"""Poses drawn step by step as published
(docs/methods/poses.md, Drawing): the yardstick for the pack's quick drawing."""

import colorsys
import math

import cv2
import numpy as np
from betwixt.fcvg_core.poses.pose import PoseFrame

LIMBS = ((2, 3), (2, 6), (3, 4), (4, 5), (6, 7), (7, 8), (2, 9), (9, 10), (10, 11), (2, 12), (12, 13), (13, 14))
LIMBS += ((2, 1), (1, 15), (15, 17), (1, 16), (16, 18))
COLOURS = ((255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0), (0, 255, 0))
COLOURS += ((0, 255, 85), (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255), (0, 0, 255), (85, 0, 255))
COLOURS += ((170, 0, 255), (255, 0, 255), (255, 0, 170), (255, 0, 85))
FINGERS = ((0, 1), (1, 2), (2, 3), (3, 4), (0, 5), (5, 6), (6, 7), (7, 8), (0, 9), (9, 10), (10, 11), (11, 12))
FINGERS += ((0, 13), (13, 14), (14, 15), (15, 16), (0, 17), (17, 18), (18, 19), (19, 20))


def draw_as_published(pose: PoseFrame, height: int, width: int) -> np.ndarray:
    """uint8 RGB [height, width, 3]."""
    scale = 2160 / min(height, width)
    rows, columns = int(height * scale), int(width * scale)
    canvas = np.zeros((rows, columns, 3), np.uint8)
    for (a, b), colour in zip(LIMBS, COLOURS, strict=False):
        for person in range(len(pose)):
            _limb(canvas, pose.body[person][[a - 1, b - 1]], pose.body_score[person][[a - 1, b - 1]], colour)
    canvas = (canvas * 0.6).astype(np.uint8)
    for joint, colour in enumerate(COLOURS):
        for person in range(len(pose)):
            if pose.body_visible[person, joint]:
                x, y = pose.body[person, joint]
                shade = [int(channel * pose.body_score[person, joint]) for channel in colour]
                cv2.circle(canvas, (int(x * columns), int(y * rows)), 4, shade, thickness=-1)
    for hands, hand_scores in ((pose.left_hand, pose.left_hand_score), (pose.right_hand, pose.right_hand_score)):
        for points, scores in zip(hands, hand_scores, strict=True):
            _hand(canvas, [(int(x * columns), int(y * rows)) for x, y in points], scores)
    for points, scores in zip(pose.face, pose.face_score, strict=True):
        for (x, y), score in zip(points, scores, strict=True):
            place = (int(x * columns), int(y * rows))
            if place[0] >= 1 and place[1] >= 1:
                cv2.circle(canvas, place, 3, (int(score * 255),) * 3, thickness=-1)
    return cv2.resize(canvas, (width, height))[:, :, ::-1].copy()


def _limb(canvas: np.ndarray, ends: np.ndarray, scores: np.ndarray, colour: tuple[int, int, int]) -> None:
    if scores[0] < 0.3 or scores[1] < 0.3:
        return
    x, y = ends[:, 0] * canvas.shape[1], ends[:, 1] * canvas.shape[0]
    length = ((y[0] - y[1]) ** 2 + (x[0] - x[1]) ** 2) ** 0.5
    angle = math.degrees(math.atan2(y[0] - y[1], x[0] - x[1]))
    centre, axes = (int(np.mean(x)), int(np.mean(y))), (int(length / 2), 8)
    outline = cv2.ellipse2Poly(centre, axes, int(angle), 0, 360, 1)
    cv2.fillConvexPoly(canvas, outline, [int(channel * scores[0] * scores[1]) for channel in colour])


def _hand(canvas: np.ndarray, points: list[tuple[int, int]], scores: np.ndarray) -> None:
    for edge, (a, b) in enumerate(FINGERS):
        if min(*points[a], *points[b]) >= 1:
            shade = int(scores[a] * scores[b] * 255)
            colour = [channel * shade for channel in colorsys.hsv_to_rgb(edge / 20, 1.0, 1.0)]
            cv2.line(canvas, points[a], points[b], colour, thickness=4)
    for point, score in zip(points, scores, strict=True):
        if min(point) >= 1:
            cv2.circle(canvas, point, 4, (0, 0, int(score * 255)), thickness=-1)
