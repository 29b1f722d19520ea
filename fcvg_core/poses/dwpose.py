"""DWPose: crops of people, SimCC decoding and OpenPose order
(docs/methods/poses.md, Crops; SimCC and OpenPose order)."""

import cv2
import numpy as np

from .pose import SCORE_THRESHOLD, PoseFrame

MEAN = np.array([123.675, 116.28, 103.53])  # RGB, 0..255
DEVIATION = np.array([58.395, 57.12, 57.375])
NORMALISED = ((np.arange(256)[:, None] - MEAN) / DEVIATION).T.astype(np.float32)  # [3, 256], of every level
CROP_MARGIN = 1.25  # crop size / box size
BINS_PER_PIXEL = 2  # of the SimCC output
WHOLE_BODY_POINTS = 133  # COCO-WholeBody
SHOULDERS, NECK = (5, 6), 17  # the neck goes in at index 17
# OpenPose's places, and the places of the same points in COCO's order with neck; the others stay.
OPENPOSE_ORDER = (1, 2, 3, 4, 6, 7, 8, 9, 10, 12, 13, 14, 15, 16, 17)
COCO_ORDER = (17, 6, 8, 10, 7, 9, 12, 14, 16, 13, 15, 2, 1, 4, 3)
# Where the parts are in the 134 points; 18..23, the feet, are not used.
BODY, FACE, LEFT_HAND, RIGHT_HAND = slice(0, 18), slice(24, 92), slice(92, 113), slice(113, 134)


def crop_geometry(boxes: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Where the crops of some boxes lie.

    Args:
        boxes: (P, 4): x1, y1, x2, y2 in picture pixels.
        height, width: size of the crop, i.e. of the network's input.

    Returns:
        Centres and sizes of the crops in picture pixels, both float64 (P, 2) as (x, y).
    """
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    w, h = ((boxes[:, 2:] - boxes[:, :2]) * CROP_MARGIN).T
    aspect = width / height
    wide = w > aspect * h
    size = np.stack([np.where(wide, w, aspect * h), np.where(wide, w / aspect, h)], axis=1)
    return (boxes[:, :2] + boxes[:, 2:]) / 2, size


def crop_matrix(centre: np.ndarray, size: np.ndarray, height: int, width: int) -> np.ndarray:
    """float64 (2, 3), picture pixels to crop pixels.

    It is a uniform scaling; the way over three point pairs in float32 is the reference's, whose rounding decides
    about single grey levels of the crop.
    """
    source, target = np.zeros((2, 3, 2), np.float32)
    source[0], target[0] = centre, (width * 0.5, height * 0.5)
    source[1], target[1] = centre + (0, -0.5 * size[0]), (width * 0.5, height * 0.5 - width * 0.5)
    for points in (source, target):
        x, y = points[0] - points[1]
        points[2] = points[1] + (-y, x)
    return cv2.getAffineTransform(source, target)


def crop(image: np.ndarray, centre: np.ndarray, size: np.ndarray, height: int, width: int) -> np.ndarray:
    """uint8 [height, width, 3]: a crop, black where it leaves the picture."""
    return cv2.warpAffine(image, crop_matrix(centre, size, height, width), (width, height), flags=cv2.INTER_LINEAR)


def normalise(crops: np.ndarray) -> np.ndarray:
    """The pose network's input float32 [P, 3, h, w] from uint8 RGB crops [P, h, w, 3]."""
    people, height, width, _ = crops.shape
    tensor = np.empty((people, 3, height, width), np.float32)
    for picture, planes in zip(crops, tensor, strict=True):
        for levels, grey, plane in zip(NORMALISED, cv2.split(picture), planes, strict=True):
            cv2.LUT(grey, levels, plane)
    return tensor


def decode_simcc(
    simcc_x: np.ndarray, simcc_y: np.ndarray, centre: np.ndarray, size: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Points in the picture from the network's distributions along x and y.

    Args:
        simcc_x: float32 (P, K, 2 * crop width).
        simcc_y: float32 (P, K, 2 * crop height).
        centre, size: of the crops, both (P, 2).

    Returns:
        float64 (P, K, 2) in picture pixels and float32 (P, K) scores, the smaller of both maxima. Where the score is
        not positive the point stands half a crop pixel outside the crop's corner.
    """
    scores = np.minimum(simcc_x.max(axis=-1), simcc_y.max(axis=-1))
    bins = np.stack([simcc_x.argmax(axis=-1), simcc_y.argmax(axis=-1)], axis=-1).astype(np.float64)
    bins[scores <= 0] = -1
    extent = np.array([simcc_x.shape[-1], simcc_y.shape[-1]]) / BINS_PER_PIXEL
    return bins / BINS_PER_PIXEL / extent * size[:, None] + centre[:, None] - size[:, None] / 2, scores


def openpose_order(points: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """COCO-WholeBody's 133 points with a neck between the shoulders, the body in OpenPose's order.

    Args:
        points: (P, 133, 2).
        scores: (P, 133).

    Returns:
        float64 (P, 134, 2) and (P, 134): body 0..17, feet 18..23, face 24..91, left hand 92..112, right hand 113..133.
        The neck scores 1 if both shoulders score above 0.3, else 0.
    """
    neck = points[:, SHOULDERS, :].mean(axis=1)
    neck_score = (scores[:, SHOULDERS] > SCORE_THRESHOLD).all(axis=1)
    points = np.insert(points.astype(np.float64), NECK, neck, axis=1)
    scores = np.insert(scores.astype(np.float64), NECK, neck_score, axis=1)
    points[:, OPENPOSE_ORDER], scores[:, OPENPOSE_ORDER] = points[:, COCO_ORDER], scores[:, COCO_ORDER]
    return points, scores


def pose_frame(points: np.ndarray, scores: np.ndarray, height: int, width: int) -> PoseFrame:
    """The :class:`PoseFrame` of 134 points (P, 134, 2) in pixels and scores (P, 134) on a picture of that size."""
    points = points / (width, height)
    return PoseFrame(
        body=points[:, BODY],
        body_score=scores[:, BODY],
        body_visible=scores[:, BODY] > SCORE_THRESHOLD,
        left_hand=points[:, LEFT_HAND],
        left_hand_score=scores[:, LEFT_HAND],
        right_hand=points[:, RIGHT_HAND],
        right_hand_score=scores[:, RIGHT_HAND],
        face=points[:, FACE],
        face_score=scores[:, FACE],
        canvas=(height, width),
    )
