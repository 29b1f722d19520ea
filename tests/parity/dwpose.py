"""Parity of DWPose's pre- and postprocessing, pose pairing, drawing, and POSE_KEYPOINT."""

import importlib.util
import json
import tempfile
from pathlib import Path

import cv2
import numpy as np
from betwixt.fcvg_core.poses import dwpose
from betwixt.fcvg_core.poses.drawing import COLOURS, FINGER_COLOURS, FINGERS, LIMBS, draw_poses
from betwixt.fcvg_core.poses.estimator import PoseEstimator
from betwixt.fcvg_core.poses.onnx_session import open_session
from betwixt.fcvg_core.poses.person_detector import decode, letterbox, person_boxes
from betwixt.fcvg_core.poses.pose import SCORE_THRESHOLD
from betwixt.fcvg_core.poses.pose_keypoint import EYES, PARTS, read_pose_keypoints, write_pose_keypoints
from betwixt.fcvg_core.tweening.pose_interpolation import closest_people, interpolate_poses
from betwixt.fcvg_core.tweening.timing import published_fractions

from support.golden import Case, Check
from support.models.pose_standins import build_standins
from tests.parity import pose_dicts
from tests.parity.pose_dicts import error

OTHER_CASES = (".json",)
AUXILIARY = ("onnx_io", "config")
CANVAS = "_controlnet_aux_canvas"
FEW_PIXELS = 8  # end to end, a score may end up on the other side of a grey level


def detector_input(case: Case) -> list[Check]:
    tensor, ratio = letterbox(case.array("in.image"))
    planes = tensor[0].astype(np.float64)
    return [
        Check("out.ratio", error(ratio, case["out.ratio"]), 1e-12),
        Check("out.letterbox_step5", error(planes[:, ::5, ::5], case["out.letterbox_step5"]), 0),
        Check("out.row_sums", error(planes.sum(axis=2), case["out.row_sums"]), 0),
        Check("out.col_sums", error(planes.sum(axis=1), case["out.col_sums"]), 0),
    ]


def detector_output(case: Case) -> list[Check]:
    raw = np.zeros((8400, 85), np.float32)
    raw[tuple(case.array("in.raw_index").T)] = case.array("in.raw_value")
    height, width = case.array("in.image_hw").tolist()
    boxes = person_boxes(raw, min(640 / height, 640 / width))
    decoded = decode(raw, case.array("out.decoded_rows"))
    return [
        Check("out.decoded_cxcywh", error(decoded, case["out.decoded_cxcywh"]), 1e-3),
        Check("out.boxes_xyxy", error(boxes, case["out.boxes_xyxy"].reshape(-1, 4)), 1e-3),
    ]


def _boxes(case: Case, height: int, width: int) -> np.ndarray:
    boxes = case.array("in.boxes_xyxy").reshape(-1, 4)
    return boxes if len(boxes) else np.array([[0, 0, width, height]])


def pose_input(case: Case) -> list[Check]:
    image = case.array("in.image")
    centres, sizes = dwpose.crop_geometry(_boxes(case, *image.shape[:2]), 384, 288)
    pairs = list(zip(centres, sizes, strict=True))
    crops = np.stack([dwpose.crop(image, centre, size, 384, 288) for centre, size in pairs])
    matrices = np.stack([dwpose.crop_matrix(centre, size, 384, 288) for centre, size in pairs])
    sums = crops.astype(np.int64)
    return [
        Check("out.center", error(centres, case["out.center"]), 1e-6),
        Check("out.scale", error(sizes, case["out.scale"]), 1e-6),
        Check("out.warp_matrix", error(matrices, case["out.warp_matrix"]), 1e-6),
        Check("out.crop_uint8_step5", error(crops[:, ::5, ::5], case["out.crop_uint8_step5"]), 0),
        Check("out.crop_row_sums", error(sums.sum(axis=2), case["out.crop_row_sums"]), 0),
        Check("out.crop_col_sums", error(sums.sum(axis=1), case["out.crop_col_sums"]), 0),
        Check("out.tensor_step20", error(dwpose.normalise(crops)[..., ::20, ::20], case["out.tensor_step20"]), 1e-6),
    ]


