"""``python -m tools.readme``: write the generated parts of README.md and of documents in docs.

A part stands between ``<!-- begin generated: NAME -->`` and ``<!-- end generated -->``; NAME is one of :func:`parts`.
Nodes come from the schemas, model files from the list of published files, workflows from workflows/api, exit codes from
the launcher, and measured tables from benchmarks/results: a few lines of them in the README, all in docs.
"""

import re
import sys
from collections.abc import Callable
from pathlib import Path

from betwixt.common.card_choices import CARDS, CHOOSERS, GIB, settings
from betwixt.common.files.published_files import PUBLISHED_FILES, files_named_in
from betwixt.launcher.failures import EXIT_MEANINGS

from support.benchmark_results import markdown, stored_tables
from support.bootstrap import ROOT, use_host
from support.schemas import pack_nodes
from support.workflow_files import NAMES, api_graph
from tools.shown_tables import Across, Headline, Shown, provenance

README, FAULTS = ROOT / "README.md", ROOT / "docs" / "faults.md"
BENCHMARKS = ROOT / "benchmarks" / "README.md"
INBETWEENS, MEASUREMENTS = ROOT / "docs" / "methods" / "inbetweens.md", ROOT / "docs" / "measurements.md"
PART = re.compile(r"(<!-- begin generated: (?P<name>.+?) -->\n).*?(<!-- end generated -->)", re.DOTALL)
SENTENCE_END = re.compile(r"\.\s+(?=[A-Z'])")


MOVED = (
    *("drawn translation", "drawn rotation", "drawn zoom", "drawn parallax", "drawn independent", "drawn combined"),
    *("drawn lighting", "pictures rotation", "pictures parallax", "pictures independent", "pictures combined"),
)
INBETWEEN_SETS = ("street", *MOVED, "films")
_HYBRID = {"schedule, votes x iterations": "hybrid 6x4"}
ON_A_PROCESSOR = (
    Headline(
        "Inbetweens without a model, 25 frames of 512x288",
        "inbetweens",
        "cost",
        ({"size": "512x288"},),
        ("layers, processor seconds", "frames, processor seconds"),
        "memory, MiB",
    ),
    Headline("Match Lines without weights, a pair of 1024x576", "line_matching", "one pair, weight-free", ({},)),
    Headline(
        "Interpolate Conditions, 25 frames of 1024x576, lines and poses",
        "condition_frames",
        "node",
        ({"conditions from": "lines and poses"},),
    ),
    *(
        Headline(f"EbSynth, one frame of 512x512, {engine}", "patch_synthesis", "512", ({"engine": engine} | _HYBRID,))
        for engine in ("numba", "torch")
    ),
    Headline("Twelve measures of 100 frames of 1024x576", "measures", "time", ({"measure": "all"},), memory=""),
)


def _on_card(name: str, published: str, *jobs: str) -> Headline:
    rows = tuple({"job": job, "host's memory": "plain"} for job in jobs)
    return Headline(name, "card", "speed", rows, ("s",), "GiB allocated", published)


