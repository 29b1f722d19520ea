"""Planes and fields of motion layers at a larger size."""

import numpy as np
import pytest
from betwixt.fcvg_core.inbetween.rendering.enlarging import Enlarging


@pytest.mark.parametrize("size", [(40, 60), (47, 71)])
def test_every_pixel_moves_as_the_layer_that_it_belongs_to(size):
    y, x = np.mgrid[:20, :30]
    numbers = (np.hypot(y - 9, x - 14) < 6).astype(int) * 5
    field = np.where(numbers[..., None] > 0, (8.0, -3.0), (-1.0, 0.5)).astype(np.float32)
    enlarging = Enlarging(numbers, size)
    inside = enlarging.numbers == 5
    assert set(np.unique(enlarging.numbers)) == {0, 5}
    assert inside.mean() == pytest.approx((numbers == 5).mean(), rel=0.03)
    moved = enlarging(field)
    np.testing.assert_array_equal(moved[inside], np.broadcast_to(np.float32((8, -3)), (inside.sum(), 2)))
    np.testing.assert_array_equal(moved[~inside], np.broadcast_to(np.float32((-1, 0.5)), ((~inside).sum(), 2)))
    trust = enlarging(np.where(numbers > 0, np.float32(0.7), np.float32(0.05)))
    assert set(np.unique(trust[inside])) == {np.float32(0.7)} and set(np.unique(trust[~inside])) == {np.float32(0.05)}


def test_within_a_layer_small_changes_are_smooth_and_jumps_stay_sharp():
    numbers = np.zeros((8, 8), int)
    x = np.broadcast_to(np.arange(8, dtype=np.float32), (8, 8))
    smooth = Enlarging(numbers, (16, 16))(np.stack([0.5 * x, x * 0], axis=-1))
    np.testing.assert_allclose(np.diff(smooth[0, 1:-1, 0]), 0.25, atol=1e-6)
    sharp = Enlarging(numbers, (16, 16))(np.stack([(x > 3) * np.float32(9), x * 0], axis=-1))
    assert set(np.unique(sharp)) == {0, 9}
