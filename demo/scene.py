"""Draws the demo's frames: ``python -m demo.scene DIR`` writes key frames, poses, a clip and painted frames."""

import json
import sys
from pathlib import Path

import av
import cv2
import numpy as np

from .painter import paint
from .street import HEIGHT, INK, WIDTH, Shape, moved, shapes
from .walker import LIMBS, head_centre, joints, pose_keypoint

OVERSAMPLING = 2
CLIP_FRAMES, CLIP_RATE, CLIP_SIZE = 11, 8, (384, 216)
CLIP_KEYS = (0, 5, 10)
FRONT = "fence"  # the part before the walking figure
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


def _draw_shape(canvas: np.ndarray, shape: Shape, time: float, colour: tuple | None = None) -> None:
    """A shape in its own colours, or all in one."""
    points = moved(shape, time)
    if shape.fill is not None:
        cv2.fillPoly(canvas, [_fixed(points)], colour or shape.fill, cv2.LINE_AA, SHIFT)
    if shape.outline:
        _line(canvas, points, colour or INK, shape.outline, closed=shape.fill is not None)


def draw_frame(time: float) -> np.ndarray:
    """The street at ``time`` 0..1 as uint8 RGB [576, 1024, 3]."""
    canvas = _background()
    for shape in shapes():
        if shape.part != FRONT:
            _draw_shape(canvas, shape, time)
    _draw_walker(canvas, time)
    for shape in shapes():
        if shape.part == FRONT:
            _draw_shape(canvas, shape, time)
    return cv2.resize(canvas, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)


def draw_matte(time: float) -> np.ndarray:
    """Where the walking figure is seen, white on black; uint8 RGB [576, 1024, 3]."""
    canvas = np.zeros((HEIGHT * OVERSAMPLING, WIDTH * OVERSAMPLING, 3), np.uint8)
    _draw_walker(canvas, time)
    canvas[canvas.any(axis=-1)] = 255
    for shape in shapes():
        if shape.part == FRONT:
            _draw_shape(canvas, shape, time, (0, 0, 0))
    return cv2.resize(canvas, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)


def write_inputs(folder: Path) -> list[Path]:
    """Write the demo's inputs and return their paths.

    ``betwixt_start.png`` and ``betwixt_end.png`` with their ``*_pose.json``; ``betwixt_clip.mp4``, the same street as a
    short clip, ``betwixt_matte.mp4``, the walking figure cut out of it, and ``betwixt_key_NN.png``, painted frames.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, time in (("start", 0.0), ("end", 1.0)):
        picture, pose = folder / f"betwixt_{name}.png", folder / f"betwixt_{name}_pose.json"
        _write_png(picture, draw_frame(time))
        pose.write_text(json.dumps(pose_keypoint(time)))
        written += [picture, pose]
    times = [number / (CLIP_FRAMES - 1) for number in range(CLIP_FRAMES)]
    clip, matte = ([_small(draw(time)) for time in times] for draw in (draw_frame, draw_matte))
    for name, frames in (("clip", clip), ("matte", matte)):
        written.append(folder / f"betwixt_{name}.mp4")
        _write_video(written[-1], frames)
    for number in CLIP_KEYS:
        written.append(folder / f"betwixt_key_{number:02d}.png")
        _write_png(written[-1], paint(clip[number]))
    return written


def _small(picture: np.ndarray) -> np.ndarray:
    return cv2.resize(picture, CLIP_SIZE, interpolation=cv2.INTER_AREA)


def _write_png(path: Path, picture: np.ndarray) -> None:
    path.write_bytes(cv2.imencode(".png", picture[..., ::-1])[1].tobytes())


def _write_video(path: Path, frames: list[np.ndarray]) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=CLIP_RATE, options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = *CLIP_SIZE, "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


if __name__ == "__main__":
    write_inputs(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
