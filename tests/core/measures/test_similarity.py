"""PSNR, SSIM, MS-SSIM and the chamfer distance: toy values, kornia's and stored numbers of other implementations."""

import math
import resource

import cv2
import kornia
import numpy as np
import pytest
import torch
from betwixt.common.errors import BetwixtError
from betwixt.common.measures.edges import edge_chamfer
from betwixt.common.measures.measurement import checked_clip, checked_pair, selected
from betwixt.common.measures.similarity import ms_ssim, psnr, ssim

from support.bootstrap import ROOT

# Of the first 208 rows of the demo's pictures betwixt_key_00.png and betwixt_key_05.png, computed in double precision
# by scikit-image 0.26.0 (Gaussian weights, population covariance) and piq 0.8.0 (without downsampling). torchmetrics
# 1.9.0 counts SSIM's reflected borders as well and differs by up to 3 %.
SCIKIT_IMAGE_PSNR, SCIKIT_IMAGE_SSIM = 15.258805507, 0.588406061
PIQ_SSIM, PIQ_MS_SSIM = 0.588406061, 0.592980698


def picture(name: str) -> torch.Tensor:
    """float32 [1, 208, 384, 3] of a picture of the demo."""
    pixels = cv2.imread(str(ROOT / "demo" / "inputs" / name))
    return torch.from_numpy(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)[None, :208]).float() / 255


@pytest.fixture(scope="module")
def keys() -> tuple[torch.Tensor, torch.Tensor]:
    return picture("betwixt_key_00.png"), picture("betwixt_key_05.png")


def test_numbers_agree_with_other_implementations(keys):
    channels_first = [key.movedim(-1, 1).contiguous() for key in keys]
    assert psnr(*keys).value == pytest.approx(float(kornia.metrics.psnr(*channels_first, 1.0)), rel=1e-4)
    assert psnr(*keys).value == pytest.approx(SCIKIT_IMAGE_PSNR, rel=1e-4)
    of_kornia = float(kornia.metrics.ssim(*channels_first, 11, padding="valid").mean())
    assert ssim(*keys).value == pytest.approx(of_kornia, rel=1e-4)
    assert ssim(*keys).value == pytest.approx(SCIKIT_IMAGE_SSIM, rel=1e-4)
    assert ssim(*keys).value == pytest.approx(PIQ_SSIM, rel=1e-4)
    assert ms_ssim(*keys).value == pytest.approx(PIQ_MS_SSIM, rel=1e-4)


def test_identical_clips_are_exactly_the_best(keys):
    clip = torch.cat(keys)
    assert psnr(clip, clip).value == math.inf and psnr(clip, clip).per_frame == (math.inf,) * 2
    for measure, best in ((ssim, 1.0), (ms_ssim, 1.0), (edge_chamfer, 0.0)):
        result = measure(clip, clip)
        assert result.value == pytest.approx(best, abs=1e-6) and len(result.per_frame) == 2
        assert np.abs(result.heat).max() < 1e-4 and result.heat.shape == clip.shape[1:3]


def test_a_known_offset_has_a_known_psnr():
    dark, light = torch.full((3, 20, 30, 3), 0.5), torch.full((3, 20, 30, 3), 0.75)
    light[1] = 0.5
    result = psnr(dark, light)
    assert result.per_frame == pytest.approx((12.0412, math.inf, 12.0412), abs=1e-4)
    assert result.value == pytest.approx(-10 * math.log10(0.0625 * 2 / 3), abs=1e-6)
    np.testing.assert_allclose(result.heat, 0.0625 * 2 / 3, rtol=1e-6)


def test_known_noise_has_its_variance_as_error():
    clean = torch.full((4, 64, 64, 3), 0.5)
    noise = 0.1 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    assert psnr(clean, clean + noise).value == pytest.approx(20.0, abs=0.05)


