"""Line segment detection at 1024x576: time of the exact detector's engines and of the quick one, and their agreement.

``python -m benchmarks.line_segments [FOLDER]``: drawn scenes, and the pictures of a folder. Times, in processor
seconds, are for the whole selection of 300 segments; agreement is the share of the exact detector's selection that the
quick one's holds too, both endpoints within the given distance.
"""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from betwixt.common.pictures import grey
from betwixt.fcvg_core.lines.lsd.detector import lsd
from betwixt.fcvg_core.lines.segments import SCALES, detect_segments, quick_lsd

from benchmarks.common import Clock, Report, in_turns, options
from support.pictures.drawn_scenes import SCENES, drawn_layers
from support.pictures.moved_pictures import moved_pair
from support.truth.segment_agreement import share_found

WIDTH, HEIGHT = 1024, 576
TOLERANCES = (0.5, 1.0, 2.0, 4.0)


def pictures(folder: Path | None) -> Iterator[tuple[str, np.ndarray]]:
    """Names and uint8 grey pictures [576, 1024]."""
    for scene in SCENES:
        random = np.random.default_rng(0)
        layers = drawn_layers(scene, (HEIGHT, WIDTH), random, textured=True)
        yield f"drawn: {scene}", grey(moved_pair(layers, "translation", (HEIGHT, WIDTH), random).first)
    for path in sorted(folder.iterdir()) if folder else ():
        if (picture := cv2.imread(str(path), cv2.IMREAD_COLOR)) is not None:
            resized = cv2.resize(picture, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
            yield path.stem, grey(resized[..., ::-1])


def exact_with(engine: str, picture: np.ndarray) -> None:
    """The exact selection with a given engine."""
    for scale in SCALES:
        if len(lsd(picture, scale, engine)) >= 300:
            break


def main() -> None:
    parser = options(__doc__, repeats=3)
    parser.add_argument("folder", nargs="?", type=Path)
    given = parser.parse_args()
    report = Report("line_segments", given)
    with Clock() as first:
        lsd(np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8), 0.5, "numba")
    print(f"First call with numba: {first.wall:.1f} s (compiled or read from the cache)")
    times = ["exact, numba, s", "exact, python, s", "quick, s"]
    agreement = [*(f"found within {pixels:g} px" for pixels in TOLERANCES), "at scale 1: within 1 px"]
    title = f"Line segments of {WIDTH}x{HEIGHT}"
    with report.table("detectors", title, ["picture", *times, "segments", *agreement]) as table:
        for name, picture in pictures(given.folder):
            works = {
                "numba": lambda p=picture: exact_with("numba", p),
                "python": lambda p=picture: exact_with("python", p),
                "quick": lambda p=picture: detect_segments(p, 300, 15.0, "quick"),
            }
            taken = in_turns(works, given.repeats, warm_up=0)
            exact, quick = (detect_segments(picture, method=method)[0] for method in ("exact", "quick"))
            found = share_found(exact, quick, TOLERANCES)
            at_one = share_found(*(find(picture, 1.0)[:, :4].reshape(-1, 2, 2) for find in (lsd, quick_lsd)), (1.0,))
            shares = map(float, (*found, *at_one))
            table.add(name, *(timing.processor for timing in taken.values()), len(exact), *shares)


if __name__ == "__main__":
    main()
