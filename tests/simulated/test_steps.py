"""Launches, waits and copies of one step more, as ``python -m benchmarks.counted`` stores them."""

import importlib

import pytest

# Job -> launches in all and of the pack's own lines, waits and copies of the pack, at most.
MOST = {
    "FCVG, a step from both ends": (4800, 60, 1, 0),
    "ToonCrafter, a step": (1800, 540, 0, 0),
    "Rerender, an evaluation of the model": (940, 22, 0, 0),
    "EbSynth's torch engine, a frame of 64x48": (2300, 2300, 10, 10),
}
FIGURES = ("launches", "launches of the pack's lines", "waits the pack asks for", "copies the pack asks for")


@pytest.fixture
def steps(card):
    return importlib.import_module("support.simulated_steps")


@pytest.mark.long
@pytest.mark.parametrize("job", MOST)
def test_a_step_asks_for_no_more(steps, job):
    found = steps.per_step(job)
    assert all(found[figure] <= most for figure, most in zip(FIGURES, MOST[job], strict=True)), found


def test_every_job_is_here(steps):
    assert set(MOST) == set(steps.JOBS)
