"""The fused engine against the definitions. Needs Triton, which runs in its interpreter where there is no CUDA card."""

import importlib.util
import re
import subprocess
import sys

import pytest
import torch
from betwixt.rerender_core.ebsynth.synthesis.occupancy import covered
from betwixt.rerender_core.ebsynth.synthesis.patch_error import patch_error
from betwixt.rerender_core.ebsynth.synthesis.search_level import Level, Search, usable_centres
from betwixt.rerender_core.ebsynth.synthesis.voting import vote

from support.bootstrap import ROOT
from support.truth.synthesis_energy import match_count

CUDA = torch.cuda.is_available()
DEVICE = "cuda" if CUDA else "cpu"
B, SOURCE, TARGET, CHANNELS, PATCH = 2, (19, 23), (17, 21), 13, 5


COMPILE = """
import pathlib, sys
import betwixt
from betwixt.rerender_core.ebsynth.synthesis.engines import triton_kernels
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

FLOATS, BYTES = ("weights", "error", "cost", "unit_cost"), ("active", "usable", "image")
SIZES = {"WORDS": 4, "PATCH": 5, "BLOCK": 128, "CHANNELS": 3}
WORDS = ("source", "target", "factors", "match", "centre", "new_match", "count")
KINDS = {**dict.fromkeys(FLOATS, "*fp32"), **dict.fromkeys(BYTES, "*u8"), **dict.fromkeys(WORDS, "*i32")}

def compiled(kernel, capability, **chosen):
    constants = {name: value for name, value in {**SIZES, **chosen}.items() if name in kernel.arg_names}
    kinds = {name: "constexpr" if name in constants else KINDS.get(name, "i32") for name in kernel.arg_names}
    source = ASTSource(fn=kernel, signature=kinds, constexprs=constants)
    return triton.compile(source, target=GPUTarget("cuda", capability, 32)).asm["cubin"]

for capability in (80, 90):
    jobs = {str(mode): (triton_kernels.search, {"MODE": mode, "MODULATED": True, "SOME": True}) for mode in range(3)}
    jobs |= {"occupancy": (triton_kernels.occupancy_cost, {}), "vote": (triton_kernels.vote, {})}
    for name, (kernel, chosen) in jobs.items():
        pathlib.Path(sys.argv[1], f"{name}_{capability}.cubin").write_bytes(compiled(kernel, capability, **chosen))
"""


def test_kernels_compile_for_cards_and_keep_everything_in_registers(tmp_path):
    """Without a card too: Triton brings the assembler along, and the tool that says what a kernel takes."""
    found = importlib.util.find_spec("triton")
    tool = None if found is None else next(ROOT.__class__(found.origin).parent.glob("**/nvidia/bin/cuobjdump"), None)
    if tool is None:
        pytest.skip("Triton comes with PyTorch's CUDA builds for Linux")
    done = subprocess.run([sys.executable, "-c", COMPILE, str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    kernels = sorted(tmp_path.glob("*.cubin"))
    assert len(kernels) == 10
    for kernel in kernels:
        used = subprocess.run([tool, "--dump-resource-usage", kernel], capture_output=True, text=True, check=True)
        registers, stack, local = (int(re.search(rf"{key}:(\d+)", used.stdout)[1]) for key in ("REG", "STACK", "LOCAL"))
        assert registers <= 80 and stack <= 8 and local == 0, (kernel.name, used.stdout)  # 6 blocks of 128 at a time


@pytest.fixture(scope="module")
def engine():
    with pytest.MonkeyPatch.context() as patch:
        if not CUDA:
            patch.setenv("TRITON_INTERPRET", "1")
        pytest.importorskip("triton", reason="Triton comes with PyTorch's CUDA builds for Linux")
        from betwixt.rerender_core.ebsynth.synthesis.engines import triton_engine

        patch.setattr(triton_engine, "BLOCK", 128 if CUDA else 1024)
        yield triton_engine


@pytest.mark.parametrize("modulated", [False, True])
def test_kernels_compute_what_is_defined(engine, modulated):
    generator = torch.Generator().manual_seed(0)

    def picture(size, channels):
        return torch.randint(0, 256, (B, *size, channels), dtype=torch.uint8, generator=generator).to(DEVICE)

    usable = (torch.rand(B, *SOURCE, generator=generator) > 0.2).to(DEVICE)
    level = Level(
        picture(SOURCE, CHANNELS),
        picture(TARGET, CHANNELS - 3),
        torch.rand(CHANNELS, generator=generator),
        3,
        picture(TARGET, CHANNELS - 3) if modulated else None,
        usable,
    )
    centres = usable_centres(level, PATCH)
    fields = []
    for allowed in centres.cpu():
        places = torch.nonzero(allowed).flip(-1)
        fields.append(places[torch.randint(len(places), TARGET, generator=generator)])
    nnf = torch.stack(fields).int().to(DEVICE)
    nnf[:, :3, :4] = -1

    state = engine._Matching(level, nnf, Search(PATCH, 3500.0, 2, 2, "plain", 0, 0))
    image = state.vote("plain")
    assert torch.equal(image, vote(level.style, nnf, PATCH))

    target = torch.cat([image, level.target], dim=-1).contiguous()
    factors = None if not modulated else torch.cat([torch.full_like(image, 255), level.modulation], dim=-1)

    def errors(matches):
        weights = level.weights.to(DEVICE)
        return patch_error(level.source.contiguous(), target, weights, matches, PATCH, factors)

    state.begin_search(image)
    before = errors(nnf)
    torch.testing.assert_close(state.error.view(before.shape), before, rtol=1e-5, atol=0)
    count = match_count(nnf, SOURCE).float()
    cost = covered(covered(count, PATCH), PATCH) * state.unit_cost.view(-1, 1, 1)
    torch.testing.assert_close(state.cost.view(B, *SOURCE)[centres], cost[centres], rtol=1e-6, atol=0)
    assert torch.isinf(state.cost.view(B, *SOURCE)[~centres]).all()

    state.propagate(0, 1)
    state.propagate(-1, 0)
    state.random_search(None)
    found, matched = state.coordinates(), nnf[..., 0] >= 0
    torch.testing.assert_close(state.error.view(before.shape), errors(found), rtol=1e-5, atol=0)
    assert torch.equal(found[..., 0] >= 0, matched)
    b = torch.arange(B, device=DEVICE).view(-1, 1, 1).expand(matched.shape)
    assert centres[b[matched], found[..., 1][matched].long(), found[..., 0][matched].long()].all()
    assert torch.equal(state.count.view(B, *SOURCE), match_count(found, SOURCE).int())
    assert errors(found).mean() < 0.95 * before.mean()  # noise: no place fits well


@pytest.mark.long
def test_the_whole_engine_reaches_the_energy_of_the_reference(engine, monkeypatch):
    """In the interpreter it finds 3239, as on a card: the very same matches, or nearly."""
    from betwixt.rerender_core.ebsynth.synthesis import solver

    from support.golden import STORED, Case
    from tests.parity.ebsynth import statistics

    monkeypatch.setattr(engine, "BLOCK", 128 if CUDA else 16384)
    monkeypatch.setattr(solver, "_engine", lambda name, device: engine.solve)
    checks = statistics(Case(STORED / "ebsynth" / "stat_texture.safetensors"), DEVICE, ["triton"])
    assert checks and all(check.ok for check in checks)
    assert next(check.error for check in checks if check.name.startswith("total")) == pytest.approx(3239, abs=10)
