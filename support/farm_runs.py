"""A small workflow that splits into gaps and needs no model, and farms of it run through the commands."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
from PIL import Image

from .bootstrap import ROOT

KEYS = "keys.png"


def key_pictures(count: int, side: int = 64) -> list[np.ndarray]:
    """uint8 [side, side, 3] pictures of a bar that moves to the right and grows."""
    pictures = []
    for number in range(count):
        picture = np.full((side, side, 3), (240, 232, 214), np.uint8)
        left = side // 8 + number * side // (2 * count)
        picture[side // 4 : side // 2 + 3 * number, left : left + side // 4] = (180, 40, 30)
        pictures.append(picture)
    return pictures


def write_keys(folder: Path, count: int, side: int) -> None:
    """The key frames in one file, as frames of a picture."""
    first, *others = map(Image.fromarray, key_pictures(count, side))
    first.save(folder / KEYS, save_all=True, append_images=others)


def write_gap_workflow(folder: Path, gaps: int, frames: int = 5, side: int = 64) -> Path:
    """A workflow file of inbetweens without a model between ``gaps`` + 1 key frames, and its pictures beside it.

    It writes a video and the frames as pictures.
    """
    write_keys(folder, gaps + 1, side)
    graph = {
        "1": _node("LoadImage", image=KEYS),
        "2": _node("ImageFromBatch", image=["1", 0], batch_index=0, length=gaps),
        "3": _node("ImageFromBatch", image=["1", 0], batch_index=gaps, length=1),
        "4": _node(
            "BetwixtInbetweenWithoutModel",
            **{"start_image": ["2", 0], "end_image": ["3", 0], "frame_count": frames, "hold": 1, "detail": "quick"},
            **{"timing": "easing", "timing.easing": "sine-in-out", "path": "arc", "path.pivot": "fixed point"},
            **{"loop": False, "frames_per_gap": "", "gaps": "", "timing_per_gap": "", "fit": "refuse"},
        ),
        "5": _node("CreateVideo", images=["4", 0], fps=12, bit_depth=8),
        "6": _node(
            "SaveVideo",
            **{"video": ["5", 0], "filename_prefix": "film", "format": "mp4"},
            **{"codec": "h264", "codec.encoding": "auto"},
        ),
        "7": _node("SaveImage", images=["4", 0], filename_prefix="frame"),
    }
    path = folder / "workflow.json"
    path.write_text(json.dumps(graph), "utf-8")
    return path


def copies_graph(frames: int) -> dict:
    """A graph that splits into the gaps of ``KEYS`` and computes nothing: a gap is its first key frame, repeated."""
    return {
        "1": _node("LoadImage", image=KEYS),
        "2": _node(
            "BetwixtKeyFramePairs",
            **{"key_frames": ["1", 0], "loop": False, "frame_count": frames, "strength": 1.0},
            **{"frames_per_gap": "", "strength_per_gap": "", "gaps": ""},
        ),
        "3": _node("RepeatImageBatch", image=["2", 0], amount=frames),
        "4": _node("BetwixtJoinSegments", segments=["3", 0], loop=False, published_timing=False),
        "5": _node("GetImageSize", image=["4", 0]),
        "6": _node("PreviewAny", source=["5", 2]),
    }


def _node(kind: str, **inputs) -> dict:
    return {"class_type": kind, "inputs": inputs}


def start(*arguments, **options) -> subprocess.Popen:
    """``betwixt.py farm`` with these arguments, in a process of its own; its output can be read."""
    command = [sys.executable, str(ROOT / "betwixt.py"), "farm", *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ}, **options
    )


def farm(*arguments) -> str:
    """Run ``betwixt.py farm`` to its end; what it said. Raises ``AssertionError`` where it failed."""
    process = start(*arguments)
    said, _ = process.communicate()
    assert process.returncode == 0, said
    return said


CODED_APART = 2.0  # grey levels, mean over a frame


def decoded(video: bytes) -> tuple[list[int], np.ndarray]:
    """Times and values uint8 [T, ...] of the frames of a video."""
    with av.open(io.BytesIO(video)) as file:
        frames = [(frame.pts, frame.to_ndarray()) for frame in file.decode(video=0)]
    return [time for time, _ in frames], np.stack([values for _, values in frames])


def assert_same_video(first: bytes, second: bytes) -> None:
    """Of frames that are equal: equal files, but for what libx264 does differently now and then.

    Given the same frames, one thread and no rate to keep, it does not always write the same
    (``benchmarks/video_encoding.py``), so that is allowed and nothing else: times are equal, frames nearly.
    """
    if first == second:
        return
    (times, frames), (other_times, other_frames) = decoded(first), decoded(second)
    assert times == other_times and frames.shape == other_frames.shape and len(times) >= 2
    apart = np.abs(frames.astype(np.int16) - other_frames).reshape(len(frames), -1).mean(axis=1)
    assert apart.max() < CODED_APART
