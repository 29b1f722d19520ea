"""Example inputs: the drawn pictures and clips that the workflows begin with, copied once into the input folder."""

import logging
from pathlib import Path

logger = logging.getLogger(__name__)

STORED = Path(__file__).resolve().parents[3] / "demo" / "inputs"  # written by "python -m demo.scene"
LIST = "betwixt_examples.txt"
HEADER = """\
# Example inputs of ComfyUI-Betwixt's workflows, put here when the pack was first loaded.
# Delete them whenever you like: a file listed here is never written a second time.
# Delete this list as well to get all of them back at the next start.
"""


def place_example_inputs(folder: Path, stored: Path = STORED) -> list[str]:
    """Copy the example inputs that ``folder`` was never given; returns the names of those written.

    Nothing is overwritten: a file of the same name stays as it is. What was placed once is listed in
    :data:`LIST`, so that examples which somebody deletes do not come back. A folder that cannot be written is one
    line in the log and no error.
    """
    placed = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        note = folder / LIST
        listed = note.read_text("utf-8", errors="replace").splitlines() if note.is_file() else []
        new = [path for path in sorted(stored.iterdir()) if path.name not in listed]
        for path in new:
            if _copy(path, folder / path.name):
                placed.append(path.name)
        if new:
            kept = [line for line in listed if line and not line.startswith("#")]
            note.write_text(HEADER + "\n".join([*kept, *(path.name for path in new)]) + "\n", "utf-8")
    except OSError as error:
        logger.warning(
            "Betwixt: the example inputs of the workflows could not be put into %s (%s); load pictures of your own, "
            "or copy them from %s.",
            folder,
            error.strerror or error,
            stored,
        )
    else:
        if placed:
            logger.info("Betwixt: put %d example inputs into %s", len(placed), folder)
    return placed


def _copy(source: Path, target: Path) -> bool:
    """Copy unless there is anything of that name; a copy that fails half-way is taken away again."""
    try:
        out = open(target, "xb")
    except FileExistsError:
        return False
    try:
        with out:
            out.write(source.read_bytes())
    except OSError:
        target.unlink(missing_ok=True)
        raise
    return True
