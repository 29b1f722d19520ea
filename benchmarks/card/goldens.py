"""The golden cases on the card: every network and loop in float32, float16 and bfloat16, and patch synthesis by its
acceptance limits; all cases, one by one."""

import math

from benchmarks.card.ebsynth import engines_of
from benchmarks.card.measuring import Card
from support.golden import STORED, Case
from tests.parity import __main__ as cases_of
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


def parity(card: Card) -> None:
    """Every stored case but DWPose's, which are ONNX Runtime's: the worst comparison as a share of what it may be."""
    components = ("gmflow",) if card.tiny else sorted({path.parent.name for path in STORED.glob("*/*.safetensors")})
    for component in components:
        for case in cases_of.cases(STORED / component, str(card.device)) if component != "dwpose" else ():
            values = {"job": f"{component}/{case.name}", "precision": "fp32", "tolerated": 1.0}
            try:
                checks = cases_of.run(case)
            except Exception as error:
                card.results.add("correctness", **values, ok=False, note=f"{type(error).__name__}: {error}"[:500])
                continue
            worst = max(checks, key=lambda check: (not check.ok, check.error / (check.tolerance or 1e-30)))
            share = worst.error / worst.tolerance if worst.tolerance else None
            ok = all(check.ok for check in checks)
            card.results.add("correctness", **values, value=share, ok=ok, note=f"{worst.name}: {worst.error:.3g}")


RUN = {"goldens": goldens, "parity": parity}
