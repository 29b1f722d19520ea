"""What a step, or a frame, asks of a simulated card: launches, copies and waits of the processor.

``python -m support.simulated_steps`` prints them as JSON. Miniature models: the numbers are those of the operations,
which do not depend on widths.
"""

import json
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch

from support.runs.painted_clip import PaintedClip

Run = Callable[[int], int]  # (so many steps) -> how many of what is counted that was


def fcvg() -> Run:
    from support.runs import fcvg_clip

    clip = fcvg_clip.loaded(True)

    def run(steps: int) -> int:
        clip.sampled(clip.controlled, steps)
        return steps

    return run


def tooncrafter() -> Run:
    from betwixt.nodes.host.tooncrafter.files import load_checkpoint

    from support.models import tooncrafter_stand_ins
    from support.runs import tooncrafter_graph

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.ckpt"
        torch.save({"state_dict": tooncrafter_stand_ins.tooncrafter()}, path)
        loaded = load_checkpoint(str(path))
    positive, negative, _, latent, _ = tooncrafter_graph.conditioned(loaded)

    def run(steps: int) -> int:
        tooncrafter_graph.sample(loaded.model, positive, negative, latent, steps=steps)
        return steps

    return run


def rerender() -> Run:
    from support.models import tiny_sd15
    from support.runs.rerender_runs import rendering

    weights = tiny_sd15.weights()
    parts = weights, tiny_sd15.model(weights), tiny_sd15.control_net(weights), tiny_sd15.vae(weights)

    def run(steps: int) -> int:
        renderer, _ = rendering(parts, 3, steps=steps)
        frames = iter(renderer.render())
        next(frames), next(frames)
        _forget()
        next(frames)
        return renderer.settings.model_steps(3) - renderer.settings.model_steps(2)

    return run


def ebsynth() -> Run:
    import comfy.model_management as management

    clip = PaintedClip.drawn(48, 64)

    def run(frames: int) -> int:
        clip.painted(management.get_torch_device(), [0], frames)
        return frames - 1

    return run


JOBS = {
    "FCVG, a step from both ends": (fcvg, 1),
    "ToonCrafter, a step": (tooncrafter, 1),
    "Rerender, an evaluation of the model": (rerender, 4),
    "EbSynth's torch engine, a frame of 64x48": (ebsynth, 2),
}


def _forget() -> None:
    from support.card_tensors import Card

    Card.launches, Card.operations, Card.lines = 0, 0, Counter()
    Card.happened.clear()


def _counted(run: Run, steps: int) -> tuple[Counter, int]:
    from support.card_calls import of_the_pack
    from support.card_tensors import Card, own, waits

    _forget()
    count = run(steps)
    happened = Counter(Card.happened)
    waited, asked = waits(happened), own(happened)
    found = Counter(operations=Card.operations, launches=Card.launches, waits=waited.total())
    found["launches of the pack's lines"] = sum(n for line, n in (Card.lines or {}).items() if of_the_pack(line))
    found["waits the pack asks for"] = own(waited).total()
    found["copies the pack asks for"] = asked.total() - sum(n for (kind, _), n in asked.items() if "card" not in kind)
    return found, count


def per_step(job: str) -> dict[str, float]:
    """Of one step, frame or evaluation more."""
    prepare, steps = JOBS[job]
    with torch.inference_mode():
        run = prepare()
        run(steps)  # weights are loaded, tables made
        (before, few), (after, more) = (_counted(run, count) for count in (steps, steps + 1))
    return {name: (after[name] - before[name]) / (more - few) for name in after}


def main() -> None:
    from support.bootstrap import use_host
    from support.simulated_cuda import install

    install()
    use_host(cpu=False)
    sys.stdout.write(json.dumps({job: per_step(job) for job in JOBS}) + "\n")


if __name__ == "__main__":
    main()
