"""Whole clips painted from a few key frames: steadiness against filtering every frame, speed, and growth with length.

``python -m benchmarks.clip_propagation CLIP... [--frames 60] [--every 10] [--resolution 256] [--sheets FOLDER]``
``python -m benchmarks.clip_propagation --growth [--resolution 256] [--device cuda]``

Key frames are painted by the demo's filter, motion is DIS. Pixel-MSE is measured along the source clip's motion, so 0
would be paint that sticks to what it was put on; "against every frame" divides it by that of the clip whose every frame
went through the filter. "published" are Rerender-A-Video's own settings. ``--growth`` takes drawn clips of one, two and
four times the length, each in a process of its own.
"""

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import torch
from betwixt.common.pictures import to_float, to_uint8
from betwixt.demo.contact_sheet import Row, contact_sheet
from betwixt.demo.scene import draw_frame
from betwixt.rerender_core.ebsynth.blending.interval import BlendOptions
from betwixt.rerender_core.ebsynth.propagation import PropagationOptions
from betwixt.rerender_core.ebsynth.stylisation import ClipOptions, stylise_clip
from betwixt.rerender_core.ebsynth.synthesis.problem import SynthesisOptions
from betwixt.rerender_core.flow.estimation import DenseInverseSearch, Flow, estimate_flow, neighbour_pairs

from benchmarks.clips import painted, painted_keys, pixel_mse, read_clip
from benchmarks.common import Clock, Report, Spread, alone, options
from benchmarks.memory import PeakMemory

HYBRID = SynthesisOptions(schedule="hybrid")
PUBLISHED = SynthesisOptions(vote_iterations=12, match_iterations=6)
SETTINGS = {
    "defaults": ClipOptions(PropagationOptions(synthesis=HYBRID)),
    "defaults, blend mix": ClipOptions(PropagationOptions(synthesis=HYBRID), BlendOptions("mix")),
    "defaults, matches reused": ClipOptions(PropagationOptions(synthesis=HYBRID, reuse_matches=True)),
    "published": ClipOptions(
        PropagationOptions(synthesis=PUBLISHED, occlusion="fill"),
        BlendOptions(solver="lsqr", published_weights=True, mirrored_errors=True),
    ),
}
SHOWN = 7  # frames of a contact sheet's row


def stylised(frames, every: int, choice: ClipOptions, flow: Flow, device: str) -> tuple[torch.Tensor, float]:
    """The painted clip, and the processor seconds it took beside the flow."""
    keys, out = painted_keys(frames, every), torch.empty_like(frames)
    with Clock(device) as clock:
        for number, frame in stylise_clip(frames, keys, flow, choice, device=device):
            out[number] = frame
    return out, clock.processor


def sheet(name: str, rows: dict[str, torch.Tensor], first: int) -> np.ndarray:
    """Neighbouring frames around a key frame, where faults show."""
    part = slice(first, first + SHOWN)
    return contact_sheet(name, [Row(caption, list(to_uint8(frames[part]))) for caption, frames in rows.items()])


def quality(report: Report, given: argparse.Namespace) -> None:
    columns = ["clip", "made by", "Pixel-MSE x 1000", "against every frame", "processor s per frame"]
    columns += ["PSNR to every frame, dB"]
    for path in given.clips:
        frames = read_clip(path, given.frames, given.resolution)
        size = f"{path.stem}, {len(frames)} frames of {frames.shape[2]}x{frames.shape[1]}"
        flow = estimate_flow(frames, neighbour_pairs(len(frames)), DenseInverseSearch())
        filtered = torch.stack([painted(frame) for frame in frames])
        base, rows = pixel_mse(filtered, flow), {"source": frames, "every frame filtered": filtered}
        with report.table(f"steadiness, {path.stem}", f"{size}, painted every {given.every}", columns) as table:
            for name in (*rows, *given.settings):
                seconds = None
                if name not in rows:
                    rows[name], seconds = stylised(frames, given.every, SETTINGS[name], flow, given.device)
                    seconds /= len(frames)
                error = pixel_mse(rows[name], flow)
                distance = -10 * float(((rows[name].clamp(0, 1) - filtered) ** 2).mean().clamp_min(1e-9).log10())
                table.add(size, name, 1000 * error, error / base, seconds, distance)
        if given.sheets:
            write_sheets(path.stem, rows, given)


