"""Pictures completed with patches of what is known of them."""

import cv2
import numpy as np
import pytest
from betwixt.rerender_core.ebsynth.guides import filled
from betwixt.rerender_core.ebsynth.patch_filling import fill_with_patches


def stripes(height=60, width=90):
    x = np.arange(width) // 6 % 2
    picture = np.where(x[None, :, None] > 0, np.array([200, 60, 40]), np.array([30, 90, 180]))
    return np.repeat(picture, height, axis=0).astype(np.uint8)


def hole(shape, rows=slice(22, 38), columns=slice(30, 60)):
    missing = np.zeros(shape[:2], bool)
    missing[rows, columns] = True
    return missing


def test_a_pattern_goes_on_where_colours_alone_blur():
    truth = stripes()
    missing = hole(truth.shape)
    picture = np.where(missing[..., None], 0, truth).astype(np.uint8)
    made = fill_with_patches(picture, ~missing, missing)
    assert np.array_equal(made[~missing], picture[~missing])
    away = np.abs(made.astype(int) - truth)[missing].mean()
    assert away < 0.5 * np.abs(filled(picture, missing).astype(int) - truth)[missing].mean()
    assert away < 12


def test_nothing_unknown_gets_in():
    """Beside the hole lies something that belongs to another thing."""
    truth = stripes()
    other = hole(truth.shape, slice(0, 60), slice(60, 80))
    missing = hole(truth.shape, slice(0, 60), slice(40, 60))
    picture = truth.copy()
    picture[other] = (0, 255, 0)
    picture[missing] = (0, 255, 0)
    made = fill_with_patches(picture, ~(missing | other), missing)
    assert made[missing][:, 1].max() <= 100
    assert np.array_equal(made[other], picture[other])


@pytest.mark.parametrize("shape", [(8, 8), (1, 100), (100, 1), (40, 40)])
def test_too_little_for_patches_is_not_filled(shape):
    known = np.zeros(shape, bool)
    known[:4, :4] = True
    assert fill_with_patches(np.full((*shape, 3), 120, np.uint8), known, ~known) is None


def test_patches_come_from_far_away_where_none_are_near():
    known = np.zeros((40, 300), bool)
    known[:, 250:] = True
    wanted = hole(known.shape, columns=slice(2, 20))
    made = fill_with_patches(np.full((40, 300, 3), 120, np.uint8), known, wanted)
    assert np.abs(made[wanted].astype(int) - 120).max() <= 1


def test_nothing_wanted_changes_nothing():
    picture = stripes()
    everything, nothing = np.ones(picture.shape[:2], bool), np.zeros(picture.shape[:2], bool)
    assert np.array_equal(fill_with_patches(picture, everything, everything), picture)
    assert np.array_equal(fill_with_patches(picture, ~hole(picture.shape), nothing), picture)


def test_the_same_every_time_and_cancelled_within():
    picture = cv2.GaussianBlur(np.random.default_rng(3).integers(0, 255, (70, 80, 3), np.uint8), (0, 0), 1.5)
    missing = hole(picture.shape)
    first, second = (fill_with_patches(picture, ~missing, missing) for _ in range(2))
    assert np.array_equal(first, second)
    told = []

    def cancel(share, text="", preview=None):
        told.append(share)
        if len(told) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fill_with_patches(picture, ~missing, missing, cancel)
    assert len(told) == 2
