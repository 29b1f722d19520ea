import numpy as np
import pytest
import torch
from betwixt.common.errors import BetwixtError
from betwixt.fcvg_core.sampling.image_conditioning import check_size, clip_picture, fit, with_shared_noise


def picture(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_a_picture_that_fits_is_not_touched():
    source = picture(64, 128)
    assert fit(source, 128, 64, "crop") is source


def test_cropping_keeps_the_centre():
    source = np.zeros((64, 256, 3), np.uint8)
    source[:, 64:192] = 200  # exactly what a 128x64 picture keeps
    assert (fit(source, 128, 64, "crop") == 200).all()
    assert (fit(source.swapaxes(0, 1).copy(), 64, 128, "crop") == 200).all()


def test_padding_keeps_everything_and_stretching_fills():
    source = np.full((64, 256, 3), 200, np.uint8)
    padded = fit(source, 128, 64, "pad")
    assert padded.shape == (64, 128, 3)
    assert (padded[16:48] == 200).all() and (padded[:16] == 0).all() and (padded[48:] == 0).all()
    assert (fit(source, 128, 64, "stretch") == 200).all()


def test_sizes_between_latents_are_refused_with_the_nearest():
    with pytest.raises(BetwixtError, match="1020x570.*'width' and 'height' to 1024 and 568"):
        check_size(1020, 570)
    check_size(1024, 576)


def test_clip_sees_the_whole_picture_squashed():
    halves = torch.zeros(1, 96, 640, 3)
    halves[:, :, 320:] = 1
    squashed = clip_picture(halves)
    assert squashed.shape == (1, 224, 224, 3)
    assert squashed[:, :, :100].abs().max() < 1e-4 and (squashed[:, :, 124:] - 1).abs().max() < 1e-4


def test_a_flat_picture_stays_flat_at_any_size():
    for height, width in ((64, 64), (224, 224), (300, 1000)):
        assert (clip_picture(torch.full((1, height, width, 3), 0.3)) - 0.3).abs().max() < 1e-5


def test_the_noise_is_shared_seeded_and_half_the_published_level():
    pictures = torch.rand(2, 64, 96, 3)
    noisy = with_shared_noise(pictures, 0.02, seed=3)
    noise = noisy - pictures
    assert (noise[0] - noise[1]).abs().max() < 1e-6
    assert noise.std() == pytest.approx(0.01, rel=0.02)  # 0.02 of pictures in -1..1
    assert torch.equal(noisy, with_shared_noise(pictures, 0.02, seed=3))
    assert not torch.equal(noisy, with_shared_noise(pictures, 0.02, seed=4))
    assert with_shared_noise(pictures, 0.0, seed=3) is pictures
