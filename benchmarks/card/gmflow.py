"""GMFlow with random weights on Sintel's size; both directions come from one call."""

import comfy.ops
import torch
from betwixt.rerender_core.flow.gmflow import GMFlow

from benchmarks.card.measuring import Card, counted, measured, repeated, shares
from support.golden import STORED
from support.models.random_svd import random_weights
from support.models.synthetic_weights import load_manifest


def gmflow(card: Card) -> None:
    height, width, pairs = (48, 64, 1) if card.tiny else (436, 1024, 1)
    manifest = load_manifest(STORED / "gmflow" / "full_manifest.json.gz")
    weights = random_weights({key: e["shape"] for key, e in manifest.items()}, torch.float32, card.device)
    network = GMFlow(operations=comfy.ops.manual_cast, device=card.device)
    network.load_state_dict(weights, strict=False)
    network.eval()
    frames = [255 * torch.rand(pairs, 3, height, width, device=card.device) for _ in range(2)]
    flops = counted(lambda: network(*frames))
    seconds = repeated(lambda: network(*frames), 2 if card.tiny else 20)
    _, taken = measured(lambda: network(*frames))
    job = f"GMFlow {width}x{height}, both directions, fp32"
    card.row(job, seconds=seconds, **shares(flops, seconds), **taken.peaks())
    card.profile("gmflow", lambda: network(*frames))


RUN = {"gmflow": gmflow}
