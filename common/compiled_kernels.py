"""Plain Python kernels, compiled by numba where it is installed.

A kernel module is ordinary Python that stays within what numba compiles: scalars, tuples, flat arrays, ``math`` and
calls to its own functions. Run as it is, it is the fallback; its compiled twin is the same source and gives the same
bits, because nothing here relaxes the arithmetic.
"""

import logging
from functools import cache
from types import FunctionType, ModuleType, SimpleNamespace

logger = logging.getLogger(__name__)


def numba_available() -> bool:
    """Whether numba is installed and works with the installed numpy (it refuses to be imported otherwise)."""
    try:
        import numba  # noqa: F401
    except ImportError:
        return False
    return True


@cache
def compiled(module: ModuleType) -> SimpleNamespace:
    """The functions of a kernel module as numba functions under the same names.

    They are compiled on their first call and kept in numba's cache on disk, next to the module or in the user's
    cache folder; where neither can be written they are compiled once per process. They release the GIL.

    Raises:
        ImportError: numba is not installed or does not work with the installed numpy.
    """
    import numba

    functions = [f for f in vars(module).values() if isinstance(f, FunctionType) and f.__module__ == module.__name__]
    # The cache imports the module a kernel was compiled in by name, but this package has another name wherever it lies.
    scope = {**vars(module), "__name__": "builtins"}
    for function in functions:
        # A copy that looks its callees up among the compiled ones; the module itself stays plain Python.
        twin = FunctionType(function.__code__, scope, function.__name__, function.__defaults__)
        scope[function.__name__] = _jit(numba, twin)
    return SimpleNamespace(**{function.__name__: scope[function.__name__] for function in functions})


def _jit(numba: ModuleType, function: FunctionType):
    try:
        return numba.njit(nogil=True, cache=True)(function)
    except RuntimeError as error:  # "cannot cache function: no locator available"
        logger.debug("%s is compiled without a cache: %s", function.__name__, error)
        return numba.njit(nogil=True)(function)