def pose_output(case: Case) -> list[Check]:
    height, width = case.array("in.image_hw").tolist()
    centres, sizes = dwpose.crop_geometry(_boxes(case, height, width), 384, 288)
    rows = []
    for axis, bins in (("x", 576), ("y", 768)):
        simcc = np.full((len(centres), dwpose.WHOLE_BODY_POINTS, bins), case.scalar("in.simcc_background"), np.float32)
        simcc[tuple(case.array(f"in.simcc_{axis}_index").T)] = case.array(f"in.simcc_{axis}_value")
        rows.append(simcc)
    points, scores = dwpose.decode_simcc(*rows, centres, sizes)
    return _points(case, points, scores, height, width, 1e-4, 1e-6)


def _points(
    case: Case, points: np.ndarray, scores: np.ndarray, height: int, width: int, far: float, off: float
) -> list[Check]:
    ordered = dwpose.openpose_order(points, scores)
    return [
        Check("out.keypoints133", error(points, case["out.keypoints133"]), far),
        Check("out.scores133", error(scores, case["out.scores133"]), off),
        Check("out.keypoints134", error(ordered[0], case["out.keypoints134"]), far),
        Check("out.scores134", error(ordered[1], case["out.scores134"]), off),
        *pose_dicts.compare(dwpose.pose_frame(*ordered, height, width), case, "out.", far, off),
    ]


def drawing(case: Case) -> list[Check]:
    size = tuple(case.array("cfg.hw").tolist())
    (picture,) = draw_poses([pose_dicts.pose_of(case, "in.", size)], *size)
    return [Check("out.canvas_png", error(picture, case.png("out.canvas_png")), 0)]


def interpolation(case: Case) -> list[Check]:
    size, count = tuple(case.array("cfg.hw").tolist()), case.scalar("cfg.interp_frames")
    first, last = (pose_dicts.pose_of(case, f"in.{side}_", size) for side in ("first", "last"))
    both = range(min(len(first), len(last)))
    frames = interpolate_poses(first, last, published_fractions(count + 2)[1:-1], published_hands=True)
    checks = [Check("out.match", error(closest_people(first.select(both), last.select(both)), case["out.match"]), 0)]
    for key in case.tensors:
        if key.startswith("out.frac") and key.endswith("_body_candidate"):
            prefix = key.removesuffix("body_candidate")
            checks += pose_dicts.compare(frames[int(prefix[len("out.frac") : -1])], case, prefix, 1e-9, 1e-9)
    shown = case.array("out.frame_indices").tolist()
    pictures = draw_poses([[first, *frames, last][index] for index in shown], *size)
    for index, picture in zip(shown, pictures, strict=True):
        key = f"out.canvas_png_{index:02d}"
        checks.append(Check(key, error(picture, case.png(key)), 0))
    return checks


def end_to_end(case: Case) -> list[Check]:
    """The stand-in networks of the case's seed, in every runtime there is; files beside the case in onnxruntime."""
    image = case.array("in.image")
    runtimes = ["opencv", *(["onnxruntime"] if importlib.util.find_spec("onnxruntime") else [])]
    checks = []
    with tempfile.TemporaryDirectory() as folder:
        files = build_standins(Path(folder), case.scalar("cfg.standin_seed"))
        for runtime in runtimes:
            estimator = PoseEstimator(*(open_session(str(path), runtime) for path in files))
            checks += [
                Check(f"{check.name} ({runtime})", check.error, check.tolerance)
                for check in _end_to_end(case, image, estimator)
            ]
    return checks


def _end_to_end(case: Case, image: np.ndarray, estimator: PoseEstimator) -> list[Check]:
    height, width = image.shape[:2]
    boxes = estimator.detect(image)
    used = boxes if len(boxes) else np.array([[0, 0, width, height]])
    pose = estimator.estimate(image)
    (picture,) = draw_poses([pose], height, width)
    return [
        Check("out.boxes_xyxy", error(boxes, case["out.boxes_xyxy"].reshape(-1, 4)), 1e-3),
        *_points(case, *estimator.points(image, used), height, width, 1e-3, 5e-5),
        *pose_dicts.compare(pose, case, "out.", 1e-3, 5e-5),
        Check("differing pixels", float((picture != case.png("out.canvas_png")).any(axis=-1).sum()), FEW_PIXELS),
    ]


