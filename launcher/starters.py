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
        "Betwixt 1 First-last frame inbetween, no model",
        "Two pictures in, the frames between them out, along a timing curve. Needs no model file.",
        ("No models", "Inbetween"),
    ),
    Starter(
        "Betwixt 2 EbSynth - paint a clip, no model",
        "A video and a few of its frames, painted, in; the whole clip painted like them out. Needs no model file.",
        ("No models", "Video stylization"),
    ),
    Starter(
        "FCVG conditions from two pictures",
        "Two pictures in; their matched lines, moved from one to the other frame by frame, out. Needs no model file.",
        ("No models", "Inbetween"),
    ),
    Starter(
        "Betwixt 3 Inbetween two drawings (ToonCrafter)",
        "Two key drawings and a prompt in, 16 frames between them out. Needs ToonCrafter's file, 5.3 GB.",
        ("Inbetween",),
    ),
    Starter(
        "Betwixt 4 Inbetween two photos (FCVG)",
        "Two photographs in, 25 frames between them out. Needs FCVG's two files and SVD-XT 1.1, 11 GB.",
        ("Inbetween",),
    ),
    Starter(
        "Betwixt 5 Restyle a video (Rerender)",
        "A video and a prompt in, the video in that style out. Needs a Stable Diffusion 1.5 checkpoint and an edge "
        "ControlNet, 5.7 GB.",
        ("Video stylization",),
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