def write_sheets(clip: str, rows: dict[str, torch.Tensor], given: argparse.Namespace) -> None:
    given.sheets.mkdir(parents=True, exist_ok=True)
    for first in (given.every // 2, 2 * given.every - SHOWN // 2):
        picture = sheet(f"{clip}, frames {first}..{first + SHOWN - 1}", rows, first)
        target = given.sheets / f"{clip}_{first:03d}.png"
        target.write_bytes(cv2.imencode(".png", picture[..., ::-1])[1].tobytes())


def drawn_clip(count: int, resolution: int) -> torch.Tensor:
    """The demo's street there and back again, as often as it takes."""
    size = (resolution * 16 // 9 // 2 * 2, resolution)
    once = [cv2.resize(draw_frame(time / 20), size, interpolation=cv2.INTER_AREA) for time in range(21)]
    order = [*range(20), *range(20, 0, -1)]
    return to_float(np.stack([once[order[number % 40]] for number in range(count)]))


def grow(job: dict) -> dict:
    """One clip from beginning to end, frames thrown away as they come."""
    torch.set_num_threads(job["threads"])
    device, frames = job["device"], drawn_clip(job["frames"], job["resolution"])
    keys, choice = painted_keys(frames, job["every"]), SETTINGS["defaults"]
    small = drawn_clip(3, 48)
    for _ in stylise_clip(small, painted_keys(small, 2), DenseInverseSearch(), choice, device=device):
        pass
    with PeakMemory(device) as memory, Clock(device) as clock:
        finished = sum(1 for _ in stylise_clip(frames, keys, DenseInverseSearch(), choice, device=device))
    assert finished == len(frames)
    return {"wall": clock.wall, "processor": clock.processor, "memory": memory.mebibytes}


def growth(report: Report, given: argparse.Namespace) -> None:
    columns = ["frames", "seconds", "processor s per frame", "peak memory above the clip, MiB"]
    title = f"A clip of {given.resolution * 16 // 9 // 2 * 2}x{given.resolution}, a key frame every {given.every}"
    with report.table("growth", title, columns) as table:
        for times in (1, 2, 4):
            count = times * given.frames + 1
            job = {key: getattr(given, key) for key in ("every", "resolution", "device", "threads")}
            runs = [alone("clip_propagation", {**job, "frames": count}) for _ in range(given.repeats)]
            per_frame = Spread.of([run["processor"] / count for run in runs])
            wall, memory = (Spread.of([run[key] for run in runs]) for key in ("wall", "memory"))
            table.add(count, wall, per_frame, memory)


def main() -> None:
    parser = options(__doc__, repeats=1)
    parser.add_argument("clips", nargs="*", type=Path)
    parser.add_argument("--frames", type=int, default=60, help="of each clip; with --growth, of the shortest")
    parser.add_argument("--every", type=int, default=10, help="distance of the key frames")
    parser.add_argument("--resolution", type=int, default=256, help="pixels of the short side")
    parser.add_argument("--settings", nargs="+", default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument("--sheets", type=Path, help="folder for contact sheets")
    parser.add_argument("--growth", action="store_true")
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    if given.job:
        print(json.dumps(grow(json.loads(given.job))))
    elif given.growth:
        growth(Report("clip_propagation", given), given)
    elif given.clips:
        quality(Report("clip_propagation", given), given)
    else:
        parser.error("name a clip, or --growth")


if __name__ == "__main__":
    main()
