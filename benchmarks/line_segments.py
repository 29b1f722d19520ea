"""Line segment detection at 1024x576: time of the exact detector's engines and of the quick one, and their agreement.

``python -m benchmarks.line_segments [FOLDER]``: drawn scenes, and the pictures of a folder. Times are medians for the
whole selection of 300 segments; agreement is the share of the exact detector's selection that the quick one's holds
too, both endpoints within the given distance.
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import cv2
import numpy as np
from betwixt.common.pictures import grey
from betwixt.fcvg_core.lines.lsd.detector import lsd
from betwixt.fcvg_core.lines.segments import SCALES, detect_segments, quick_lsd

from support.pictures.drawn_scenes import SCENES, drawn_layers
from support.pictures.moved_pictures import moved_pair
from support.truth.segment_agreement import share_found

WIDTH, HEIGHT = 1024, 576
REPEATS = 3
TOLERANCES = (0.5, 1.0, 2.0, 4.0)


def pictures(folder: str | None) -> Iterator[tuple[str, np.ndarray]]:
    """Names and uint8 grey pictures [576, 1024]."""
    for scene in SCENES:
        random = np.random.default_rng(0)
        layers = drawn_layers(scene, (HEIGHT, WIDTH), random, textured=True)
        yield f"drawn: {scene}", grey(moved_pair(layers, "translation", (HEIGHT, WIDTH), random).first)
    for path in sorted(Path(folder).iterdir()) if folder else ():
        if (picture := cv2.imread(str(path), cv2.IMREAD_COLOR)) is not None:
            resized = cv2.resize(picture, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
            yield path.stem, grey(resized[..., ::-1])


def seconds(function, *arguments) -> float:
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        function(*arguments)
        times.append(time.perf_counter() - start)
    return median(times)


def exact_with(engine: str, picture: np.ndarray) -> None:
    """The exact selection with a given engine."""
    for scale in SCALES:
        if len(lsd(picture, scale, engine)) >= 300:
            break


def main(folder: str | None) -> None:
    start = time.perf_counter()
    lsd(np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8), 0.5, "numba")
    print(f"First call with numba: {time.perf_counter() - start:.1f} s (compiled or read from the cache)\n")
    print(
        "| picture | exact, numba | exact, python | quick | segments | 0.5 px | 1 px | 2 px | 4 px | at scale 1: 1 px |"
    )
    print("|" + " --- |" * 10)
    rows = []
    for name, picture in pictures(folder):
        exact, quick = (detect_segments(picture, method=method)[0] for method in ("exact", "quick"))
        at_one = share_found(*(find(picture, 1.0)[:, :4].reshape(-1, 2, 2) for find in (lsd, quick_lsd)), (1.0,))
        row = [
            seconds(exact_with, "numba", picture),
            seconds(exact_with, "python", picture),
            seconds(detect_segments, picture, 300, 15.0, "quick"),
            len(exact),
            *share_found(exact, quick, TOLERANCES),
            *at_one,
        ]
        rows.append(row)
        print(line(name, row))
    print(line("**mean**", np.mean(rows, axis=0)))


def line(name: str, row) -> str:
    times = " | ".join(f"{value:.2f} s" for value in row[:3])
    return f"| {name} | {times} | {row[3]:.0f} | {' | '.join(f'{value:.2f}' for value in row[4:])} |"


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
