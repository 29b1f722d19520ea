"""Memory that loading a ToonCrafter file takes, against its size.

``python -m benchmarks.tooncrafter_loading``. The files are the narrow ones of the tests in the published layouts; each
is loaded in a process of its own, so that nothing is left from the one before. Relative to its size a file of full
width takes the same. Mapped pages are the file itself and can be dropped by the system.
"""

import json
import tempfile
from pathlib import Path

from benchmarks.common import Report, alone, options
from benchmarks.memory import MEBIBYTE, PeakMemory


def load(path: str, weight_dtype: str) -> dict:
    """Load ``path`` with the UNet in a precision; peak memory in MiB and what the file was recognised as."""
    from betwixt.nodes.host.tooncrafter.files import load_checkpoint

    with PeakMemory() as memory:
        loaded = load_checkpoint(path, weight_dtype)
    return {"all": memory.mebibytes, "unmapped": memory.unmapped, "variant": loaded.variant.name}


def main(report: Report) -> None:
    import torch
    from safetensors.torch import save_file

    from support.models import tooncrafter_stand_ins as stand_ins

    weights = stand_ins.tooncrafter()
    columns = ["file", "UNet kept in", "MiB", "peak without mapped pages, x the file", "with them, x the file"]
    title = "Loading a file in the published layout: peak memory against the size of the file"
    with tempfile.TemporaryDirectory() as folder, report.table("loading", title, columns) as table:
        pickled, half = Path(folder) / "model.ckpt", Path(folder) / "tooncrafter_512_interp-fp16.safetensors"
        torch.save({"epoch": 1, "state_dict": weights}, pickled)
        save_file({key: value.half() for key, value in weights.items()}, half)
        for path, weight_dtype in ((pickled, "fp32"), (pickled, "fp16"), (half, "fp16")):
            size = path.stat().st_size / MEBIBYTE
            peak = alone("tooncrafter_loading", {"path": str(path), "weight_dtype": weight_dtype})
            table.add(path.name, weight_dtype, size, peak["unmapped"] / size, peak["all"] / size)


if __name__ == "__main__":
    given = options(__doc__, repeats=1).parse_args()
    if given.job:
        print(json.dumps(load(**json.loads(given.job))))
    else:
        main(Report("tooncrafter_loading", given))
