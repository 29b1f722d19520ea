"""The walking figure: 18 body joints in OpenPose order at any time of the clip, and POSE_KEYPOINT records of them."""

import math

import numpy as np

from .street import HEIGHT, PAN, WIDTH

# OpenPose order: nose, neck, right shoulder, elbow, wrist, left ..., right hip, knee, ankle, left ..., eyes, ears.
LIMBS = ((1, 2), (2, 3), (3, 4), (1, 5), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13), (1, 0))
BODY_HEIGHT = 196.0


def joints(time: float) -> np.ndarray:
    """Pixel (x, y) of the 18 joints at ``time`` 0..1, float64 (18, 2): half a stride, walking to the right."""
    stride = math.cos(math.pi * time)  # +1: right leg in front, -1: left leg in front
    unit = BODY_HEIGHT / 8
    hip = np.array([330.0 + 190.0 * time - PAN * time, 388.0 + 5.0 * abs(stride)])
    neck = hip + np.array([0.25, -3.1]) * unit
    head = neck + np.array([0.25, -0.95]) * unit

    def chain(origin, *steps):
        points, angle_sum = [np.asarray(origin, float)], 0.0
        for length, angle in steps:
            angle_sum += angle
            points.append(points[-1] + unit * length * np.array([math.sin(angle_sum), math.cos(angle_sum)]))
        return points

    def leg(side, phase):
        swing = 0.5 * phase
        return chain(hip + np.array([0.12 * side, 0]) * unit, (1.85, swing), (1.85, -0.18 - 0.25 * max(0.0, -phase)))

    def arm(side, phase):
        return chain(neck + np.array([0.12 * side, 0.25]) * unit, (1.35, 0.55 * phase), (1.25, 0.45))

    right_leg, left_leg = leg(-1, stride), leg(1, -stride)
    right_arm, left_arm = arm(-1, -stride), arm(1, stride)
    face = [
        head + np.array(offset) * unit
        for offset in ((0.45, 0.05), (0.35, -0.12), (0.2, -0.12), (0.1, 0.0), (-0.2, 0.0))
    ]
    nose, right_eye, left_eye, right_ear, left_ear = face
    order = [nose, neck, *right_arm, *left_arm, *right_leg, *left_leg, right_eye, left_eye, right_ear, left_ear]
    return np.array(order)


def head_centre(body: np.ndarray) -> np.ndarray:
    """Centre of the head circle for joints (18, 2)."""
    return body[[14, 15, 16, 17]].mean(axis=0)


def pose_keypoint(time: float) -> list[dict]:
    """POSE_KEYPOINT of one frame: pixel coordinates, confidence 1; hands and face are not part of the figure."""
    flat = [float(value) for x, y in joints(time) for value in (x, y, 1.0)]
    person = {
        "pose_keypoints_2d": flat,
        "face_keypoints_2d": None,
        "hand_left_keypoints_2d": None,
        "hand_right_keypoints_2d": None,
    }
    return [{"canvas_width": WIDTH, "canvas_height": HEIGHT, "people": [person]}]
