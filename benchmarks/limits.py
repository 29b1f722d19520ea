"""The three loops that take longest without a card, beside what this processor can do at most.

``python -m benchmarks.limits``. One thread. What a loop does per processor second is compared with a limit measured in
turns with it: PatchMatch, many of whose candidates are given up early, with whole patch errors alone, at matches in
order and in random order; networks with a product of matrices; both count multiplications and additions.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from betwixt.rerender_core.ebsynth.synthesis.engines import numba_engine
from betwixt.rerender_core.ebsynth.synthesis.problem import SynthesisOptions, all_style_weights
from betwixt.rerender_core.ebsynth.synthesis.search_level import Level, Search, search_radii
from betwixt.rerender_core.flow.gmflow import GMFlow
from betwixt.tooncrafter_core.checkpoint import take_apart
from betwixt.tooncrafter_core.unet import VideoUNet
from betwixt.tooncrafter_core.unet_config import UNetConfig
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.common import Report, Spread, in_turns, options
from benchmarks.patch_synthesis import problem_of
from benchmarks.tooncrafter import a_step
from support.models.synthetic_weights import load_manifest, state_dict
from support.models.tooncrafter_stand_ins import GOLDEN
from support.pictures.painted_scene import painted_scene

PAINTED, ITERATIONS = 256, 4
FLOW_SIZE = (192, 256)
MATRIX = 512


@dataclass(frozen=True)
class Loop:
    """Something that is repeated: ``count`` things per call of ``work``."""

    name: str
    count: float
    work: Callable[[], object]


def patches() -> tuple[Loop, list[Loop]]:
    """PatchMatch at one level of a painted scene, and patch errors alone."""
    problem, usual = problem_of(painted_scene(PAINTED, PAINTED), "cpu", 1), SynthesisOptions()
    source = torch.cat([problem.style, problem.source_guides], dim=-1)
    weights = torch.cat([all_style_weights(problem), problem.guide_weights])
    level = Level(source, problem.target_guides, weights, problem.style.shape[-1])
    y, x = np.mgrid[:PAINTED, :PAINTED].clip(4, PAINTED - 5)
    ordered = torch.from_numpy(np.stack([x, y], axis=-1)).int()[None]
    mixed = ordered.flatten(1, 2)[:, torch.randperm(PAINTED**2, generator=torch.Generator().manual_seed(0))]
    tried = PAINTED**2 * ITERATIONS * (2 + len(search_radii(level.source_size)))
    search = Search(usual.patch, usual.uniformity, 1, ITERATIONS, "plain", 0, 0)
    loop = Loop("PatchMatch of the numba engine: candidates, M/s", tried, lambda: _searched(level, ordered, search))
    limits = []
    for name, matches in (("in order", ordered), ("at random places", mixed.view_as(ordered))):
        made = numba_engine._Problem(level, search, (0, matches[0]))
        limits.append(
            Loop(f"patch errors {name}", PAINTED**2, lambda made=made: [made.measure(b) for b in _bands(made)])
        )
    return loop, limits


def _bands(made) -> range:
    return range(made.band_count)


def _searched(level, matches, search) -> None:
    numba_engine.solve(level, matches, search, lambda: None)


def counted(work: Callable[[], object]) -> float:
    """Multiplications and additions of one call."""
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        work()
    return counter.get_total_flops()


def networks() -> list[Loop]:
    flow = GMFlow().eval().requires_grad_(False)
    pair = torch.rand(2, 1, 3, *FLOW_SIZE) * 255
    parts = take_apart(state_dict(load_manifest(GOLDEN / "manifest.json.gz")))
    network = VideoUNet(UNetConfig.of(parts.unet), device="meta")
    network.load_state_dict(parts.unet, assign=True)
    works = {
        f"GMFlow, {FLOW_SIZE[1]}x{FLOW_SIZE[0]}: GFLOP/s": lambda: flow(*pair),
        "ToonCrafter's UNet, narrow, 24x16 latent: GFLOP/s": a_step(network, 16, 24)[0],
    }
    return [Loop(name, counted(work), work) for name, work in works.items()]


def product() -> Loop:
    first, second = torch.rand(2, MATRIX, MATRIX)
    return Loop(f"product of {MATRIX}x{MATRIX} matrices", 2.0 * MATRIX**3, lambda: first @ second)


def rates(loops: list[Loop], repeats: int) -> dict[str, Spread]:
    """What each loop does per processor second."""
    taken = in_turns({loop.name: loop.work for loop in loops}, repeats)
    return {
        loop.name: Spread(*(loop.count / getattr(taken[loop.name].processor, end) for end in ("median", "high", "low")))
        for loop in loops
    }


@torch.inference_mode()
def main() -> None:
    given = options(__doc__, repeats=5, threads=1).parse_args()
    report = Report("limits", given)
    columns = ["loop", "reaches", "limit", "at most", "share of the limit"]
    with report.table("shares", "The hottest loops beside the limits of the processor", columns) as table:
        search, limits = patches()
        compared = [([search], limit, 1e6) for limit in limits]
        compared.append((networks(), product(), 1e9))
        for loops, limit, unit in compared:
            found = rates([*loops, limit], given.repeats)
            for loop in loops:
                reached, most = found[loop.name], found[limit.name]
                share = math.floor(1000 * reached.median / most.median) / 1000
                table.add(loop.name, _in(reached, unit), limit.name, _in(most, unit), share)


def _in(spread: Spread, unit: float) -> Spread:
    return Spread(spread.median / unit, spread.low / unit, spread.high / unit)


if __name__ == "__main__":
    main()
