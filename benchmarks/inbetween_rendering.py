"""Rendering inbetweens from motion layers that are there: time and memory by size, and holes filled with patches.

``python -m benchmarks.inbetween_rendering [--tables T...] [--per-kind N]``

*rendering*: the demo's street at three sizes, what a change of the timing chart costs. Memory is what is held above the
frames and confidences given out. *holes*: pixels that neither key frame shows at a quarter, half and three quarters of
the way, drawn out and filled with EbSynth's patches, PSNR against the true frames in these pixels and in whole frames:
the street and drawn scenes 512 px wide in known motions, with seeds of their own. *better*: pairs whose holes come
nearer to the truth with patches.
"""

import cv2
import numpy as np
from betwixt.demo.scene import draw_frame
from betwixt.fcvg_core.inbetween.clip import render_clip
from betwixt.fcvg_core.inbetween.key_frames import layers_of_pair
from betwixt.fcvg_core.inbetween.layers import MotionLayers
from betwixt.fcvg_core.inbetween.rendering.layer_renderer import LayerRenderer
from betwixt.rerender_core.ebsynth.patch_filling import fill_with_patches

from benchmarks.common import Clock, Report, Spread, options
from benchmarks.inbetweens import TIMES, drawn_clips, floats, street
from benchmarks.memory import MEBIBYTE, PeakMemory
from support.truth.frame_quality import psnr

KINDS = ("rotation", "parallax", "independent", "combined")
SIZES = ((512, 288, 25), (1024, 576, 25), (3840, 2160, 3))
TABLES = ("rendering", "holes")


def rendering(report: Report) -> None:
    columns = ["size", "frames", "processor seconds", "processor seconds per frame", "memory above the frames, MiB"]
    with report.table("rendering", "Frames of the street, layers being there", columns) as table:
        for width, height, count in SIZES:
            pair = [cv2.resize(draw_frame(time), (width, height), interpolation=cv2.INTER_CUBIC) for time in (0, 1)]
            layers = layers_of_pair(floats(*pair), "quick" if width > 2000 else "full")
            render_clip(layers, [0.5])  # kernels compiled, pages touched
            fractions = np.linspace(0, 1, count + 2)[1:-1]
            times = []
            for _ in range(report.given.repeats):
                with Clock() as clock:
                    render_clip(layers, fractions)
                times.append(clock.processor)
            with PeakMemory() as memory:  # by itself: who watches takes time too
                clip = render_clip(layers, fractions)
            above = memory.mebibytes - (clip.frames.numel() + clip.confidence.numel()) * 4 / MEBIBYTE
            each = Spread.of([time / count for time in times])
            table.add(f"{width}x{height}", count, Spread.of(times), each, above)


def holes_at(layers: MotionLayers, time: float) -> np.ndarray:
    """bool (H, W), what neither key frame shows; for key frames that are splatted at their own size."""
    holes = LayerRenderer(layers).frame_and_holes(time)[2]
    mask = np.zeros(holes.size, bool)
    mask.ravel()[holes.pixels] = True
    return mask


def scenes(per_kind: int):
    yield "street", [street(2)]
    for kind in KINDS:
        yield f"drawn, {kind}", list(drawn_clips(kind))[: 2 * per_kind : 2]


def holes(report: Report, per_kind: int) -> None:
    columns = ["pictures", "pairs", "holes", "in holes, drawn out, dB", "in holes, patches, dB"]
    columns += ["drawn out, dB", "patches, dB", "better", "filling, processor seconds"]
    with report.table("holes", "Holes drawn out and filled with patches", columns) as table:
        for name, clips in scenes(per_kind):
            rows, better = [], 0
            for first, last, *truth in clips:
                layers = layers_of_pair(floats(first, last))
                masks = [holes_at(layers, time) for time in TIMES]
                known = [number for number, mask in enumerate(masks) if mask.sum() > 50]
                if not known:
                    continue
                levels = []
                for complete in (None, fill_with_patches):
                    with Clock() as clock:
                        clip = render_clip(layers, TIMES, complete=complete)
                    frames = clip.frames.numpy() * 255
                    levels += [
                        np.mean([psnr(frames[n], truth[n], masks[n]) for n in known]),
                        np.mean([psnr(frame, true) for frame, true in zip(frames, truth, strict=True)]),
                        clock.processor,
                    ]
                better += levels[3] > levels[0]
                inside, whole, spent = ((levels[n], levels[n + 3]) for n in range(3))
                rows.append([np.mean(masks), *inside, *whole, spent[1] - spent[0]])
            mean = [float(value) for value in np.mean(rows, axis=0)]
            table.add(name, len(rows), *mean[:5], f"{better} of {len(rows)}", mean[5])


def main() -> None:
    parser = options(__doc__, repeats=3, threads=1)
    parser.add_argument("--per-kind", type=int, default=3, help="drawn scenes in each kind of motion, at most 3")
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=TABLES, help="what to measure (default: all)")
    given = parser.parse_args()
    cv2.setNumThreads(given.threads)
    report = Report("inbetween_rendering", given)
    if "rendering" in given.tables:
        rendering(report)
    if "holes" in given.tables:
        holes(report, given.per_kind)


if __name__ == "__main__":
    main()
