"""Screened Poisson: sides of slow lengths are mirrored to fast ones without changing the solution."""

import numpy as np
import pytest
import scipy.fft
from betwixt.rerender_core.ebsynth.blending import screened_poisson
from betwixt.rerender_core.ebsynth.blending.screened_poisson import (
    GRADIENT_WEIGHTS,
    fast_length,
    solve_by_cosine,
    solve_by_lsqr,
)


def problem(height, width):
    random = np.random.default_rng(0)
    values, down, across = 100 * random.normal(size=(3, height, width))
    down[-1], across[:, -1] = 0, 0
    return values, down, across


def test_only_slow_lengths_are_extended():
    for length in (1, 2, 512, 540, 961, 1023, 1024, 1920):
        assert fast_length(length, 2.5) == length
    for length in (37, 1021, 1073):
        for weight in GRADIENT_WEIGHTS:
            fast = fast_length(length, weight)
            assert fast > length and scipy.fft.next_fast_len(fast, real=True) == fast
    assert fast_length(1021, 0.5) <= 1080 and fast_length(1021, 2.5) <= 1125


@pytest.mark.parametrize("size", [(37, 64), (101, 41), (64, 211), (2, 37)])
@pytest.mark.parametrize("weight", [0.5, 2.5])
def test_mirrored_rows_do_not_change_the_solution(size, weight, monkeypatch):
    values, down, across = problem(*size)
    extended = solve_by_cosine(values, down, across, weight)
    monkeypatch.setattr(screened_poisson, "fast_length", lambda length, weight: length)
    plain = solve_by_cosine(values, down, across, weight)
    assert extended.shape == size
    np.testing.assert_allclose(extended, plain, rtol=0, atol=1e-10)


@pytest.mark.parametrize("size", [(24, 37), (1, 16), (16, 1)])
def test_the_iteration_solves_the_same_problem(size):
    values, down, across = problem(*size)
    closed, iterated = (solve(values, down, across, 2.5) for solve in (solve_by_cosine, solve_by_lsqr))
    assert np.abs(closed - iterated).max() < 0.05
