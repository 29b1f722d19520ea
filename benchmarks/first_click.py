"""``python -m benchmarks.first_click``: from an empty ComfyUI to the first clip, in its real interface.

An empty folder gets a copy of the pack in custom_nodes and nothing else; Chromium then does what a new user does, with
the mouse. Seconds are on the clock, browser included, processor seconds those of ComfyUI; without a card, once each.
Needs Chromium and playwright.

    first     the template browser greets, Betwixt 1 is opened, Run is pressed: clicks and seconds to the clip, in an
              existing ComfyUI and in 'serve'
    walk      every workflow that needs no model file the same way, one after another in one visit
    missing   every workflow opened: model files that the interface reports as missing, and those that are
    beside    Betwixt's starters beside ComfyUI's own first-last-frame templates; these are not part of the light
              environment: "pip install --no-deps --target FOLDER" of comfyui-workflow-templates and what it requires,
              at the versions that ComfyUI names, then --templates FOLDER

Pictures of every template as it opens are left in .out/first_click.
"""

import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
from betwixt.common.files.published_files import files_named_in
from betwixt.launcher.host_tree import find_host
from betwixt.launcher.server import Server
from betwixt.launcher.starters import STARTERS, write_templates

from benchmarks.common import Report, options
from support.bootstrap import ROOT
from support.fresh_host import fresh_host
from support.frontend import Frontend
from support.visitor import Visitor
from support.workflow_files import NAMES, WEIGHT_FREE, api_graph, ui_workflow

PICTURES = ROOT / ".out" / "first_click"
PARTS = ("first", "walk", "missing", "beside")
HOSTS_OWN = ("Wan 2.2 14B First-Last Frame to Video", "Wan2.1 VACE First-Last Frame", "LTX-2.3: FLF2V")
BYTES = {"MB": 1e6, "GB": 1e9}
RUN_SECONDS = 900


@contextmanager
def visit(server: Server):
    """A visitor of a started server."""
    with server, Frontend(server.url) as frontend:
        yield Visitor(frontend, server.url)


def ended(record: dict) -> str:
    return record["status"]["status_str"]


def to_first_clip(server: Server) -> list:
    """Clicks, seconds to the greeting, to the open graph, of Run, in all; of Run for ComfyUI; how the run ended."""
    with server:
        began = time.monotonic()
        with Frontend(server.url) as frontend:
            visitor = Visitor(frontend, server.url)
            visitor.greeted(30)
            greeted = time.monotonic()
            visitor.open_template(STARTERS[0].name)
            opened, before = time.monotonic(), processor_seconds(server)
            result = ended(visitor.run(RUN_SECONDS))
            frontend.page.locator("video").last.wait_for(timeout=30_000)
            shown = time.monotonic()
            frontend.page.wait_for_timeout(1000)
            visitor.shot(PICTURES / "first clip.png")
            work = processor_seconds(server) - before
    return [visitor.clicks, greeted - began, opened - greeted, shown - opened, shown - began, work, result]


def processor_seconds(server: Server) -> float:
    """What the server has computed so far, all threads together."""
    used = psutil.Process(server.process_id).cpu_times()
    return used.user + used.system


def gigabytes(name: str) -> float:
    """Of the model files that a workflow of the pack names."""
    sizes = [file.size.split() for file in files_named_in(api_graph(name))]
    return sum(float(number) * BYTES[unit] for number, unit, *_ in sizes) / 1e9


def hosts_gigabytes(visitor: Visitor, title: str) -> float:
    """As ComfyUI's list of templates says."""
    entries = [entry for group in visitor.client.get("/templates/index.json") for entry in group["templates"]]
    return next(entry["size"] for entry in entries if entry["title"] == title) / 1e9


def first(report: Report, folder: Path, templates: Path | None) -> None:
    columns = ["way", "clicks", "seconds to the templates", "to the open graph", "of Run", "in all"]
    columns += ["processor seconds of Run", "ended"]
    with report.table("first", f"An empty ComfyUI to the clip of '{STARTERS[0].name}'", columns) as table:
        host = fresh_host(folder / "host", templates=templates)
        table.add("a ComfyUI with the pack in custom_nodes", *to_first_clip(host))
        served = Server(find_host(), folder / "served", cpu=True, templates=write_templates(folder / "templates"))
        table.add("betwixt.py serve", *to_first_clip(served))


def walk(report: Report, visitor: Visitor) -> None:
    columns = ["workflow", "clicks", "nodes in sight", "zoom as it opens", "seconds of Run", "ended"]
    with report.table("walk", "Every workflow without a model file, opened and run", columns) as table:
        for name in WEIGHT_FREE:
            before = visitor.clicks
            visitor.open_template(name)
            visitor.shot(PICTURES / f"{name}.png")
            zoom, nodes, began = visitor.scale(), visitor.sight()["nodes"], time.monotonic()
            result = ended(visitor.run(RUN_SECONDS))
            table.add(name, visitor.clicks - before, nodes, zoom, time.monotonic() - began, result)


def missing(report: Report, visitor: Visitor) -> None:
    columns = ["workflow", "files missing", "reported", "with an address", "not reported"]
    with report.table("missing", "Model files that are missing, and the interface's notice of it", columns) as table:
        for name in NAMES:
            visitor.frontend.load_workflow(ui_workflow(name))
            visitor.page.wait_for_timeout(700)
            visitor.shot(PICTURES / f"{name}.png")
            told, actual = visitor.missing(), {file.name for file in files_named_in(api_graph(name))}
            reported = set(told["models"])
            assert reported <= actual and not told["media"], (name, told)
            table.add(name, len(actual), len(reported), len(set(told["offered"])), ", ".join(actual - reported))


def beside(report: Report, visitor: Visitor) -> None:
    columns = ["template", "clicks to open", "nodes in sight", "nodes in all", "settings in sight"]
    columns += ["words of explanation", "model files missing", "GB of model files", "pictures missing", "zoom"]
    titles = [(name, hosts_gigabytes(visitor, name)) for name in HOSTS_OWN]
    ours = [starter.name for starter in STARTERS if starter.name.startswith("Betwixt") and "Inbetween" in starter.tags]
    titles += [(name, gigabytes(name)) for name in ours]
    with report.table("beside", "First-last-frame templates of ComfyUI and of the pack", columns) as table:
        for title, size in titles:
            before = visitor.clicks
            visitor.open_template(title, typed=title, category="All Templates")
            visitor.shot(PICTURES / f"beside {title}.png".replace(":", ""))
            sight, told = visitor.sight(), visitor.missing()
            counts = [sight[key] for key in ("nodes", "inside", "settings", "words")]
            files, media = len(set(told["models"])), len(set(told["media"]))
            table.add(title, visitor.clicks - before, *counts, files, size, media, visitor.scale())


def main() -> int:
    parser = options(__doc__, repeats=1)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--templates", type=Path, help="folder with ComfyUI's own template packages")
    given = parser.parse_args()
    report = Report("first_click", given)
    with tempfile.TemporaryDirectory(prefix="betwixt-") as scratch:
        folder = Path(scratch)
        if "first" in given.parts:
            first(report, folder, given.templates)
        for name, part in {"walk": walk, "missing": missing, "beside": beside}.items():
            if name in given.parts:
                with visit(fresh_host(folder / name, templates=given.templates)) as visitor:
                    if visitor.greeted() and part is missing:
                        visitor.page.keyboard.press("Escape")
                    part(report, visitor)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
