"""``python -m tools.demo_picture SHEET``: the README's picture of the demo, from the contact sheet ``betwixt.py demo``
left. The captions of its rows are kept in the file, so that a test notices when the demo shows something else."""

import sys
from pathlib import Path

from betwixt.launcher.demo import GRAPHS
from PIL import Image

from support.bootstrap import ROOT

PICTURE = ROOT / "docs" / "demo.jpg"
WIDTH = 1200  # px; the sheet's is 1600


def captions() -> str:
    """The captions of all rows the demo makes, a line each."""
    return "\n".join(row.caption for graph in GRAPHS for row in graph.rows)


def stored_captions() -> str:
    """Those of the rows the picture shows."""
    with Image.open(PICTURE) as picture:
        return picture.info.get("comment", b"").decode()


def main(sheet: Path) -> int:
    with Image.open(sheet) as picture:
        height = round(picture.height * WIDTH / picture.width)
        small = picture.convert("RGB").resize((WIDTH, height), Image.Resampling.LANCZOS)
    small.save(PICTURE, quality=85, optimize=True, comment=captions().encode())
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
