"""What a set-up runs in its environment, and ``install.py`` in ComfyUI's: have numba compile all kernels, which it
keeps."""

import time
from pathlib import Path

from ..common.compiled_kernels import compiled, numba_available
from ..fcvg_core.inbetween.rendering import splat_kernels
from ..fcvg_core.inbetween.rendering.splatting import compile_splatter
from ..fcvg_core.lines.lsd import kernels as lsd_kernels
from ..fcvg_core.lines.lsd.detector import compile_detector
from ..rerender_core.ebsynth.synthesis.engines import numba_kernels
from ..rerender_core.ebsynth.synthesis.solver import compile_numba_engine


def compile_kernels() -> bool:
    """What is kept already is not compiled again. Returns whether numba is there and works."""
    if not numba_available():
        return False
    for work in (compile_detector, compile_numba_engine, compile_splatter):
        work()
    return True


def _kept() -> bool:
    """Whether later processes find what was compiled: numba needs a folder that it may write to."""
    modules = [vars(compiled(module)) for module in (lsd_kernels, numba_kernels, splat_kernels)]
    folders = {kernel.stats.cache_path for kernels in modules for kernel in kernels.values()}
    return all(folder and any(Path(folder).glob("*.nbi")) for folder in folders)


def compile_and_tell() -> None:
    """:func:`compile_kernels`, and one line that says what came of it."""
    began = time.monotonic()
    try:
        import numba  # noqa: F401
    except ImportError as error:  # not there, or it refuses the NumPy that is
        print(f"no kernels compiled ({error}); EbSynth and exact lines are slower without numba.")
        return
    if not compile_kernels():
        print("no kernels compiled (numba does not work here); EbSynth and exact lines are slower without it.")
    elif not _kept():
        print(
            "kernels cannot be kept (numba finds no folder to write to); each start of ComfyUI compiles those it needs."
        )
    else:
        print(f"kernels are compiled and kept ({time.monotonic() - began:.0f} s).")
