"""The people of a picture and their whole-body poses: YOLOX and DWPose in sequence
(docs/methods/poses.md, The pipeline)."""

from collections.abc import Sequence

import numpy as np

from ...common.errors import BetwixtError
from ...common.progress import Progress, silent
from . import dwpose
from .onnx_session import Session, run_network
from .person_detector import COLUMNS, letterbox, person_boxes
from .pose import PoseFrame

DETECTOR, POSE = "a person detector (YOLOX)", "a whole-body pose network (DWPose)"


class PoseEstimator:
    """What stands behind a POSE_ESTIMATOR wire.

    Args:
        detector: session of ``yolox_l.onnx``: [1, 3, h, w] -> [1, N, 85].
        pose: session of ``dw-ll_ucoco_384.onnx``: [P, 3, h, w] -> [P, 133, 2 w] and [P, 133, 2 h].
        detector_name, pose_name: the files, for error texts.

    Raises:
        BetwixtError: a session is not the network its place needs.
    """

    def __init__(
        self, detector: Session, pose: Session, detector_name: str = "the detector", pose_name: str = "the pose network"
    ):
        self._detector, self._pose = detector, pose
        self._names = {DETECTOR: detector_name, POSE: pose_name}
        for session, expected in ((detector, DETECTOR), (pose, POSE)):
            self._require(expected, session)
        self._detector_size, self._pose_size = _input_size(detector), _input_size(pose)

    def detect(self, image: np.ndarray) -> np.ndarray:
        """People in a uint8 RGB picture [H, W, 3]: float64 (P, 4), x1, y1, x2, y2 in pixels, best first."""
        height, width = self._detector_size
        tensor, ratio = letterbox(image, height, width)
        (raw,) = self._run(self._detector, DETECTOR, tensor)
        return person_boxes(raw.reshape(-1, COLUMNS), ratio, height, width)

    def points(
        self, image: np.ndarray, boxes: np.ndarray, progress: Progress = silent
    ) -> tuple[np.ndarray, np.ndarray]:
        """The 133 COCO-WholeBody points of the people in some boxes.

        Args:
            image: uint8 RGB [H, W, 3].
            boxes: (P, 4), x1, y1, x2, y2 in pixels.
            progress: told after each person.

        Returns:
            float64 (P, 133, 2) in pixels and float32 (P, 133) raw scores.
        """
        height, width = self._pose_size
        centres, sizes = dwpose.crop_geometry(boxes, height, width)
        rows = []
        for index, (centre, size) in enumerate(zip(centres, sizes, strict=True)):  # one by one: OpenCV takes no batch
            tensor = dwpose.normalise(dwpose.crop(image, centre, size, height, width)[None])
            rows.append(self._run(self._pose, POSE, tensor))
            progress((index + 1) / len(centres), "estimating poses")
        if not rows:
            return np.zeros((0, dwpose.WHOLE_BODY_POINTS, 2)), np.zeros((0, dwpose.WHOLE_BODY_POINTS), np.float32)
        simcc_x, simcc_y = (np.concatenate(axis) for axis in zip(*rows, strict=True))
        return dwpose.decode_simcc(simcc_x, simcc_y, centres, sizes)

    def estimate(
        self,
        image: np.ndarray,
        require_detection: bool = False,
        boxes: np.ndarray | None = None,
        progress: Progress = silent,
    ) -> PoseFrame:
        """The poses of all people in a picture.

        Args:
            image: uint8 RGB [H, W, 3].
            require_detection: without a box, return no person. False: take the whole picture for one person, as
                published; on pictures without people that gives faint random dots.
            boxes: (P, 4), x1, y1, x2, y2 in pixels, to be used instead of the detector's.
            progress: told after each person.
        """
        height, width = image.shape[:2]
        boxes = self.detect(image) if boxes is None else np.asarray(boxes, np.float64).reshape(-1, 4)
        if len(boxes) == 0 and not require_detection:
            boxes = np.array([[0, 0, width, height]])
        points, scores = self.points(image, boxes, progress)
        return dwpose.pose_frame(*dwpose.openpose_order(points, scores), height, width)

    def _run(self, session: Session, kind: str, tensor: np.ndarray) -> list[np.ndarray]:
        return run_network(session, tensor, self._names[kind])

    def _require(self, expected: str, session: Session) -> None:
        found = _kind(session)
        if found == expected:
            return
        widgets = "Swap the two files" if found in (DETECTOR, POSE) else "Choose another file"
        raise BetwixtError(
            f"'{self._names[expected]}' is {found}.",
            f"{expected[0].upper()}{expected[1:]} is needed in this place.",
            f"{widgets}: 'detector' takes yolox_l.onnx, 'pose_model' dw-ll_ucoco_384.onnx.",
        )


def _input_size(session: Session) -> list[int]:
    """[height, width] of a network's input; fewer numbers if one of them is free."""
    return [side for side in session.get_inputs()[0].shape[2:] if isinstance(side, int)]


def _kind(session: Session) -> str:
    """What a network is, judged by its declared inputs and outputs; free dimensions fit everything."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    shapes = [tuple(getattr(output, "shape", None) or ()) for output in outputs]
    shape, size = tuple(inputs[0].shape), _input_size(session)
    if len(shape) == 4 and shape[1] == 3 and len(size) == 2:
        if len(outputs) == 1 and _fits(shapes[0], (None, None, COLUMNS)):
            return DETECTOR
        bins = [dwpose.BINS_PER_PIXEL * side for side in reversed(size)]
        if len(outputs) == 2 and all(
            _fits(s, (None, dwpose.WHOLE_BODY_POINTS, n)) for s, n in zip(shapes, bins, strict=True)
        ):
            return POSE
    declared = ", ".join(f"{entry.name} {list(getattr(entry, 'shape', None) or ())}" for entry in (*inputs, *outputs))
    return f"another network ({declared})"


def _fits(shape: Sequence[int | str | None], wanted: Sequence[int | None]) -> bool:
    if not shape:
        return True
    return len(shape) == len(wanted) and all(
        w is None or not isinstance(s, int) or s == w for s, w in zip(shape, wanted, strict=True)
    )
