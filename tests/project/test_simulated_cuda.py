"""Networks, samplers, stores and engines on a CUDA card that is not there: no refusals, few waits and copies."""

import os
import subprocess
import sys

import pytest
import torch

from support.bootstrap import ROOT


def simulated(selection: str) -> None:
    """Runs tests/simulated in a process whose PyTorch believes in the card."""
    command = [sys.executable, "-m", "pytest", "-p", "support.simulated_cuda", "tests/simulated", "-q", "-m", selection]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]


needs_no_card = pytest.mark.skipif(
    not sys.platform.startswith("linux") or torch.version.cuda is not None,
    reason="simulated in PyTorch's CPU build for Linux: others have a guard of their own for CUDA",
)


@needs_no_card
@pytest.mark.usefixtures("host")
def test_on_a_simulated_card():
    simulated("not long")


@pytest.mark.long
@needs_no_card
@pytest.mark.usefixtures("host")
def test_more_on_a_simulated_card():
    simulated("long")


@needs_no_card
def test_the_simulated_card_refuses_and_counts():
    """In a process of its own: what each kind of mistake gives."""
    script = """
import torch
from support.card_tensors import Card, counted, own, waits
from support.simulated_cuda import install
install()
card = torch.device("cuda:0")
values = torch.arange(6.0, device=card)
def refused(work):
    try:
        work()
    except RuntimeError as error:
        assert "simulated" in str(error), error
        return True
assert refused(lambda: values + torch.ones(6))
assert refused(lambda: torch.cat([values, torch.ones(6)]))
assert refused(lambda: torch.randn(3, device=card, generator=torch.Generator()))
assert refused(lambda: torch.ones(6)[values.long()])
assert refused(lambda: values.long().view(2, 3) @ values.long().view(3, 2))
assert (values + torch.ones(())).device == card  # a single value may stay on the processor
def happened(work):
    with counted() as found:
        work()
    return sorted(kind for kind, _ in found.elements())
assert happened(lambda: values * 2) == []
assert happened(lambda: values.cpu()) == ["from card, wait"]
assert happened(lambda: torch.ones(3).to(card)) == ["to card, wait"]
assert happened(lambda: torch.ones(3).pin_memory().to(card, non_blocking=True)) == ["to card"]
assert happened(lambda: float(values.sum())) == ["wait: _local_scalar_dense"]
assert happened(lambda: values[values > 2]) == ["wait: index by a mask"]
assert happened(lambda: values.nonzero()) == ["wait: nonzero"]
assert happened(lambda: values[torch.tensor([0, 1])]) == ["to card, wait: indices"]
pinned, stream = torch.ones(3).pin_memory(), torch.cuda.Stream()
with torch.cuda.stream(stream):
    moved = pinned.to(card, non_blocking=True)
assert not Card.races
moved + 1
assert [key.split(",")[0] for key in Card.races] == ["read while another stream may still write"]
Card.races.clear()
torch.cuda.current_stream().wait_stream(stream)
moved + 1
assert not Card.races
del moved
assert list(Card.races) == ["freed while another stream may be at it, which 'record_stream' would prevent"]
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
