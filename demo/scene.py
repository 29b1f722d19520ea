"""Draws the demo's frames: ``python -m demo.scene DIR`` writes two key frames and the figure's poses."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np

from .street import HEIGHT, INK, WIDTH, moved, shapes
from .walker import LIMBS, head_centre, joints, pose_keypoint

OVERSAMPLING = 2
SHIFT = 4  # fractional bits of OpenCV's drawing coordinates


def _fixed(points: np.ndarray) -> np.ndarray:
    return np.round(np.asarray(points) * OVERSAMPLING * (1 << SHIFT)).astype(np.int32)


def _line(canvas, points, colour, width, closed=False):
    cv2.polylines(canvas, [_fixed(points)], closed, colour, round(width * OVERSAMPLING), cv2.LINE_AA, SHIFT)


def _background() -> np.ndarray:
    rows = np.linspace(0, 1, HEIGHT * OVERSAMPLING)[:, None, None]
    sky = np.array([142, 178, 214]) * (1 - rows) + np.array([252, 214, 170]) * rows
    canvas = np.ascontiguousarray(np.broadcast_to(np.round(sky), (HEIGHT * OVERSAMPLING, WIDTH * OVERSAMPLING, 3)))
    return canvas.astype(np.uint8)


def _draw_walker(canvas: np.ndarray, time: float) -> None:
    body = joints(time)
    for width, colour in ((17, INK), (11, (58, 88, 128))):
        for first, second in LIMBS[:-1]:
            _line(canvas, body[[first, second]], colour, width)
    _line(canvas, body[[1, 8]] * 0.5 + body[[1, 11]] * 0.5, (196, 74, 62), 22)
    for radius, colour in ((23, INK), (20, (246, 206, 172))):
        centre = _fixed(head_centre(body))
        cv2.circle(
            canvas, tuple(map(int, centre)), int(radius * OVERSAMPLING * (1 << SHIFT)), colour, -1, cv2.LINE_AA, SHIFT
        )
    hat = head_centre(body) + np.array([[-25, -9], [27, -9], [17, -14], [13, -33], [-13, -33], [-17, -14]])
    cv2.fillPoly(canvas, [_fixed(hat)], (92, 62, 58), cv2.LINE_AA, SHIFT)
    _line(canvas, hat, INK, 2.5, closed=True)


def draw_frame(time: float) -> np.ndarray:
    """The street at ``time`` 0..1 as uint8 RGB [576, 1024, 3]."""
    canvas = _background()
    front = [shape for shape in shapes() if shape.part == "fence"]
    for shape in [shape for shape in shapes() if shape.part != "fence"] + [None] + front:
        if shape is None:
            _draw_walker(canvas, time)
            continue
        points = moved(shape, time)
        if shape.fill is not None:
            cv2.fillPoly(canvas, [_fixed(points)], shape.fill, cv2.LINE_AA, SHIFT)
        if shape.outline:
            _line(canvas, points, INK, shape.outline, closed=shape.fill is not None)
    return cv2.resize(canvas, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)


def write_inputs(folder: Path) -> list[Path]:
    """Write ``betwixt_start.png``, ``betwixt_end.png`` and their ``*_pose.json``; returns the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, time in (("start", 0.0), ("end", 1.0)):
        picture, pose = folder / f"betwixt_{name}.png", folder / f"betwixt_{name}_pose.json"
        picture.write_bytes(cv2.imencode(".png", draw_frame(time)[..., ::-1])[1].tobytes())
        pose.write_text(json.dumps(pose_keypoint(time)))
        written += [picture, pose]
    return written


if __name__ == "__main__":
    write_inputs(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
