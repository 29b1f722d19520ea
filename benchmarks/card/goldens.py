"""The golden cases on the card: every network and loop in float32, float16 and bfloat16, and patch synthesis by its
acceptance limits."""

import math

from benchmarks.card.ebsynth import engines_of
from benchmarks.card.measuring import Card
from support.golden import STORED, Case
from tests.parity import precision
from tests.parity.ebsynth import statistics


def goldens(card: Card) -> None:
    probes = ("GMFlow", "ToonCrafter UNet") if card.tiny else precision.PROBES
    for probe in probes:
        for name in ("fp32",) if card.tiny or probe in precision.ALWAYS_FLOAT32 else precision.DTYPES:
            _row(card, probe, name)
    for check in statistics(Case(STORED / "ebsynth" / "stat_texture.safetensors"), card.device, engines_of(card)):
        values = {"value": check.error, "tolerated": check.tolerance, "ok": check.ok}
        card.results.add("correctness", job=f"EbSynth, {check.name}", **values)


def _row(card: Card, probe: str, name: str) -> None:
    tolerated = precision.tolerance(probe, name)
    values = {"job": probe, "precision": name, "tolerated": tolerated}
    try:
        what, distance = precision.worst(probe, name)
    except Exception as error:
        card.results.add("correctness", **values, ok=False, note=f"{type(error).__name__}: {error}"[:500])
        return
    finite = distance if math.isfinite(distance) else None
    card.results.add("correctness", **values, value=finite, ok=distance <= tolerated, note=what)


RUN = {"goldens": goldens}
