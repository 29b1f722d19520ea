"""What the template browser of 'serve' opens on: the workflows to begin with, where ComfyUI's own templates are absent.

The environment of 'serve' leaves ComfyUI's template package (0.4 GB of media) out. Its place is taken by a package of
the same name that lists the pack's starters in the first category a new user is shown.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from .folders import PACK

PACKAGE = "comfyui_workflow_templates"
WORKFLOWS = PACK / "workflows"
CATEGORY = "Getting Started"  # the interface shows this one first


@dataclass(frozen=True)
class Starter:
    """A workflow to begin with: ``description`` says what comes out and what it needs, ``tags`` are filters."""

    name: str
    description: str
    tags: tuple[str, ...]


STARTERS = (
    Starter(
        "FCVG conditions from two pictures",
        "Two pictures in; their matched lines, moved from one to the other, frame by frame, out. No model files; "
        "about 10 s on two processor cores.",
        ("No models", "Inbetween"),
    ),
)


def write_templates(folder: Path) -> Path:
    """Write the package into ``folder`` and return it, for the server's module path."""
    package = folder / PACKAGE
    templates = package / "templates"
    templates.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").write_text("")
    entries = []
    for number, starter in enumerate(STARTERS, start=1):
        name = f"betwixt_{number}"  # the interface puts it into an address
        shutil.copyfile(WORKFLOWS / f"{starter.name}.json", templates / f"{name}.json")
        shutil.copyfile(WORKFLOWS / f"{starter.name}.jpg", templates / f"{name}-1.jpg")
        entries.append(
            {
                "name": name,
                "title": starter.name,
                "description": starter.description,
                "tags": [*starter.tags, "Betwixt"],
                "mediaType": "image",
                "mediaSubtype": "jpg",
            }
        )
    category = {"moduleName": "default", "title": CATEGORY, "isEssential": True, "type": "image", "templates": entries}
    (templates / "index.json").write_text(json.dumps([category], ensure_ascii=False), "utf-8")
    (templates / "index_logo.json").write_text("{}")
    return folder
