"""``python -m tools.card_notes``: write the line about cards in the notes of workflows, starters and their sources.

Which notes have it is up to them; a note says it of the system whose model file its graph names.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from betwixt.common.card_choices import card_note
from betwixt.common.files.published_files import (
    CANNY_CONTROL,
    DYNAMICRAFTER_512,
    DYNAMICRAFTER_512_INTERP,
    FCVG_UNET,
    GI_UNET,
    SVD_XT,
    SVD_XT_1_0,
    TOONCRAFTER,
    PublishedFile,
    files_named_in,
)

from support.bootstrap import ROOT
from support.workflow_files import NAMES, WORKFLOWS, api_graph

LINE = re.compile(r'\*\*Cards \(computed\):\*\*[^"\\]*')
SYSTEMS: dict[PublishedFile, str] = {  # of several files of a graph the first here counts
    GI_UNET: "GI",
    FCVG_UNET: "FCVG",
    SVD_XT: "FCVG",
    SVD_XT_1_0: "FCVG",
    TOONCRAFTER: "ToonCrafter",
    DYNAMICRAFTER_512_INTERP: "ToonCrafter",
    DYNAMICRAFTER_512: "ToonCrafter",
    CANNY_CONTROL: "Rerender",
}


def noted() -> dict[str, str]:
    """Workflow name -> the system its note must speak of."""
    found = {}
    for name in NAMES:
        files = files_named_in(api_graph(name))
        if systems := [system for file, system in SYSTEMS.items() if file in files]:
            found[name] = systems[0]
    return found


def files_with_note(name: str) -> Iterator[Path]:
    """The workflow and what it is made from."""
    sources = [ROOT / "tools" / folder / f"{name}.json" for folder in ("layouts", "starters")]
    yield from (path for path in (WORKFLOWS / f"{name}.json", *sources) if path.exists())


def renewed(text: str, system: str) -> str:
    return LINE.sub(lambda found: card_note(system), text)


def main() -> int:
    for name, system in noted().items():
        for path in files_with_note(name):
            path.write_text(renewed(path.read_text("utf-8"), system), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
