"""Which line detector to take by default: how well the exact and the quick one find the same lines again, their time.

``python -m benchmarks.line_detectors FOLDER``: drawn scenes, the pictures of a folder (by its subfolders) and eight
frames of each of its videos, at most 1024 px wide. Each is turned and zoomed by known amounts. Of the 300 segments that
are selected in the first frame and whose true image lies inside the second, "repeated" have a segment there with both
ends within 3 px, "covered" one that lies on them over half their length. Times are processor seconds for one picture.
"""

from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
from betwixt.common.pictures import grey
from betwixt.fcvg_core.lines.segments import detect_segments

from benchmarks.common import Clock, Report, Spread, options
from benchmarks.line_segments import exact_with
from support.pictures.drawn_scenes import SCENES, drawn_layers
from support.pictures.moved_pictures import Layer, MovedPair, moved_pair, picture_layers
from support.truth.line_match_truth import TOLERANCE, covered_share, true_image

SIZE = (576, 1024)
MOTIONS = ("rotation", "zoom")
FRAMES_OF_A_VIDEO = 8
DETECTORS = ("exact", "quick")


def scenes(folder: Path) -> Iterator[tuple[str, list[Layer], tuple[int, int]]]:
    """(kind of picture, its backdrop, frame size) of every picture."""
    for number, scene in enumerate(SCENES):
        for textured in (True, False):
            yield "drawn", drawn_layers(scene, SIZE, np.random.default_rng([number, textured]), textured)[:1], SIZE
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        for picture in _pictures(path):
            scale = min(1.0, SIZE[1] / picture.shape[1])
            picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            layers, size = picture_layers(picture, np.random.default_rng(0))
            yield path.parent.name, layers[:1], size


def _pictures(path: Path) -> list[np.ndarray]:
    if path.suffix == ".mp4":
        with av.open(str(path)) as container:
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        return [frames[number] for number in np.linspace(0, len(frames) - 1, FRAMES_OF_A_VIDEO).round().astype(int)]
    picture = cv2.imread(str(path)) if path.suffix in (".png", ".jpg") else None
    return [] if picture is None else [picture[..., ::-1]]


def found_again(pair: MovedPair, first: np.ndarray, last: np.ndarray) -> tuple[int, int, int]:
    """Of segments (N, 2, 2) of the first frame: how many stay inside the picture, are repeated, are covered."""
    image = true_image(first, pair)
    height, width = pair.last_layer.shape
    image = image[((image >= 0) & (image <= (width - 1, height - 1))).all(axis=(1, 2))]
    if not len(image) or not len(last):
        return len(image), 0, 0
    ends = [np.linalg.norm(image[:, None] - side[None], axis=-1).max(axis=-1) for side in (last, last[:, ::-1])]
    repeated = (np.minimum(*ends) <= TOLERANCE).any(axis=1)
    return len(image), int(repeated.sum()), int((covered_share(image, last) >= 0.5).any(axis=1).sum())


def main() -> None:
    parser = options(__doc__, repeats=1)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    report = Report("line_detectors", given)
    cv2.setNumThreads(1)
    exact_with("numba", np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8))  # compiled, or from the cache
    counts: dict[str, list[np.ndarray]] = {}
    seconds: dict[str, list[list[float]]] = {}
    for kind, layers, size in scenes(given.folder):
        for number, motion in enumerate(MOTIONS):
            pair = moved_pair(layers, motion, size, np.random.default_rng(number))
            frames = [grey(picture) for picture in (pair.first, pair.last)]
            found = []
            for method in DETECTORS:
                segments = [detect_segments(frame, method=method)[0].astype(np.float64) for frame in frames]
                found.append((len(segments[0]), *found_again(pair, *segments)))
            counts.setdefault(kind, []).append(np.array(found))
        taken = []
        works = [lambda f=frames[0], e=engine: exact_with(e, f) for engine in ("numba", "python")]
        for work in (*works, lambda f=frames[0]: detect_segments(f, method="quick")):
            with Clock() as clock:
                work()
            taken.append(clock.processor)
        seconds.setdefault(kind, []).append(taken)
    columns = [
        "kind",
        "pictures",
        *(f"{name}, {method}" for name in ("segments", "repeated", "covered") for method in DETECTORS),
    ]
    columns += ["pairs with more repeated by exact", "exact, numba, s", "exact, python, s", "quick, s"]
    with report.table("detectors", "Line detectors on pictures turned and zoomed", columns) as table:
        for kind in (*counts, "all"):
            every = np.array([one for name in counts if kind in (name, "all") for one in counts[name]])  # [P, 2, 4]
            times = np.array([one for name in seconds if kind in (name, "all") for one in seconds[name]])
            shares = every[..., 2] / np.maximum(every[..., 1], 1)
            total = every.sum(axis=0)
            row = [*(total[:, 0] / len(every)), *(total[:, 2] / total[:, 1]), *(total[:, 3] / total[:, 1])]
            better = float((shares[:, 0] > shares[:, 1]).mean())
            table.add(kind, len(times), *map(float, row), better, *(Spread.of(list(column)) for column in times.T))


if __name__ == "__main__":
    main()
