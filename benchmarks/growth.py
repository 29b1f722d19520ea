"""How time grows with pixels and with frames: line matching, condition frames, painting, the guider, decoding.

``python -m benchmarks.growth [--parts matching ...]``. Every part is measured at three sizes, each four times the
pixels or twice the frames of the one before. "exponent" is that of the last step: 1 = linear, 2 = quadratic. The guider
samples a network that answers zeros, because attention over all pixels of a frame is the model's own; decoding has a
small VAE and chunks of two frames.
"""

import ctypes
import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import torch
from betwixt.fcvg_core.lines.matches import LineMatches
from betwixt.fcvg_core.lines.palette import line_colours
from betwixt.fcvg_core.lines.weight_free.matcher import WeightFreeLineMatcher
from betwixt.fcvg_core.sampling.decode import decode
from betwixt.fcvg_core.tweening.condition_frames import draw_conditions
from betwixt.fcvg_core.tweening.line_interpolation import interpolate_segments
from betwixt.nodes.host.svd.model import model_from
from betwixt.nodes.host.svd.vae import decode_frames
from betwixt.rerender_core.ebsynth.stylisation import stylise_clip
from betwixt.rerender_core.flow.estimation import DenseInverseSearch

from benchmarks import fcvg_sampling
from benchmarks.clip_propagation import SETTINGS, drawn_clip, painted_keys
from benchmarks.common import Clock, Report, Spread, options
from support.models import tiny_svd
from support.pictures.drawn_scenes import SCENES, drawn_layers
from support.pictures.moved_pictures import moved_pair

Work = Callable[[], float]  # does the work, returns its processor seconds


@dataclass(frozen=True)
class Axis:
    """One part over one quantity, which grows by ``factor`` from size to size."""

    quantity: str
    factor: int
    sizes: tuple[tuple[str, Callable[[], Work]], ...]


def clocked(work: Callable[[], object]) -> Work:
    def run() -> float:
        with Clock() as clock:
            work()
        return clock.processor

    return run


def matching(height: int) -> Work:
    size = (height, height * 16 // 9)
    random = np.random.default_rng(0)
    pair = moved_pair(drawn_layers(SCENES[0], size, random, True), "translation", size, random)
    return clocked(lambda: WeightFreeLineMatcher().match(pair.first, pair.last))


def conditions(frames: int, height: int) -> Work:
    width, count = height * 16 // 9, 300
    random = np.random.default_rng(0)
    start = random.uniform(0, 1, (count, 1, 2)) * (width, height) + random.normal(0, 25, (count, 2, 2))
    matches = LineMatches(start, start + (20, -8), np.ones(count), (height, width))

    def work() -> None:
        segments = interpolate_segments(matches.start, matches.end, np.linspace(0, 1, frames))
        draw_conditions(segments, line_colours(count, 0), None, (height, width))

    return clocked(work)


def painting(frames: int, height: int) -> Work:
    clip = drawn_clip(frames, height)
    keys = painted_keys(clip, 5)
    return clocked(lambda: [None for _ in stylise_clip(clip, keys, DenseInverseSearch(), SETTINGS["defaults"])])


def guider(frames: int, height: int) -> Work:
    model, _ = model_from(tiny_svd.unet_weights(), "unet")
    model.model.diffusion_model.forward = lambda x, *_, **__: torch.zeros_like(x[:, :4])

    def work() -> None:
        fcvg_sampling.FRAMES, fcvg_sampling.HEIGHT, fcvg_sampling.WIDTH = frames, height, height * 2
        fcvg_sampling.sample(fcvg_sampling.bidirectional_guider(model))

    return clocked(work)


def _keep_memory() -> None:
    """Have freed memory reused: glibc asks the system anew for every large tensor, a step in the time that is none in
    the work."""
    with suppress(OSError, AttributeError, TypeError):  # another C library
        library = ctypes.CDLL(None)
        for option, value in ((-4, 0), (-1, 2**31 - 1)):  # M_MMAP_MAX, M_TRIM_THRESHOLD
            library.mallopt(option, value)


def decoding(frames: int, height: int) -> Work:
    vae = tiny_svd.temporal_vae()
    latents = torch.randn(frames, 4, height, height * 2, generator=torch.Generator().manual_seed(0))
    return clocked(lambda: decode(lambda chunk: decode_frames(vae, chunk), latents, 2))


def over_pixels(make: Callable[[int], Work], heights: tuple[int, ...]) -> Axis:
    return Axis("pixels", 4, tuple((f"height {height}", lambda h=height: make(h)) for height in heights))


def over_frames(make: Callable[[int], Work], counts: tuple[int, ...]) -> Axis:
    return Axis("frames", 2, tuple((f"{count} frames", lambda n=count: make(n)) for count in counts))


PARTS = {
    "matching": (over_pixels(matching, (288, 576, 1152)),),
    "conditions": (
        over_frames(lambda n: conditions(n, 288), (16, 32, 64)),
        over_pixels(lambda h: conditions(16, h), (288, 576, 1152)),
    ),
    "painting": (
        over_frames(lambda n: painting(n + 1, 48), (10, 20, 40)),
        over_pixels(lambda h: painting(6, h), (36, 72, 144)),
    ),
    "guider": (
        over_frames(lambda n: guider(n, 72), (32, 64, 128)),
        over_pixels(lambda h: guider(16, h), (36, 72, 144)),
    ),
    "decoding": (
        over_frames(lambda n: decoding(n, 4), (8, 16, 32)),
        over_pixels(lambda h: decoding(2, h), (4, 8, 16)),
    ),
}


@torch.inference_mode()
def main() -> None:
    parser = options(__doc__, repeats=3, threads=1)
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--usual-memory", action="store_true", help="let freed memory go back to the system")
    given = parser.parse_args()
    report = Report("growth", given)
    if not given.usual_memory:
        _keep_memory()
    columns = ["part", "over", "sizes", "smallest, processor s", "middle", "largest", "exponent"]
    for part in given.parts:
        with report.table(part, f"Growth of {part}", columns) as table:
            for axis in PARTS[part]:
                works = [make() for _, make in axis.sizes]
                works[0]()
                runs = [[work() for work in works] for _ in range(given.repeats)]
                taken = [Spread.of(list(one)) for one in zip(*runs, strict=True)]
                exponent = math.log(taken[-1].median / taken[-2].median, axis.factor)
                table.add(part, axis.quantity, ", ".join(name for name, _ in axis.sizes), *taken, exponent)


if __name__ == "__main__":
    main()
