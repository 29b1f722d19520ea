"""Memory that loading a ToonCrafter file takes, against its size.

``python -m benchmarks.tooncrafter_loading``; ComfyUI's tree is taken from COMFYUI_PATH or the cache. The files are the
narrow ones of the tests in the published layouts; each is loaded in a process of its own, so that nothing is left from
the one before. Relative to its size a file of full width takes the same.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from support.bootstrap import ROOT

MEBIBYTE = 2**20


def load(path: str, weight_dtype: str) -> None:
    """Load ``path`` with the UNet in a precision and print the peak memory in MiB as JSON."""
    from betwixt.nodes.host.tooncrafter.files import load_checkpoint

    from benchmarks.peak_memory import PeakMemory

    with PeakMemory() as memory:
        loaded = load_checkpoint(path, weight_dtype)
    print(json.dumps({"all": memory.mebibytes, "unmapped": memory.unmapped, "variant": loaded.variant.name}))


def measured(path: Path, weight_dtype: str) -> dict:
    """What :func:`load` finds out in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.tooncrafter_loading", str(path), weight_dtype]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    import torch
    from safetensors.torch import save_file

    from support.models import tooncrafter_stand_ins as stand_ins

    weights = stand_ins.tooncrafter()
    with tempfile.TemporaryDirectory() as folder:
        pickled, half = Path(folder) / "model.ckpt", Path(folder) / "tooncrafter_512_interp-fp16.safetensors"
        torch.save({"epoch": 1, "state_dict": weights}, pickled)
        save_file({key: value.half() for key, value in weights.items()}, half)
        print("| file | UNet kept in | MiB | peak without mapped pages | peak with them |\n|---|---|---|---|---|")
        for path, weight_dtype in ((pickled, "fp32"), (pickled, "fp16"), (half, "fp16")):
            size, peak = path.stat().st_size / MEBIBYTE, measured(path, weight_dtype)
            shares = " | ".join(f"{peak[key]:.0f} MiB, {peak[key] / size:.2f} x" for key in ("unmapped", "all"))
            print(f"| {path.name} | {weight_dtype} | {size:.0f} | {shares} |")


if __name__ == "__main__":
    load(*sys.argv[1:]) if len(sys.argv) > 1 else main()
