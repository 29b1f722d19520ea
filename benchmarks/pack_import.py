"""What the pack adds to the start of ComfyUI.

``python -m benchmarks.pack_import``: ComfyUI's own loader loads the pack after ComfyUI's own nodes. "First" is the
start after an installation, when Python compiles every file; "later" starts find the compiled files.
"""

import asyncio
import logging
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.common import Clock, Report, Spread, options
from betwixt import __file__ as pack_file

PACK = str(Path(pack_file).parent)


def load_once() -> tuple[Clock, int]:
    """Load the pack as if for the first time; returns the time taken and the number of its modules."""
    import nodes

    of_pack = PACK.replace(".", "_x_")  # how ComfyUI names the package
    for name in [name for name in sys.modules if f"{name}.".startswith(f"{of_pack}.")]:
        del sys.modules[name]
    known = set(sys.modules)
    with Clock() as clock:
        success = asyncio.run(nodes.load_custom_node(PACK))
    if not success or "BetwixtMatchLines" not in nodes.NODE_CLASS_MAPPINGS:
        raise RuntimeError("ComfyUI could not load the pack")
    return clock, len(set(sys.modules) - known)


def main(given) -> None:
    import folder_paths

    import nodes

    report = Report("pack_import", given)
    asyncio.run(nodes.init_builtin_extra_nodes())
    logging.disable(logging.INFO)
    columns = ["start", "modules", "seconds", "processor seconds"]
    with report.table("start", "Loading the pack in ComfyUI", columns) as table, TemporaryDirectory() as base:
        folder_paths.set_input_directory(base)
        sys.dont_write_bytecode = False
        for start in ("first", "later"):
            clocks = []
            for turn in range(given.repeats):
                sys.pycache_prefix = f"{base}/{turn if start == 'first' else 0}"
                clock, modules = load_once()
                clocks.append(clock)
            wall, processor = (Spread.of([getattr(clock, name) for clock in clocks]) for name in ("wall", "processor"))
            table.add(start, modules, wall, processor)


if __name__ == "__main__":
    main(options(__doc__).parse_args())
