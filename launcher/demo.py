"""``betwixt.py demo``: the pack's graphs on pictures it draws, as videos and one contact sheet."""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np

from ..demo.contact_sheet import Row, contact_sheet
from ..demo.scene import write_inputs
from .client import Client
from .console import say
from .folders import PACK
from .graph import load_graph
from .run import run_graph, server_address, stoppable

TITLE = "ComfyUI-Betwixt demo"


@dataclass(frozen=True)
class SheetRow:
    """A row of the contact sheet: ``count`` frames, evenly spaced, of what the node with id ``node`` shows or saves."""

    caption: str
    node: str
    count: int = 5


@dataclass(frozen=True)
class DemoGraph:
    """A graph of ``workflows/api``, by its name without suffix, and what of it goes on the sheet."""

    name: str
    rows: tuple[SheetRow, ...]


GRAPHS: tuple[DemoGraph, ...] = ()


def demo(args, host: Path, graphs: Sequence[DemoGraph] = GRAPHS) -> Path:
    """The command. ``args``: out. Returns the contact sheet's path."""
    began = time.monotonic()
    out = args.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="betwixt-demo-") as scratch:
        inputs = write_inputs(out / "input")  # kept: 'run' can use them with the same graphs
        with stoppable(), server_address(None, host) as url, Client(url) as client:
            say(f"Computing begins {time.monotonic() - began:.0f} s after the start")
            for path in inputs:
                client.upload(path)
            for item in graphs:
                say(f"{item.name}:")
                rows += run_one(client, item, Path(scratch) / item.name, out)
    sheet = out / "contact-sheet.png"
    sheet.write_bytes(cv2.imencode(".png", contact_sheet(TITLE, rows)[..., ::-1])[1].tobytes())
    say(f"Wrote {sheet}")
    say(f"Demo done in {time.monotonic() - began:.0f} s; everything is in {out}")
    return sheet


def run_one(client: Client, item: DemoGraph, scratch: Path, out: Path) -> list[Row]:
    """Run one graph, move its saved files to ``out`` under the graph's name, and return its rows of the sheet."""
    run, paths = run_graph(client, load_graph(PACK / "workflows" / "api" / f"{item.name}.json"), scratch)
    by_node: dict[str, list[Path]] = {}
    saved = 0
    for file, path in zip(run.files, paths, strict=True):
        if file.folder == "output":
            saved += 1
            path = path.replace(out / f"{item.name}{'' if saved == 1 else f' {saved}'}{path.suffix}")
            say(f"Wrote {path}")
        by_node.setdefault(file.node, []).append(path)
    return [Row(row.caption, spread(frames_of(by_node[row.node]), row.count)) for row in item.rows]


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
