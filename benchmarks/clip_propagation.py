"""Whole clips painted from a few key frames: steadiness against filtering every frame, speed, and growth with length.

``python -m benchmarks.clip_propagation CLIP... [--frames 60] [--every 10] [--resolution 256] [--sheets FOLDER]``
``python -m benchmarks.clip_propagation --growth [--resolution 256] [--device cuda]``

Key frames are painted by the demo's filter, motion is DIS. Pixel-MSE is measured along the source clip's motion, so 0
would be paint that sticks to what it was put on. "published" are Rerender-A-Video's own settings. ``--growth`` takes
drawn clips of one, two and four times the length, each in a process of its own; memory is the peak above the clip.
"""

import argparse
import json
import subprocess
import sys
import time
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
from benchmarks.patch_synthesis import peak_memory, reset_peak
from support.bootstrap import ROOT

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


def stylised(frames, every: int, options: ClipOptions, flow: Flow, device: str) -> tuple[torch.Tensor, float]:
    """The painted clip, and the seconds it took beside the flow."""
    keys, out = painted_keys(frames, every), torch.empty_like(frames)
    start = time.perf_counter()
    for number, frame in stylise_clip(frames, keys, flow, options, device=device):
        out[number] = frame
    return out, time.perf_counter() - start


def sheet(name: str, rows: dict[str, torch.Tensor], first: int) -> np.ndarray:
    """Neighbouring frames around a key frame, where faults show."""
    part = slice(first, first + SHOWN)
    return contact_sheet(name, [Row(caption, list(to_uint8(frames[part]))) for caption, frames in rows.items()])


def quality(arguments: argparse.Namespace) -> None:
    print("| clip | made by | Pixel-MSE x 1000 | against every frame | s per frame | PSNR to every frame |")
    print("|---|---|---|---|---|---|")
    for path in arguments.clips:
        frames = read_clip(path, arguments.frames, arguments.resolution)
        flow = estimate_flow(frames, neighbour_pairs(len(frames)), DenseInverseSearch())
        filtered = torch.stack([painted(frame) for frame in frames])
        rows = {"source": frames, "every frame filtered": filtered}
        seconds = dict.fromkeys(rows, 0.0)
        for name in arguments.settings:
            rows[name], seconds[name] = stylised(frames, arguments.every, SETTINGS[name], flow, arguments.device)
        base = pixel_mse(filtered, flow)
        for name, made in rows.items():
            error = pixel_mse(made, flow)
            distance = -10 * float(((made.clamp(0, 1) - filtered) ** 2).mean().clamp_min(1e-9).log10())
            size = f"{frames.shape[2]}x{frames.shape[1]}x{len(frames)}"
            print(
                f"| {path.stem}, {size} | {name} | {1000 * error:.3f} | {error / base:.2f} "
                f"| {seconds[name] / len(frames):.2f} | {distance:.1f} dB |",
                flush=True,
            )
        if arguments.sheets:
            arguments.sheets.mkdir(parents=True, exist_ok=True)
            for first in (arguments.every // 2, 2 * arguments.every - SHOWN // 2):
                picture = sheet(f"{path.stem}, frames {first}..{first + SHOWN - 1}", rows, first)
                target = arguments.sheets / f"{path.stem}_{first:03d}.png"
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
    frames = drawn_clip(job["frames"], job["resolution"])
    keys, options = painted_keys(frames, job["every"]), SETTINGS["defaults"]
    small = drawn_clip(3, 48)
    for _ in stylise_clip(small, painted_keys(small, 2), DenseInverseSearch(), options, device=job["device"]):
        pass
    before, start, processor = reset_peak(job["device"]), time.perf_counter(), time.process_time()
    finished = sum(1 for _ in stylise_clip(frames, keys, DenseInverseSearch(), options, device=job["device"]))
    seconds, processor = time.perf_counter() - start, time.process_time() - processor
    assert finished == len(frames)
    return {"seconds": seconds, "processor": processor, "memory": peak_memory(job["device"]) - before}


def growth(arguments: argparse.Namespace) -> None:
    print("| frames | key frame every | seconds | processor s per frame | peak memory above the clip |")
    print("|---|---|---|---|---|")
    for times in (1, 2, 4):
        count = times * arguments.frames + 1
        job = {key: getattr(arguments, key) for key in ("every", "resolution", "device", "threads")}
        command = [sys.executable, "-m", "benchmarks.clip_propagation", "--job", json.dumps({**job, "frames": count})]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
        if done.returncode:
            raise RuntimeError(done.stderr)
        run = json.loads(done.stdout.splitlines()[-1])
        print(
            f"| {count} | {arguments.every} | {run['seconds']:.1f} | {run['processor'] / count:.2f} "
            f"| {run['memory'] / 2**20:.0f} MiB |",
            flush=True,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="*", type=Path)
    parser.add_argument("--frames", type=int, default=60, help="of each clip; with --growth, of the shortest")
    parser.add_argument("--every", type=int, default=10, help="distance of the key frames")
    parser.add_argument("--resolution", type=int, default=256, help="pixels of the short side")
    parser.add_argument("--settings", nargs="+", default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument("--sheets", type=Path, help="folder for contact sheets")
    parser.add_argument("--growth", action="store_true")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--job", help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.job:
        print(json.dumps(grow(json.loads(given.job))))
    elif given.growth:
        growth(given)
    elif given.clips:
        quality(given)
    else:
        parser.error("name a clip, or --growth")
