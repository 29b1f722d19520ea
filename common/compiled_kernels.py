"""Plain Python kernels, compiled by numba where it is installed.

A kernel module is ordinary Python that stays within what numba compiles: scalars, tuples, flat arrays, ``math`` and
calls to its own functions. Run as it is, it is the fallback; its compiled twin is the same source and gives the same
bits, because nothing here relaxes the arithmetic. Where a module names those of its functions that are called from
outside as ``KERNELS``, the others are compiled into them alone, and in place of every call where it says ``INLINE``.
"""

import gc
import logging
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from threading import RLock, Thread
from types import FunctionType, ModuleType, SimpleNamespace

logger = logging.getLogger(__name__)
# No kernel divides by zero; code that looks for it takes time to compile.
OPTIONS = {"nogil": True, "error_model": "numpy"}
# Two threads must not compile the same: work may arrive while compile_ahead() is at it.
_building = RLock()


def numba_available() -> bool:
    """Whether numba is installed, works with the installed numpy (it refuses to be imported otherwise) and compiles.

    The log tells once if it is there and fails.
    """
    with _uncollected():
        try:
            import numba
        except ImportError:
            return False
        with _building:
            return _compiles(numba)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without garbage collection: compiling makes millions of objects, and each collection visits all of the host's."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@cache
def _compiles(numba: ModuleType) -> bool:
    import numpy as np

    values = np.zeros(2)
    try:
        _jit(numba, FunctionType(_increase.__code__, {"__name__": "builtins", "len": len, "range": range}))(values, 1.0)
    except Exception as error:  # versions of numba, llvmlite and numpy that do not fit fail in many ways
        reason = str(error).strip().split("\n")[0]
        logger.warning(
            "Betwixt: numba %s cannot compile (%s: %s), slower code is used. Install a numba that fits numpy %s.",
            getattr(numba, "__version__", ""), type(error).__name__, reason, np.__version__,
        )  # fmt: skip
        return False
    return bool((values == 1.0).all())


def _increase(values, by):
    for i in range(len(values)):
        values[i] += by


def compiled(module: ModuleType) -> SimpleNamespace:
    """The kernels of a module as numba functions under the same names.

    They are compiled on their first call and kept in numba's cache on disk, next to the module or in the user's
    cache folder; where neither can be written they are compiled once per process. They release the GIL.

    Raises:
        ImportError: numba is not installed or does not work with the installed numpy.
    """
    with _building:
        return _twins(module)


@cache
def _twins(module: ModuleType) -> SimpleNamespace:
    import numba

    functions = [f for f in vars(module).values() if isinstance(f, FunctionType) and f.__module__ == module.__name__]
    # The cache imports the module a kernel was compiled in by name, but this package has another name wherever it lies.
    scope = {**vars(module), "__name__": "builtins"}
    kernels = getattr(module, "KERNELS", tuple(function.__name__ for function in functions))
    for function in functions:
        # A copy that looks its callees up among the compiled ones; the module itself stays plain Python.
        twin = FunctionType(function.__code__, scope, function.__name__, function.__defaults__)
        inner = partial(_inner, inline=getattr(module, "INLINE", False))
        scope[function.__name__] = (_jit if function.__name__ in kernels else inner)(numba, twin)
    return SimpleNamespace(**{name: scope[name] for name in kernels})


def _jit(numba: ModuleType, function: FunctionType):
    try:
        dispatcher = numba.njit(**OPTIONS, cache=True)(function)
    except RuntimeError as error:  # "cannot cache function: no locator available"
        logger.debug("%s is compiled without a cache: %s", function.__name__, error)
        return numba.njit(**OPTIONS)(function)
    dispatcher.compile = _uncollected()(dispatcher.compile)
    cache = getattr(dispatcher, "_cache", None)
    for name in ("load_overload", "save_overload"):
        if hasattr(cache, name):
            setattr(cache, name, _forgiving(getattr(cache, name)))
    return dispatcher


def _forgiving(access: Callable) -> Callable:
    """A cache's method for a disk that is full or damaged, or rights that have changed: as if nothing were kept."""

    def work(*arguments):
        try:
            return access(*arguments)
        except (OSError, EOFError, ValueError, pickle.UnpicklingError) as error:
            logger.debug("A compiled kernel could not be read or kept: %s", error)
            return None

    return work


def _inner(numba: ModuleType, function: FunctionType, inline: bool):
    """Without the wrappers that Python needs and a file of its own, which are a quarter of the time to compile."""
    return numba.njit(**OPTIONS, no_cpython_wrapper=True, no_cfunc_wrapper=True, forceinline=inline)(function)


_begun: set[Callable] = set()


def compile_ahead(first_use: Callable[[], object]) -> None:
    """Run something that has kernels compiled, once per process, in a thread beside other work.

    Whoever needs a kernel before it is ready waits for it; what fails here fails there again, where it is told.
    """

    def work() -> None:
        try:
            if numba_available():
                first_use()
        except Exception:
            logger.debug("Compiling ahead failed", exc_info=True)

    if first_use not in _begun:
        _begun.add(first_use)
        Thread(target=work, name="betwixt-compile", daemon=True).start()
