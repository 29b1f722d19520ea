"""Precision, recall, time and memory of the line matchers on pictures moved in known ways.

``python -m benchmarks.line_matching [PICTURES] [--gluestick SUPERPOINT GLUESTICK]``

Six drawn scenes (three kinds, textured and flat) in seven kinds of motion, 42 pairs of 1024x576; with a folder of
pictures (``*start*`` or ``*frame1*``) each of them as well. A match is true if both end endpoints lie within 3 px of
where the motion takes the start endpoints. Recall counts the segments detected in the first frame whose true image lies
inside the last frame, is not hidden, and has a segment of the last frame on it (within 3 px, over half its length), and
of those the ones that true matches cover at least half. For GlueStick these are the same segments, not its own.
"""

import argparse
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from betwixt.fcvg_core.lines.weight_free.matcher import ClassicalLineMatcher

from benchmarks.peak_memory import PeakMemory
from support.pictures.drawn_scenes import SCENES, drawn_layers
from support.pictures.moved_pictures import KINDS, MovedPair, moved_pair, picture_layers
from support.truth.line_match_truth import measure

SIZE = (576, 1024)
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


def table(name: str, matcher, sources: dict) -> None:
    """Print one table: a row for each source and motion."""
    print(f"\n**{name}**, {torch.get_num_threads()} threads\n")
    print("| pictures | motion | pairs | precision | recall | matches per pair | seconds |")
    print("|---|---|---|---|---|---|---|")
    for source, pairs in sources.items():
        total, all_seconds, number = np.zeros(4, int), [], 0
        for kind in KINDS:
            counts, seconds = np.zeros(4, int), []
            for pair in pairs(kind):
                begin = time.perf_counter()
                matches = matcher.match(pair.first, pair.last)
                seconds.append(time.perf_counter() - begin)
                counts += measure(matches, pair)
            _row(source, kind, counts, seconds)
            total, all_seconds, number = total + counts, all_seconds + seconds, number + len(seconds)
        _row(source, "**all**", total, all_seconds)


def _row(source: str, kind: str, counts: np.ndarray, seconds: list[float]) -> None:
    true, matches, found, findable = counts
    print(
        f"| {source} | {kind} | {len(seconds)} | {true / max(matches, 1):.3f} | {found / max(findable, 1):.3f} | "
        f"{matches / len(seconds):.0f} | {statistics.median(seconds):.2f} |",
        flush=True,
    )


def memory(name: str, matcher) -> None:
    """Peak memory for a mosaic; to be called before anything large was drawn, or memory left from that is reused."""
    tiles = np.random.default_rng(0).integers(0, 256, (SIZE[0] // 18, SIZE[1] // 32, 3), np.uint8)
    picture = cv2.resize(tiles, SIZE[::-1], interpolation=cv2.INTER_NEAREST)
    with PeakMemory() as peak:
        count = len(matcher.match(picture, np.roll(picture, (6, 9), axis=(0, 1))))
    print(f"{name}: peak memory {peak.mebibytes:.0f} MiB above idle, {count} matches at {SIZE[1]}x{SIZE[0]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", nargs="?", type=Path)
    parser.add_argument("--gluestick", nargs=2, metavar=("SUPERPOINT", "GLUESTICK"))
    options = parser.parse_args()
    sources = {"drawn": drawn_pairs}
    if options.pictures is not None:
        sources["pictures"] = lambda kind: picture_pairs(kind, options.pictures)
    matchers = {"weight-free": ClassicalLineMatcher()}
    if options.gluestick is not None:
        matchers["GlueStick"] = gluestick(*options.gluestick)
    cv2.setNumThreads(torch.get_num_threads())
    for name, matcher in matchers.items():
        memory(name, matcher)
    for name, matcher in matchers.items():
        table(name, matcher, sources)


if __name__ == "__main__":
    main()
