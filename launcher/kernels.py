"""What the set-up runs in the environment it made: have numba compile all kernels, which it keeps."""

from ..common.compiled_kernels import numba_available
from ..fcvg_core.inbetween.rendering.splatting import compile_splatter
from ..fcvg_core.lines.lsd.detector import compile_detector
from ..rerender_core.ebsynth.synthesis.solver import compile_numba_engine


def compile_kernels() -> bool:
    """What is kept already is not compiled again. Returns whether numba is there and works."""
    if not numba_available():
        return False
    for work in (compile_detector, compile_numba_engine, compile_splatter):
        work()
    return True