ON_A_CARD = (
    _on_card(
        "FCVG, 25 frames of 1024x576, 25 steps, decoded",
        "523 s",
        "FCVG 25x1024x576, 25 steps",
        "FCVG 25x1024x576, decode",
    ),
    _on_card(
        "ToonCrafter, 16 frames of 512x320, 50 steps, decoded", "24 s, A100", "ToonCrafter 16x512x320, whole clip"
    ),
    _on_card("Rerender, a key frame of 512x512", "14.2 s, V100", "Rerender key frame 512x512"),
)
RESULTS = {
    "first click": Shown("first_click", ("first",)),
    "beside": Shown("first_click", ("beside",)),
    "condition frames": Shown(
        "condition_frames", ("node",), ("conditions from", "processor seconds", "peak memory, MiB")
    ),
    "line matching": Shown(
        "line_matching", ("one pair, weight-free",), ("matcher", "matches", "processor seconds", "peak memory, MiB")
    ),
    "line match quality": Shown(
        "line_matching", ("quality, weight-free",), ("motion", "pairs", "precision", "recall", "matches per pair")
    ),
    "peers": Shown("peers", ("peers",)),
    "line segments": Shown(
        "line_segments",
        ("detectors",),
        ("picture", "exact, numba, s", "exact, python, s", "quick, s", "segments", "found within 2 px"),
        {"found within 2 px": "of these found by quick within 2 px"},
    ),
    "gluestick": Shown("gluestick", ("quick",)),
    "poses": Shown("poses", ("drawing",)),
    "pose estimates": Shown("poses", ("estimate",), ("runtime", "ms", "as published, ms", "of that")),
    "first use": Shown("first_use", ("compiling",)),
    "video encoding": Shown("video_encoding", ("repeats",)),
    "inbetweens": Across(
        "inbetweens",
        INBETWEEN_SETS,
        row="pictures",
        column="way",
        shown=("PSNR, dB", "edges, px"),
        order=(
            *("cross-fade", "DIS splat", "DIS flow, our renderer", "least squares", "RIFE", "layers", "layers, poses"),
            "true motion",
        ),
    ),
    "fcvg guider": Shown("fcvg_sampling", ("overhead",)),
    "fcvg encoder": Shown("fcvg_sampling", ("encoder",)),
    "fcvg injection": Shown("fcvg_sampling", ("injection",)),
    "rerender": Shown(
        "rerender",
        ("clip",),
        (
            "constraints",
            "model steps, anchor",
            "model steps per key frame",
            "of SD1.5 in fp16, short side 512, GiB",
            "ms per step beside model and VAE",
        ),
        {"of SD1.5 in fp16, short side 512, GiB": "features kept, SD1.5 in fp16, short side 512, GiB"},
    ),
    "patch synthesis": Shown(
        "patch_synthesis",
        ("512",),
        ("engine", "schedule, votes x iterations", "processor seconds", "peak memory, MiB", "total", "PSNR, dB"),
    ),
    "clip steadiness": Shown(
        "clip_propagation",
        ("steadiness, dancer_960x506_25fps",),
        ("made by", "Pixel-MSE x 1000", "against every frame", "processor s per frame"),
    ),
    "clip growth": Shown(
        "clip_propagation", ("growth",), ("frames", "processor s per frame", "peak memory above the clip, MiB")
    ),
    "limits": Shown("limits", ("shares",)),
    "growth": Shown("growth", ("matching", "conditions", "painting", "guider", "decoding")),
    "blending": Shown("blending", ("steps",), ("step", "processor seconds")),
    "lsqr": Shown("blending", ("lsqr",)),
    "measures": Shown("measures", ("time",)),
    "tooncrafter decode": Shown("tooncrafter", ("decode",)),
    "tooncrafter work": Shown("tooncrafter", ("encode", "step")),
    "tooncrafter loading": Shown("tooncrafter_loading", ("loading",)),
    "card": Shown(
        "card",
        ("speed",),
        ("job", "host's memory", "s", "s per step", "limit, s", "times the limit", "GiB allocated", "note"),
    ),
}


OF_FAULTS = {
    "fuzz": Shown("fuzz", ("counts",)),
    "scene cuts": Shown("scene_cuts", ("totals",)),
    "long spans": Shown("long_spans", ("lengths",)),
    "hosts and libraries": Shown("host_matrix", ("hosts", "libraries", "pythons"), ("what", "result")),
}


def models() -> str:
    columns = ["file", "size", "folder in `models`", "for", "licence", "from"]
    rows = [
        [
            f"`{file.name}`",
            file.size,
            f"`{file.folder}`",
            f"{file.purpose}; {file.instead} will do" if file.instead else file.purpose,
            file.licence,
            f"[{file.source}]({file.url})" if file.url else file.source,
        ]
        for file in PUBLISHED_FILES
    ]
    return markdown(columns, rows)


def workflows() -> str:
    rows = [
        [name, ", ".join(file.instead or f"`{file.name}`" for file in files_named_in(api_graph(name))) or "none"]
        for name in NAMES
    ]
    return markdown(["workflow", "model files"], rows)


def nodes() -> str:
    """A table per family, in the order the nodes are registered; of each description the first sentence."""
    families: dict[str, list[list[str]]] = {}
    for node in pack_nodes():
        schema = node.GET_SCHEMA()
        does = SENTENCE_END.split(schema.description)[0].rstrip(".")
        families.setdefault(schema.category.split("/", 1)[1], []).append([schema.display_name, does])
    return "\n\n".join(f"**{family}**\n\n{markdown(['node', 'does'], rows)}" for family, rows in families.items())


