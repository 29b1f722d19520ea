"""Distances between a set of real clips and sets of generated ones, with 95 % bootstrap intervals.

``python -m benchmarks.sets REAL GENERATED [GENERATED ...]``: each a folder with videos, or with one subfolder of frames
per clip. FID (of frames), FVD with I3D and with VideoMAE (of clips) where their files are in --weights, and motion
histograms, which need none. Every clip gives its first --length frames.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from betwixt.common.errors import BetwixtError

from benchmarks.common import versions
from benchmarks.sets.backbones import MEASURES, Features
from benchmarks.sets.clips import Clip, clips_in, names_in
from benchmarks.sets.frechet import distance_of_sets
from support.benchmark_results import markdown

COLUMNS = ["set", "measure", "file", "distance", "95 % from", "to", "clips", "real clips", "features"]


def parsed(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sets", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("real", type=Path)
    parser.add_argument("generated", type=Path, nargs="+")
    parser.add_argument("--measures", nargs="+", choices=MEASURES, help="default: all whose files are there")
    parser.add_argument("--weights", type=Path, help="folder of the networks' files (default: models/betwixt)")
    parser.add_argument("--names", type=Path, help="only the clips listed in this file (text, or TGI-Bench's JSON)")
    parser.add_argument("--length", type=int, help="frames of each clip (default: those of the shortest)")
    parser.add_argument("--inner", action="store_true", help="leave out the first and last of them, which were given")
    parser.add_argument("--replicates", type=int, default=200, help="draws of the bootstrap (default: 200)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path, help="JSON file for the table")
    return parser.parse_args(arguments)


def default_weights() -> Path:
    import folder_paths

    return Path(folder_paths.models_dir) / "betwixt"


def chosen(measures: list[str] | None, weights: Path) -> list[str]:
    """The measures to take; those left out for want of a file are told."""
    if measures:
        return measures
    there = [name for name, measure in MEASURES.items() if not measure.files or measure.find(weights)]
    for name in (name for name in MEASURES if name not in there):
        print(f"Left out: {MEASURES[name].missing(weights)}", file=sys.stderr)
    return there


def shortest(sets: list[list[Clip]]) -> int:
    return min(len(clip.frames()) for clips in sets for clip in clips)


def _checked_length(frames: np.ndarray, clip: Clip, length: int) -> np.ndarray:
    if len(frames) < length:
        raise BetwixtError(
            f"The clip {clip.path} has {len(frames)} frames.",
            f"Each must have the {length} of --length.",
            "Lower --length, or leave the clip out.",
        )
    return frames[:length]


def features_of(clips: list[Clip], features: Features, length: int, inner: bool) -> Iterator[np.ndarray]:
    for clip in clips:
        frames = _checked_length(clip.frames(), clip, length)
        yield features(frames[1:-1] if inner else frames)


def rows(given: argparse.Namespace) -> Iterator[list]:
    weights = given.weights or default_weights()
    names = None if given.names is None else names_in(given.names)
    sets = [clips_in(folder, names) for folder in (given.real, *given.generated)]
    length = given.length or shortest(sets)
    used = length - 2 if given.inner else length
    for name in chosen(given.measures, weights):
        measure = MEASURES[name]
        if used < measure.least_frames:
            raise BetwixtError(
                f"{measure.title} was asked of clips of {used} frames.",
                f"It needs at least {measure.least_frames}.",
                "Take longer clips, or name the other measures with --measures.",
            )
        features = measure.features(weights, torch.device(given.device))
        file = measure.find(weights)
        real = list(features_of(sets[0], features, length, given.inner))
        for folder, clips in zip(given.generated, sets[1:], strict=True):
            made = list(features_of(clips, features, length, given.inner))
            paired = [clip.name for clip in clips] == [clip.name for clip in sets[0]]
            found = distance_of_sets(made, real, given.replicates, given.seed, paired)
            yield [
                folder.name,
                measure.title,
                None if file is None else file.name,
                *found,
                len(clips),
                len(sets[0]),
                real[0].shape[1],
            ]


def main(arguments: list[str] | None = None) -> int:
    given, table = parsed(arguments), []
    print(markdown(COLUMNS, []), flush=True)
    try:
        for row in rows(given):
            table.append(row)
            print(markdown(COLUMNS, [row]).splitlines()[-1], flush=True)
    except BetwixtError as error:
        print(error, file=sys.stderr)
        return 2
    if given.out is not None:
        about = {"length": given.length, "inner": given.inner, "replicates": given.replicates, "versions": versions()}
        given.out.write_text(json.dumps({"columns": COLUMNS, "rows": table, **about}, indent=1) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
