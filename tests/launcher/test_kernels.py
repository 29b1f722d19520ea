"""What the set-up has compiled is what the nodes call."""

import subprocess
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
