"""Precision, recall, time and memory of the line matchers on pictures moved in known ways.

``python -m benchmarks.line_matching [PICTURES] [--gluestick SUPERPOINT GLUESTICK]``

Six drawn scenes (three kinds, textured and flat) in seven kinds of motion, 42 pairs of 1024x576; with a folder of
pictures (``*start*`` or ``*frame1*``) each of them as well. A match is true if both end endpoints lie within 3 px of
where the motion takes the start endpoints. Recall counts the segments detected in the first frame whose true image lies
inside the last frame, is not hidden, and has a segment of the last frame on it (within 3 px, over half its length), and
of those the ones that true matches cover at least half. For GlueStick these are the same segments, not its own.
"""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from betwixt.fcvg_core.lines.weight_free.matcher import WeightFreeLineMatcher

from benchmarks.common import Clock, Report, Spread, options, timed
from benchmarks.memory import PeakMemory
from support.pictures.drawn_scenes import SCENES, drawn_layers
from support.pictures.moved_pictures import KINDS, MovedPair, moved_pair, picture_layers
from support.truth.line_match_truth import measure

SIZE, WIDE = (576, 1024), (2304, 4096)
LAYERED = {"parallax", "independent", "combined"}


def drawn_pairs(kind: str) -> Iterator[MovedPair]:
    """The six drawn scenes in one kind of motion."""
    for number, scene in enumerate(SCENES):
        for textured in (True, False):
            random = np.random.default_rng([KINDS.index(kind), number, textured])
            yield moved_pair(drawn_layers(scene, SIZE, random, textured), kind, SIZE, random)


def picture_pairs(kind: str, folder: Path) -> Iterator[MovedPair]:
    """The pictures of a folder, at most 1024 px wide, in one kind of motion."""
    for number, path in enumerate(sorted([*folder.rglob("*start*"), *folder.rglob("*frame1*")])):
        picture = cv2.imread(str(path))[..., ::-1]
        scale = min(1.0, SIZE[1] / picture.shape[1])
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        random = np.random.default_rng([KINDS.index(kind), number])
        layers, size = picture_layers(picture, random)
        yield moved_pair(layers if kind in LAYERED else layers[:1], kind, size, random)


def gluestick(superpoint: str, checkpoint: str):
    """The GlueStick pipeline from its two published files."""
    from betwixt.fcvg_core.lines.gluestick.loading import load_gluestick, load_superpoint
    from betwixt.fcvg_core.lines.gluestick.matcher import GlueStickMatcher
    from betwixt.nodes.host.services.model_files import read_weights

    weights = [read_weights(path) for path in (superpoint, checkpoint)]
    networks = load_superpoint(weights[0], superpoint), load_gluestick(weights[1], checkpoint)
    return GlueStickMatcher(*networks, resident=lambda memory: torch.device("cpu"))


def quality(report: Report, name: str, matcher, sources: dict) -> None:
    """A row for each source and motion, and one for all motions."""
    columns = ["pictures", "motion", "pairs", "precision", "recall", "matches per pair", "processor seconds"]
    with report.table(f"quality, {name}", f"{name}: matches against the known motion", columns) as table:
        for source, pairs in sources.items():
            total, all_seconds = np.zeros(4, int), []
            for kind in KINDS:
                counts, seconds = np.zeros(4, int), []
                for pair in pairs(kind):
                    with Clock() as clock:
                        matches = matcher.match(pair.first, pair.last)
                    seconds.append(clock.processor)
                    counts += measure(matches, pair)
                table.add(source, kind, *_figures(counts, seconds))
                total, all_seconds = total + counts, all_seconds + seconds
            table.add(source, "**all**", *_figures(total, all_seconds))


def _figures(counts: np.ndarray, seconds: list[float]) -> tuple:
    true, matches, found, findable = (int(count) for count in counts)
    precision, recall = true / max(matches, 1), found / max(findable, 1)
    return len(seconds), precision, recall, round(matches / len(seconds)), Spread.of(seconds).median


def one_pair(report: Report, name: str, matcher, repeats: int, size: tuple[int, int] = SIZE) -> None:
    """Time and peak memory for a mosaic."""
    tiles = np.random.default_rng(0).integers(0, 256, (SIZE[0] // 18, SIZE[1] // 32, 3), np.uint8)
    picture = cv2.resize(tiles, size[::-1], interpolation=cv2.INTER_NEAREST)
    moved = np.roll(picture, (6, 9), axis=(0, 1))
    columns = ["matcher", "matches", "seconds", "processor seconds", "peak memory, MiB"]
    title = f"Match Lines, {name}, one pair of {size[1]}x{size[0]}"
    with report.table(f"one {'' if size == SIZE else 'wide '}pair, {name}", title, columns) as table:
        with PeakMemory() as peak:
            count = len(matcher.match(picture, moved))
        taken = timed(lambda: matcher.match(picture, moved), repeats, warm_up=0)
        table.add(name, count, taken.wall, taken.processor, peak.mebibytes)


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("pictures", nargs="?", type=Path)
    parser.add_argument("--gluestick", nargs=2, metavar=("SUPERPOINT", "GLUESTICK"))
    given = parser.parse_args()
    report = Report("line_matching", given)
    sources = {"drawn": drawn_pairs}
    if given.pictures is not None:
        sources["pictures"] = lambda kind: picture_pairs(kind, given.pictures)
    matchers = {"weight-free": WeightFreeLineMatcher()}
    if given.gluestick is not None:
        matchers["GlueStick"] = gluestick(*given.gluestick)
    cv2.setNumThreads(given.threads)
    for name, matcher in matchers.items():
        one_pair(report, name, matcher, given.repeats)
        one_pair(report, name, matcher, 1, WIDE)
    for name, matcher in matchers.items():
        quality(report, name, matcher, sources)


if __name__ == "__main__":
    main()
