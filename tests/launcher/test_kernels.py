"""What the set-up has compiled is what the nodes call."""

import os
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from betwixt.common import compiled_kernels
from betwixt.fcvg_core.inbetween.rendering import splat_kernels
from betwixt.fcvg_core.inbetween.rendering.splatting import Splatter
from betwixt.fcvg_core.lines.lsd import kernels as lsd_kernels
from betwixt.fcvg_core.lines.lsd.detector import lsd
from betwixt.launcher import kernels
from betwixt.launcher.environment import COMPILE, Environment
from betwixt.launcher.folders import PACK
from betwixt.rerender_core.ebsynth.synthesis.engines import numba_kernels
from betwixt.rerender_core.ebsynth.synthesis.problem import SynthesisOptions, SynthesisProblem
from betwixt.rerender_core.ebsynth.synthesis.solver import synthesise


def signatures() -> dict[str, int]:
    """Kernel -> for how many kinds of arguments it was compiled in this process."""
    twins = (compiled_kernels.compiled(module) for module in (lsd_kernels, numba_kernels, splat_kernels))
    return {name: len(kernel.signatures) for twin in twins for name, kernel in vars(twin).items()}


def test_real_work_compiles_nothing_more():
    pytest.importorskip("numba", reason="numba is optional: without it there is nothing to compile")
    assert kernels.compile_kernels()
    before = signatures()
    assert all(count for name, count in before.items() if name != "log_false_alarms")  # which tests alone call
    random = np.random.default_rng(0)
    assert len(lsd(np.kron(random.integers(0, 2, (6, 8), np.uint8) * 200, np.ones((9, 9), np.uint8)), 0.7, "numba"))
    style, other = torch.from_numpy(random.integers(0, 256, (2, 1, 40, 50, 3), np.uint8))
    synthesise(
        SynthesisProblem(style, style, other, torch.ones(3), modulation=torch.full_like(other, 90)),
        SynthesisOptions(uniformity=0, patch=7, vote_iterations=1, match_iterations=2, stop_threshold=3),
        "numba",
    )
    Splatter(np.arange(30).reshape(5, 6) // 7)(np.zeros((5, 6, 2), np.float32), np.ones((5, 6, 4), np.float32))
    assert signatures() == before


def test_nothing_is_compiled_without_numba(monkeypatch):
    monkeypatch.setattr(kernels, "numba_available", lambda: False)
    monkeypatch.setattr(kernels, "compile_detector", lambda: pytest.fail("compiled"))
    assert not kernels.compile_kernels()


@pytest.mark.parametrize("fails", [False, True])
def test_a_set_up_goes_on_where_kernels_do_not_compile(monkeypatch, capsys, tmp_path, fails):
    def run(command, **given):
        assert command[1:] == ["-c", COMPILE] and given["cwd"] == PACK
        return SimpleNamespace(returncode=int(fails))

    monkeypatch.setattr(subprocess, "run", run)
    Environment(tmp_path, cuda=False).compile_kernels()
    said = capsys.readouterr().out
    assert said.startswith("- Compile kernels") and ("when they are first used" in said) == fails


def install(folder, cwd, **environment) -> str:
    """What ``python install.py`` says, run from another folder; it must not fail."""
    command = [sys.executable, str(folder / "install.py")]
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and done.stderr == ""
    (line,) = done.stdout.splitlines()
    return line


def test_an_installation_goes_on_without_numba(tmp_path):
    (tmp_path / "numba.py").write_text("raise ImportError('Numba needs NumPy 1.25 or less')")
    said = install(PACK, tmp_path, PYTHONPATH=str(tmp_path))
    assert said.startswith("Betwixt: no kernels compiled (Numba needs NumPy 1.25 or less);")


def test_an_installation_goes_on_where_compiling_crashes(tmp_path):
    shutil.copy(PACK / "install.py", tmp_path)
    (tmp_path / "betwixt.py").write_text("import os; os.abort()")
    said = install(tmp_path, PACK)
    assert said.startswith("Betwixt: no kernels compiled (") and "first used" in said


@pytest.mark.parametrize(
    ("works", "folder", "said"),
    [(False, "", "numba does not work here"), (True, None, "cannot be kept"), (True, "empty", "cannot be kept")],
)
def test_an_installation_says_why_compiling_brought_nothing(monkeypatch, capsys, tmp_path, works, folder, said):
    pytest.importorskip("numba", reason="numba is optional: without it there is nothing to compile")
    cache = None if folder is None else str(tmp_path / folder)
    kernel = SimpleNamespace(stats=SimpleNamespace(cache_path=cache))
    monkeypatch.setattr(kernels, "compile_kernels", lambda: works)
    monkeypatch.setattr(kernels, "compiled", lambda module: SimpleNamespace(kernel=kernel))
    kernels.compile_and_tell()
    assert said in capsys.readouterr().out


@pytest.mark.long  # compiles everything anew
def test_an_installation_compiles_all_kernels(tmp_path):
    pytest.importorskip("numba", reason="numba is optional: without it there is nothing to compile")
    assert "compiled and kept" in install(PACK, tmp_path, NUMBA_CACHE_DIR=str(tmp_path))
    assert len({path.name for path in tmp_path.rglob("*.nbi")}) >= 3
