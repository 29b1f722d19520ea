"""The workflows the pack ships: NAME.json for the interface, api/NAME.json for the server, NAME.jpg as thumbnail."""

import json

from betwixt.common.files.published_files import files_named_in

from support.bootstrap import ROOT

WORKFLOWS = ROOT / "workflows"
NAMES = sorted(path.stem for path in (WORKFLOWS / "api").glob("*.json"))


def api_graph(name: str) -> dict:
    return json.loads((WORKFLOWS / "api" / f"{name}.json").read_text(encoding="utf-8"))


def ui_workflow(name: str) -> dict:
    return json.loads((WORKFLOWS / f"{name}.json").read_text(encoding="utf-8"))


WEIGHT_FREE = [name for name in NAMES if not files_named_in(api_graph(name))]  # they need no model file
