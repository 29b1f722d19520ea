import gc
import os
import subprocess
import sys
import threading
from types import ModuleType

import numpy as np
import pytest
from betwixt.common import compiled_kernels
from betwixt.fcvg_core.lines.lsd import kernels as lsd_kernels

from support.bootstrap import ROOT

SCRIPT = """
import sys, types, numpy
name = sys.argv[1]
package = types.ModuleType(name)
package.__path__ = [sys.argv[2]]
sys.modules[name] = package
import importlib
kernels = importlib.import_module(name + ".common.compiled_kernels")
assert kernels.numba_available()
splat = importlib.import_module(name + ".fcvg_core.inbetween.rendering.splatting")
places = numpy.stack(numpy.meshgrid(numpy.arange(6), numpy.arange(4)), axis=-1).astype(numpy.float32)
out, top = splat.Splatter(numpy.zeros((4, 6), int))(places + 0.25, places)
print(top.sum(), out.sum())
"""


def start(name, cache):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache), "OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", SCRIPT, name, str(ROOT)], env=environment, cwd=ROOT.anchor, **pipes)


def finished(process):
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return out


def test_the_cache_is_shared_under_any_name_by_processes_that_compile_at_once(tmp_path):
    """ComfyUI names the package after its path: kernels compiled in one place must load in another."""
    at_once = [start(name, tmp_path) for name in ("first_name", "second_name")]
    found = [finished(process) for process in at_once]
    files = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.nbc")}
    found.append(finished(start("third_name", tmp_path)))
    assert len(set(found)) == 1 and files
    assert {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.nbc")} == files  # the third compiled nothing


def test_a_cache_folder_that_cannot_be_written_is_done_without(tmp_path):
    (tmp_path / "file").write_text("no folder")
    assert finished(start("some_name", tmp_path / "file"))


DAMAGED = """
import resource, sys
from pathlib import Path
import betwixt
from betwixt.common.compiled_kernels import numba_available
cache, what = Path(sys.argv[1]), sys.argv[2]
if what == "full":
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
print(numba_available())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a limit to the size of files stands for the full disk")
def test_a_cache_on_a_full_or_damaged_disk_is_done_without(tmp_path):
    def available(what: str) -> str:
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
        command = [sys.executable, "-c", DAMAGED, str(tmp_path), what]
        done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0 and not done.stderr, done.stderr
        return done.stdout.strip()

    assert available("full") == "True" and not [file for file in tmp_path.rglob("*.nb?") if file.stat().st_size > 100]
    assert available("good") == "True" and (files := list(tmp_path.rglob("*.nbi")))
    for file in files:
        file.write_bytes(b"no index")
    assert available("damaged") == "True"


def test_a_numba_that_cannot_compile_is_told_once_and_left_alone(monkeypatch, caplog):
    def njit(**_):
        raise SystemError("CPUDispatcher() returned a result with an exception set\nand more")

    broken = ModuleType("numba")
    broken.njit, broken.__version__ = njit, "0.1"
    monkeypatch.setitem(sys.modules, "numba", broken)
    compiled_kernels._compiles.cache_clear()
    try:
        assert not compiled_kernels.numba_available() and not compiled_kernels.numba_available()
    finally:
        compiled_kernels._compiles.cache_clear()
    (record,) = caplog.records
    assert "numba 0.1 cannot compile (SystemError: CPUDispatcher() returned" in record.getMessage()
    assert "\n" not in record.getMessage()


def test_only_kernels_are_called_from_outside():
    assert set(vars(compiled_kernels.compiled(lsd_kernels))) == set(lsd_kernels.KERNELS)


@pytest.mark.parametrize("available", [True, False])
def test_compiling_ahead_happens_once_and_never_raises(monkeypatch, available):
    monkeypatch.setattr(compiled_kernels, "numba_available", lambda: available)
    monkeypatch.setattr(compiled_kernels, "_begun", set())
    done = threading.Semaphore(0)
    calls = []

    def first_use():
        calls.append(threading.current_thread())
        done.release()
        raise ValueError

    for _ in range(2):
        compiled_kernels.compile_ahead(first_use)
    if available:
        assert done.acquire(timeout=10)
        calls[0].join(10)
        assert threading.current_thread() is not calls[0]
    assert len(calls) == available


def test_the_probe_counts():
    values = np.zeros(3)
    compiled_kernels._increase(values, 2.0)
    assert values.tolist() == [2.0] * 3


def test_garbage_is_collected_again_after_compiling_even_where_that_fails():
    with pytest.raises(ValueError), compiled_kernels._uncollected():
        assert not gc.isenabled()
        raise ValueError
    assert gc.isenabled()
