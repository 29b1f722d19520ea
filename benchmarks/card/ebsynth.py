"""EbSynth propagation of a painted key frame over a drawn clip, and one synthesis with everything on the device."""

import itertools
import time

import numpy as np
from betwixt.common.pictures import to_float
from betwixt.rerender_core.ebsynth.plan import plan_intervals
from betwixt.rerender_core.ebsynth.propagation import PropagationOptions, propagate
from betwixt.rerender_core.ebsynth.stylised_keys import StylisedKeys
from betwixt.rerender_core.ebsynth.synthesis.engines import triton_engine
from betwixt.rerender_core.ebsynth.synthesis.problem import SynthesisOptions
from betwixt.rerender_core.ebsynth.synthesis.search_level import Solution
from betwixt.rerender_core.ebsynth.synthesis.solver import synthesise
from betwixt.rerender_core.flow.estimation import DenseInverseSearch, estimate_flow, neighbour_pairs

from benchmarks.card.measuring import Card, measured, repeated
from benchmarks.patch_synthesis import problem_of
from support.pictures.painted_scene import PaintedScene, moved, painted_scene
from support.truth.synthesis_energy import energy

SETTINGS = {"EbSynth's settings": SynthesisOptions(), "the node's defaults": SynthesisOptions(schedule="hybrid")}
SECONDS = 30.0  # per setting; the clip is cut where a slow card would take longer


def moving(scene: PaintedScene, count: int) -> np.ndarray:
    """The scene's key picture carried along its motion, uint8 [count, H, W, 3]."""
    return np.stack([moved(scene.key, scene.flow * (time / (count - 1))) for time in range(count)])


def ebsynth(card: Card) -> None:
    height, width, count = (48, 64, 3) if card.tiny else (544, 960, 20 if card.quick else 100)
    device, scene = str(card.device), painted_scene(height, width)
    problem = problem_of(scene, device, 1)
    on_processor = problem_of(scene, "cpu", 1)
    engines = engines_of(card)
    for engine, (name, options) in itertools.product(engines, SETTINGS.items()):
        synthesise(problem, SynthesisOptions(vote_iterations=1, match_iterations=1), engine)

        def run(engine=engine, options=options):
            return synthesise(problem, options, engine)

        result, taken = measured(run)
        seconds = repeated(run, 1 if card.tiny or taken.seconds > 3 else 3)
        quality = energy(on_processor, options, Solution(*(values.cpu() for values in result)))
        job = f"EbSynth {width}x{height}, one synthesis, {engine}, {name}"
        card.row(job, seconds=seconds, note=f"total {quality.total:.0f}", **taken.peaks())
    card.profile("ebsynth_synthesis", lambda: synthesise(problem, SynthesisOptions(vote_iterations=2), engines[0]))
    frames, painted = to_float(moving(scene, count)), to_float(scene.style[None])
    flow = estimate_flow(frames, neighbour_pairs(count), DenseInverseSearch("fast"))
    engine = engines[0]
    for name, options in SETTINGS.items():
        job = f"EbSynth {width}x{height}, {count} frames, one pass, {engine}, {name}"
        pass_row(card, job, frames, painted, flow, PropagationOptions(synthesis=options, engine=engine))


def engines_of(card: Card) -> list[str]:
    """The quickest engine of the device first."""
    triton = card.device.type == "cuda" and triton_engine.available(card.device)
    return ["triton", "torch"] if triton else ["torch"]


def pass_row(card: Card, job: str, frames, painted, flow, options: PropagationOptions) -> None:
    """One key frame at the beginning, carried to the end or until the time is over; flow is not part of it."""
    start, moments = time.perf_counter(), []

    class Enough(Exception):
        pass

    def progress(share: float, text: str, picture=None) -> None:
        if picture is not None:
            moments.append(time.perf_counter())
            if moments[-1] - start > SECONDS:
                raise Enough

    def run() -> None:
        keys = StylisedKeys.of(painted, [0])
        intervals = plan_intervals(len(frames), keys.numbers)
        try:
            for _ in propagate(frames, keys, intervals, flow, options, card.device, progress=progress):
                pass
        except Enough:
            pass

    _, taken = measured(run)
    spans, whole = np.diff([start, *moments]), len(moments) == len(frames) - 1
    note = f"{len(spans)} of {len(frames) - 1} frames, per frame"
    seconds = moments[-1] - start if whole else None
    card.row(job, seconds_per_step=float(np.median(spans)), seconds=seconds, note=note, **taken.peaks())


RUN = {"ebsynth": ebsynth}