def test_constant_pictures_have_an_ssim():
    black, white = torch.zeros(1, 192, 192, 3), torch.ones(1, 192, 192, 3)
    assert ssim(black, black).value == ms_ssim(black, black).value == 1.0
    assert ssim(black, white).value == pytest.approx(1e-4 / 1.0001, rel=1e-4)  # C1 / (1 + C1)


def test_a_mask_chooses_the_pixels():
    first, second = torch.zeros(2, 16, 16, 3), torch.zeros(2, 16, 16, 3)
    second[:, :8] = 0.1
    half = torch.zeros(16, 16)
    half[:8] = 1
    assert psnr(first, second, selected(half, 2, 16, 16, "mask")).value == pytest.approx(20.0, abs=1e-5)
    assert psnr(first, second, selected(1 - half, 2, 16, 16, "mask")).value == math.inf


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (torch.stack([torch.ones(16, 16), torch.zeros(16, 16)]), "Mask 1 of 'mask' is empty"),
        (torch.ones(3, 16, 16), "holds 3 masks of 16x16"),
        (torch.ones(1, 8, 16), "1 masks of 16x8"),
        (torch.full((1, 16, 16), math.nan), "NaN"),
    ],
)
def test_masks_that_cannot_serve_are_refused(mask, message):
    with pytest.raises(BetwixtError, match=message):
        selected(mask, 2, 16, 16, "mask")


def square(left: int) -> torch.Tensor:
    frame = torch.zeros(1, 80, 120, 3)
    frame[:, 20:60, left : left + 40] = 1
    return frame


def test_chamfer_of_a_known_shift():
    """Of a square moved by 2 pixels, upright edges move by 2 and level edges only lose their ends."""
    moved = edge_chamfer(square(30), square(32)).value
    assert 0.9 < moved < 1.2
    assert edge_chamfer(square(30), square(34)).value == pytest.approx(2 * moved, rel=0.1)
    assert edge_chamfer(square(32), square(30)).value == pytest.approx(moved, rel=1e-6)


def test_chamfer_without_edges():
    empty = torch.zeros(1, 80, 120, 3)
    assert edge_chamfer(empty, empty).value == 0
    assert edge_chamfer(empty, square(30)).value == pytest.approx(math.hypot(80, 120))


def test_clips_that_do_not_match_are_refused():
    clip = torch.zeros(3, 16, 24, 3)
    with pytest.raises(BetwixtError, match="'a' has 3 frames and 'b' 2"):
        checked_pair(clip, clip[:2], "a", "b")
    with pytest.raises(BetwixtError, match="'a' is 24x16 and 'b' is 16x16"):
        checked_pair(clip, clip[:, :, :16], "a", "b")
    with pytest.raises(BetwixtError, match="'a' holds 1 frame.*at least 2 frames"):
        checked_clip(clip[:1], "a", least=2)
    broken = clip.clone()
    broken[1, 0, 0, 0] = math.nan
    with pytest.raises(BetwixtError, match="Frame 1 of 'b' contains NaN"):
        checked_pair(clip, broken, "a", "b")
    with pytest.raises(BetwixtError, match="Frame 0 of 'b' holds values beyond 1000"):
        checked_pair(clip, clip + 1e30, "a", "b")


@pytest.mark.parametrize(("measure", "least"), [(ssim, 11), (ms_ssim, 176)])
def test_frames_too_small_for_the_window_are_refused(measure, least):
    fits, small = torch.zeros(1, least, least, 3), torch.zeros(1, least - 1, 300, 3)
    assert measure(fits, fits).value == 1.0
    with pytest.raises(BetwixtError, match=f"300x{least - 1}.*at least {least} pixels"):
        measure(small, small)


def test_memory_does_not_grow_with_the_clip():
    """2,000 frames that are one frame in memory: a copy of the clip would take 0.2 GB."""
    frame = torch.rand(1, 96, 96, 3, generator=torch.Generator().manual_seed(0))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    clip = checked_clip(frame.expand(2000, -1, -1, -1), "clip")
    assert psnr(clip, clip).value == math.inf
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < 60  # MiB
