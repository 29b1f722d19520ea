"""``betwixt.py demo``: the pack's graphs on pictures it draws, as videos and one contact sheet."""

import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np

from ..demo.contact_sheet import Row, contact_sheet
from ..demo.scene import write_inputs
from .client import Client, Run
from .console import say
from .farm.graphs import pruned
from .folders import PACK
from .graph import apply_settings, load_graph
from .run import follow_graph, server_address, stoppable

TITLE = "ComfyUI-Betwixt demo"


@dataclass(frozen=True)
class SheetRow:
    """A row of the contact sheet: ``count`` frames, evenly spaced, of what the node with id ``node`` shows or saves,
    no more than there are."""

    caption: str
    node: str
    count: int = 5


@dataclass(frozen=True)
class DemoGraph:
    """A graph of ``workflows/api``, by its name without suffix, what of it goes on the sheet, and what is set in it
    (as ``run --set`` does)."""

    name: str
    rows: tuple[SheetRow, ...]
    settings: tuple[str, ...] = ()


KEY_FRAMES = ("betwixt_start.png", "betwixt_end.png")
GRAPHS = (
    DemoGraph(
        "Inbetweens without a model",
        (SheetRow("The frames between them, slow at both ends, made without a model", "5"),),
    ),
    DemoGraph(
        "FCVG conditions from two pictures",
        (
            SheetRow("Their lines, matched without weights: equal colours belong together", "4", 1),
            SheetRow("Conditions for FCVG: eased in and out, turning things turn", "6"),
            SheetRow("The same over a cross-fade of the key frames", "7"),
        ),
        ("5.timing=easing", "5.timing.easing=sine-in-out", "5.path=arc", "5.path.pivot=fixed point"),
    ),
    DemoGraph(
        "FCVG conditions along a drawn path",
        (SheetRow("Poses from files, leaping along a drawn path", "11"),),
    ),
    DemoGraph(
        "Paint a clip from a few frames",
        (SheetRow("A clip painted like three of its frames (0, 5 and 10 were painted)", "11", 6),),
    ),
)


def demo(args, host: Path, graphs: Sequence[DemoGraph] = GRAPHS) -> Path:
    """The command. ``args``: out. Returns the contact sheet's path."""
    began = time.monotonic()
    out = args.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    (out / "input").mkdir(exist_ok=True)
    # On the disk of the results, into whose place each file is moved when it is complete: another demo may run.
    with tempfile.TemporaryDirectory(prefix=".demo-", dir=out) as scratch:
        inputs = write_inputs(Path(scratch) / "input")
        rows = [Row("Two key frames", [frames_of([Path(scratch) / "input" / name])[0] for name in KEY_FRAMES])]
        with (
            stoppable(),
            server_address(None, host) as url,
            Client(url) as client,
            ThreadPoolExecutor(1) as beside,  # fetches while the next graph runs
        ):
            say(f"Computing begins {time.monotonic() - began:.0f} s after the start")
            for path in inputs:
                client.upload(path)
            fetched = []
            for item in graphs:
                say(f"{item.name}:")
                folder = Path(scratch) / item.name
                run = follow_graph(client, demo_graph(item), folder)
                fetched.append(beside.submit(fetch_one, client, item, run, folder, out))
            for files, shown in (one.result() for one in fetched):
                rows += shown
                for path in files:
                    say(f"Wrote {path}")
        for path in inputs:  # kept: 'run' can use them with the same graphs
            path.replace(out / "input" / path.name)
        sheet = Path(scratch) / "contact-sheet.png"
        sheet.write_bytes(cv2.imencode(".png", contact_sheet(TITLE, rows)[..., ::-1])[1].tobytes())
        sheet = sheet.replace(out / sheet.name)
    say(f"Wrote {sheet}")
    say(f"Demo done in {time.monotonic() - began:.0f} s; everything is in {out}")
    return sheet


def demo_graph(item: DemoGraph) -> dict:
    """What the demo runs of a graph: what is saved, and previews of no other frames than those of the sheet, because a
    clip's take as long to write as its video."""
    graph = apply_settings(load_graph(PACK / "workflows" / "api" / f"{item.name}.json"), item.settings)
    saved = [node for node, entry in graph.items() if entry["class_type"] == "SaveVideo"]
    graph = pruned(graph, [*saved, *(row.node for row in item.rows)])
    for row in item.rows:
        entry = graph[row.node]
        if entry["class_type"] == "PreviewImage":
            chosen = f"{row.node}-chosen"
            graph[chosen] = {
                "class_type": "BetwixtRetimeClip",
                "inputs": entry["inputs"]
                | {"frame_count": row.count, "method": "nearest", "hold": 1, "still_threshold": 0.0},
                "_meta": {"title": "Frames for the sheet"},
            }
            entry["inputs"] = {"images": [chosen, 0]}
    return graph


def fetch_one(client: Client, item: DemoGraph, run: Run, scratch: Path, out: Path) -> tuple[list[Path], list[Row]]:
    """Fetch what a graph made and move its saved files to ``out`` under the graph's name; these and its rows of the
    sheet."""
    by_node: dict[str, list[Path]] = {}
    saved: list[Path] = []
    for file, path in zip(run.files, client.fetch_all(run.files, scratch), strict=True):
        if file.folder == "output":
            number = "" if not saved else f" {len(saved) + 1}"
            path = path.replace(out / f"{item.name}{number}{path.suffix}")
            saved.append(path)
        by_node.setdefault(file.node, []).append(path)
    return saved, [Row(row.caption, spread(frames_of(by_node[row.node]), row.count)) for row in item.rows]


def frames_of(paths: Sequence[Path]) -> list[np.ndarray]:
    """The pictures of image and video files in order, uint8 RGB [H, W, 3] each."""
    frames = []
    for path in paths:
        with av.open(str(path)) as container:
            frames += [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return frames


def spread(frames: Sequence[np.ndarray], count: int) -> list[np.ndarray]:
    """``count`` of the frames, evenly spaced, the first and the last among them; all if there are fewer."""
    chosen = np.linspace(0, len(frames) - 1, min(count, len(frames))).round().astype(int)
    return [frames[index] for index in chosen]