def exit_codes() -> str:
    return markdown(["exit code", "means"], [[code, meaning] for code, meaning in EXIT_MEANINGS.items()])


def on_a_processor() -> str:
    """What common jobs cost, in a few lines."""
    return markdown(["on one core", "processor seconds", "MiB"], [line.cells() for line in ON_A_PROCESSOR])


def on_a_card() -> str:
    """What the three systems take on the card that the benchmark last ran on, beside what their authors state."""
    card = stored_tables("card")["speed"]["machine"]["card"]
    columns = [f"on {card}, random weights", "seconds", "GiB", "published"]
    return markdown(columns, [line.cells() for line in ON_A_CARD])


def cards() -> str:
    """What cards should choose."""
    chosen = [[f"{gib} GB", *(choose(gib * GIB).short() for choose in CHOOSERS.values())] for gib in CARDS]
    return markdown(["card", *(f"{system}, *computed*" for system in CHOOSERS)], chosen)


def card_settings() -> str:
    """What every setting holds, computed, and measured where the card benchmark ran just that."""
    speed = stored_tables("card")["speed"]
    columns = [speed["columns"].index(name) for name in ("job", "host's memory", "s", "s per step", "GiB allocated")]
    measured = {}
    for job, memory, *values in ([row[column] for column in columns] for row in speed["rows"]):
        if memory == "plain":
            measured[job] = values
    rows = []
    for setting in settings():
        seconds, per_step, allocated = measured.get(setting.measured, (None, None, None))
        if "as a card" in setting.measured:
            seconds = None  # of a few steps only
        parts = setting.weights / GIB, setting.peak / GIB
        rows.append([setting.system, setting.setting, *parts, sum(parts), allocated, seconds, per_step])
    card = speed["machine"]["card"]
    names = ["system", "setting", "weights, GiB, *computed*", "activations, GiB, *computed*", "sum, GiB, *computed*"]
    names += [f"{what}, *measured on {card}*" for what in ("GiB", "s", "s per step")]
    return f"{markdown(names, rows)}\n\n<sub>Measured: {provenance(speed)}</sub>"


def _results(shown: dict[str, Shown | Across]) -> dict[str, Callable[[], str]]:
    return {f"results {name}": table.__str__ for name, table in shown.items()}


def parts() -> dict[Path, dict[str, Callable[[], str]]]:
    """What makes each part of each document, by name."""
    readme = {
        "models": models,
        "nodes": nodes,
        "workflows": workflows,
        "exit codes": exit_codes,
        "cards": cards,
        "on a processor": on_a_processor,
        "on a card": on_a_card,
    }
    every = {"inbetweens": Shown("inbetweens", INBETWEEN_SETS), "inbetweens cost": Shown("inbetweens", ("cost",))}
    every |= {f"inbetween {name}": Shown("inbetween_rendering", (name,)) for name in ("rendering", "holes")}
    measured = {**_results(RESULTS), "card settings": card_settings}
    counted = _results({f"counted {name}": Shown("counted", (name,)) for name in ("memory", "steps")})
    made = {README: readme, MEASUREMENTS: measured, BENCHMARKS: counted}
    return {**made, FAULTS: _results(OF_FAULTS), INBETWEENS: _results(every)}


def renewed(text: str, makers: dict[str, Callable[[], str]]) -> str:
    """A document with every generated part made anew.

    Args:
        makers: what makes each of its parts, by name.

    Raises:
        LookupError: a part has an unknown name, or a known one is not in the text.
    """
    present = [found["name"] for found in PART.finditer(text)]
    if sorted(present) != sorted(makers):
        raise LookupError(f"The document holds the parts {sorted(present)}, made are {sorted(makers)}")
    return PART.sub(lambda found: f"{found[1]}\n{makers[found['name']]()}\n\n{found[3]}", text)


def main() -> int:
    use_host()
    for document, makers in parts().items():
        document.write_text(renewed(document.read_text("utf-8"), makers), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