def keypoints(case: Case) -> list[Check]:
    """What other packs emit for a set of points is read as these points; what we emit says the same."""
    if case.name.endswith(CANVAS):
        return controlnet_aux_canvas(case)
    data = json.loads(case.path.read_text())
    height, width = data["canvas_height"], data["canvas_width"]
    points, scores = dwpose.openpose_order(np.array(data["keypoints133"]), np.array(data["scores133"]))
    pose = dwpose.pose_frame(points, scores, height, width)
    (aux,), (core,) = (read_pose_keypoints(data[key]) for key in ("controlnet_aux", "comfyui_core_sdpose"))
    (again,) = read_pose_keypoints(write_pose_keypoints([pose]))
    other_side = {"left_hand": "right_hand", "right_hand": "left_hand"}  # the host labels the hands the other way round
    pixels, checks = (width, height), []
    for part in PARTS:
        expected, score = getattr(pose, part), getattr(pose, f"{part}_score")
        seen = score >= SCORE_THRESHOLD
        theirs = other_side.get(part, part)
        real = score.copy()
        if part == "body":
            real[:, 1] *= np.array(data["scores133"])[:, dwpose.SHOULDERS].min(axis=1)
        pairs = {
            "controlnet_aux": (getattr(aux, part) * pixels, expected * seen[..., None] * pixels),
            "controlnet_aux score": (getattr(aux, f"{part}_score"), seen),
            "core": (getattr(core, theirs) * pixels, expected * pixels),
            "core score": (getattr(core, f"{theirs}_score"), real),
            "own": (getattr(again, part) * pixels, expected * pixels),
            "own score": (getattr(again, f"{part}_score"), score),
        }
        checks += [Check(f"{part}: {name}", error(got, want), 1e-4) for name, (got, want) in pairs.items()]
    return checks


def controlnet_aux_canvas(case: Case) -> list[Check]:
    """The poses read from controlnet_aux' data, drawn as that pack draws, give its own picture."""
    data = json.loads(case.beside(f"{case.name.removesuffix(CANVAS)}.json").read_text())
    (pose,) = read_pose_keypoints(data["controlnet_aux"])
    height, width = pose.canvas
    canvas = np.zeros((height, width, 3), np.uint8)
    pixels = {part: (getattr(pose, part) * (width, height)).tolist() for part in PARTS}
    for body, scores in zip(pixels["body"], pose.body_score, strict=True):
        for (a, b), colour in zip(LIMBS, COLOURS, strict=False):
            if scores[a] > 0 and scores[b] > 0:
                (ax, ay), (bx, by) = body[a], body[b]
                angle = int(np.degrees(np.arctan2(ay - by, ax - bx)))
                axes = int(np.hypot(ax - bx, ay - by) / 2), 4
                outline = cv2.ellipse2Poly((int((ax + bx) / 2), int((ay + by) / 2)), axes, angle, 0, 360, 1)
                cv2.fillConvexPoly(canvas, outline, [int(channel * 0.6) for channel in colour])
        for point, score, colour in zip(body, scores, COLOURS, strict=True):
            if score > 0:
                cv2.circle(canvas, [int(value) for value in point], 4, colour, cv2.FILLED)
    for part in ("left_hand", "right_hand"):
        for points, scores in zip(pixels[part], getattr(pose, f"{part}_score"), strict=True):
            for (a, b), colour in zip(FINGERS, FINGER_COLOURS, strict=True):
                if scores[a] > 0 and scores[b] > 0:
                    ends = [[int(value) for value in points[end]] for end in (a, b)]
                    cv2.line(canvas, *ends, [channel * 255 for channel in colour], 2)
            _dots(canvas, points, scores, 4, (255, 0, 0))
    for person, (points, scores) in enumerate(zip(pixels["face"], pose.face_score, strict=True)):
        _dots(canvas, points, scores, 3, (255, 255, 255))
        eyes = [pixels["body"][person][eye] for eye in EYES]
        _dots(canvas, eyes, pose.body_score[person][list(EYES)], 3, (255, 255, 255))
    return [Check("out.canvas_png", error(canvas[..., ::-1].copy(), case.png("out.canvas_png")), 0)]


def _dots(canvas: np.ndarray, points: list, scores: np.ndarray, radius: int, colour: tuple[int, int, int]) -> None:
    for point, score in zip(points, scores, strict=True):
        if score > 0:
            cv2.circle(canvas, [int(value) for value in point], radius, colour, cv2.FILLED)


KINDS = {
    "det_preprocess_": detector_input,
    "det_postprocess_": detector_output,
    "pose_preprocess_": pose_input,
    "pose_decode_": pose_output,
    "draw_": drawing,
    "interp_": interpolation,
    "end_to_end_": end_to_end,
    "pose_keypoint_": keypoints,
}
