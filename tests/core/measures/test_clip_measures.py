"""Measures of one clip on clips whose numbers are known beforehand."""

import cv2
import numpy as np
import pytest
import torch
from betwixt.common.errors import BetwixtError
from betwixt.common.measures.keyframes import colour_distance, end_frame_error, mean_lab
from betwixt.common.measures.motion import pace, pace_error, pixel_mse, warp_error, warped
from betwixt.common.measures.prompt_fit import frame_accuracy, temporal_consistency
from betwixt.common.measures.sharpness import cpbd, edge_widths, frame_cpbd
from betwixt.common.measures.steadiness import brightness, brightness_drift, flicker

from support.bootstrap import ROOT

# Of the demo's betwixt_key_00.png in OpenCV's grey, blurred with these sigmas: the package cpbd 1.0.7
PACKAGE_CPBD = [(0, 0.278300542), (0.6, 0.224820144), (1, 0.177394518), (2, 0.050316957)]


def levels(*values: float) -> torch.Tensor:
    """A clip of even grey frames."""
    return torch.tensor(values, dtype=torch.float32)[:, None, None, None].expand(-1, 12, 16, 3)


def test_a_known_gain_is_drift_and_no_flicker():
    ramp = levels(*(0.2 + 0.05 * t for t in range(9)))
    drift = brightness_drift(ramp)
    assert drift.value == pytest.approx(0.4, abs=1e-6)
    assert drift.per_frame == pytest.approx([0.05 * t for t in range(9)], abs=1e-6)
    np.testing.assert_allclose(drift.heat, 0.4, atol=1e-5)
    assert flicker(ramp).value == pytest.approx(0, abs=1e-6)
    assert brightness(ramp)[4] == pytest.approx(0.4, abs=1e-6)


def test_a_known_flicker():
    steady, flickering = levels(*[0.5] * 6), levels(0.45, 0.55, 0.45, 0.55, 0.45, 0.55)
    assert flicker(steady).value == 0 and flicker(steady).per_frame == (0.0,) * 6
    result = flicker(flickering)
    assert result.value == pytest.approx(0.1, abs=1e-6)
    assert result.per_frame == pytest.approx((0, 0.1, 0.1, 0.1, 0.1, 0), abs=1e-6)
    np.testing.assert_allclose(result.heat, 0.1, atol=1e-6)


def moving(shift: int, frames: int = 4) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A pattern that moves to the right, its backward flow, and the left border that comes into view as occluded."""
    texture = np.random.default_rng(0).random((24, 64, 3)).astype(np.float32)
    clip = torch.stack([torch.from_numpy(np.roll(texture, shift * t, axis=1)[:, 20:60].copy()) for t in range(frames)])
    backward = torch.zeros(frames - 1, 24, 40, 2)
    backward[..., 0] = -shift
    occluded = torch.zeros(frames - 1, 24, 40, dtype=torch.bool)
    occluded[:, :, :shift] = True
    return clip, backward, occluded


def test_a_known_shift_leaves_no_warp_error():
    clip, backward, occluded = moving(3)
    assert warp_error(clip, backward, occluded).value == pytest.approx(0, abs=1e-9)
    rebuilt, inside = warped(clip[0], backward[0])
    np.testing.assert_allclose(rebuilt[:, 3:], clip[1, :, 3:].numpy(), atol=1e-5)
    assert not inside[:, :3].any() and inside[:, 3:].all()


def test_a_known_offset_beside_the_motion():
    clip, backward, occluded = moving(3)
    clip = clip + 0.1 * torch.arange(4)[:, None, None, None]
    assert pixel_mse(clip, backward, occluded).value == pytest.approx(0.01, rel=1e-4)
    result = warp_error(clip, backward, occluded)
    assert result.per_frame == pytest.approx((0.03,) * 3, rel=1e-4)
    np.testing.assert_allclose(result.heat[:, 3:], 0.03, rtol=1e-3)
    assert (result.heat[:, :3] == 0).all()


def test_occluded_and_unselected_pixels_do_not_count():
    clip, backward, occluded = moving(3)
    clip[2, :12] = 0
    occluded[1:, :12] = True
    assert warp_error(clip, backward, occluded).value == pytest.approx(0, abs=1e-9)
    lower = np.zeros((1, 24, 40), bool)
    lower[:, 12:] = True
    assert warp_error(clip, backward, torch.zeros_like(occluded), lower).value == pytest.approx(0, abs=1e-9)


def test_flow_that_cannot_serve_is_refused():
    clip, backward, occluded = moving(3)
    with pytest.raises(BetwixtError, match="The flow has 2 pairs of 40x24"):
        warp_error(clip, backward[:2], occluded[:2])
    with pytest.raises(BetwixtError, match="3 pairs of 20x24"):
        warp_error(clip, backward[:, :, :20], occluded[:, :, :20])
    with pytest.raises(BetwixtError, match="No pixel of frame 1 has a counterpart"):
        warp_error(clip, backward, torch.ones_like(occluded))


def test_pace_is_the_share_of_the_way():
    _, backward, occluded = moving(3, frames=5)
    backward[0], backward[1] = backward[0] / 3, backward[1] / 3  # steps of 1, 1, 3, 3 pixels
    assert pace(backward, occluded) == pytest.approx([0, 0.125, 0.25, 0.625, 1])
    result = pace_error(backward, occluded, [0, 0.25, 0.5, 0.75, 1])
    assert result.per_frame == pytest.approx((0, -0.125, -0.25, -0.125, 0)) and result.value == pytest.approx(0.5 / 3)
    assert pace_error(backward, occluded, [0, 0.125, 0.25, 0.625, 1]).value == pytest.approx(0, abs=1e-7)
    with pytest.raises(BetwixtError, match="3 entries and the clip 5 frames"):
        pace_error(backward, occluded, [0, 0.5, 1])
    with pytest.raises(BetwixtError, match="Nothing moves"):
        pace(torch.zeros_like(backward), occluded)


def test_end_frames_and_colours_of_a_fade():
    black, red = torch.zeros(12, 16, 3), torch.zeros(12, 16, 3)
    red[..., 0] = 0.8
    clip = torch.stack([black, red * 0.5, red])
    assert end_frame_error(clip, black, red).value == 0
    wrong = end_frame_error(clip + 0.1, black, red)
    assert wrong.per_frame == pytest.approx((0.1, 0.1), abs=1e-6)
    np.testing.assert_allclose(wrong.heat, 0.1, atol=1e-6)
    distances = colour_distance(clip, black, red).per_frame
    assert distances[0] == distances[2] == pytest.approx(0, abs=1e-6)
    grey = torch.full((1, 12, 16, 3), 0.5)
    assert colour_distance(grey, black, black).value == pytest.approx(53.39, abs=0.02)  # L of sRGB 0.5
    with pytest.raises(BetwixtError, match="'frames' is 16x12 and 'end' is 8x12"):
        end_frame_error(clip, black, red[:, :8])


def test_lab_is_that_of_scikit_image():
    """Stored: mean of skimage.color.rgb2lab (0.26.0) over the demo's betwixt_key_00.png."""
    pixels = cv2.cvtColor(cv2.imread(str(ROOT / "demo" / "inputs" / "betwixt_key_00.png")), cv2.COLOR_BGR2RGB)
    assert mean_lab(torch.from_numpy(pixels).float() / 255) == pytest.approx(
        [59.39525876, 7.56933972, 10.87625282], rel=1e-4
    )


def edges(width: int) -> np.ndarray:
    """uint8 (128, 128): a rise and a fall per block, each over ``width`` pixels, steepest at one of them."""
    x = np.arange(64)
    up, down = np.clip((x - 20) / width, 0, 1), np.clip((x - 44) / width, 0, 1)
    smooth = [step**2 * (3 - 2 * step) for step in (up, down)]
    return np.tile(np.round((smooth[0] - smooth[1]) * 200 + 20), (128, 2)).astype(np.uint8)


@pytest.mark.parametrize("width", [2, 4, 6, 8])
def test_the_width_of_a_known_edge(width):
    found = edge_widths(edges(width))
    assert set(np.unique(found)) == {0, width}


def test_sharp_edges_are_unnoticed_and_blurred_ones_are_not():
    sharp, blurred = (
        torch.from_numpy(edges(width)).float()[None, ..., None].expand(-1, -1, -1, 3) / 255 for width in (2, 6)
    )
    assert cpbd(sharp).value == 1 and cpbd(sharp).heat.max() == 0
    assert cpbd(blurred).value == 0 and cpbd(blurred).heat.min() == 1


def test_hard_steps_are_sharp():
    steps = np.tile(np.repeat(np.array([20, 220], np.uint8), 32), (128, 2))
    assert frame_cpbd(steps)[0] == 1 and set(np.unique(edge_widths(steps))) == {0, 2}


@pytest.mark.parametrize(("sigma", "published"), PACKAGE_CPBD)
def test_cpbd_is_that_of_the_package(sigma, published):
    pixels = cv2.imread(str(ROOT / "demo" / "inputs" / "betwixt_key_00.png"), cv2.IMREAD_GRAYSCALE)
    grey = cv2.GaussianBlur(pixels, (0, 0), sigma) if sigma else pixels
    assert frame_cpbd(grey)[0] == pytest.approx(published, rel=1e-4)


def test_blur_lowers_cpbd_of_a_picture():
    pixels = cv2.cvtColor(cv2.imread(str(ROOT / "demo" / "inputs" / "betwixt_key_00.png")), cv2.COLOR_BGR2RGB)
    blurred = [cv2.GaussianBlur(pixels, (0, 0), sigma) if sigma else pixels for sigma in (0, 1, 2)]
    values = cpbd(torch.from_numpy(np.stack(blurred)).float() / 255).per_frame
    assert values[0] > values[1] > values[2]


def test_sharpness_without_edges_is_not_defined():
    with pytest.raises(BetwixtError, match="No frame has edges.*not\\s+defined"):
        cpbd(torch.full((2, 64, 64, 3), 0.5))
    drawn = torch.from_numpy(edges(2)[:64, :64]).float()[..., None].expand(-1, -1, 3) / 255
    partly = cpbd(torch.stack([torch.full((64, 64, 3), 0.5), drawn]))
    assert partly.value == partly.per_frame[1] == 1 and np.isnan(partly.per_frame[0])
    assert partly.note == "not defined for 1 of 2 frames, which have no edges: 0"
    with pytest.raises(BetwixtError, match="at least 64 pixels"):
        cpbd(torch.zeros(1, 63, 200, 3))


def test_prompt_fit_of_known_embeddings():
    images = torch.tensor([[1.0, 0, 0], [3.0, 0, 0], [0, 2.0, 0], [1.0, 1.0, 0]])
    steady = temporal_consistency(images)
    assert steady.per_frame == pytest.approx((1, 0, 0.5**0.5)) and steady.value == pytest.approx((1 + 0.5**0.5) / 3)
    target, source = torch.tensor([1.0, 0, 0]), torch.tensor([0, 5.0, 0])
    accuracy = frame_accuracy(images, target, source)
    assert accuracy.value == 0.5 and accuracy.per_frame == pytest.approx((1, 1, -1, 0), abs=1e-6)
    with pytest.raises(BetwixtError, match="3 numbers and the prompt's 2"):
        frame_accuracy(images, target[:2], source)
    with pytest.raises(BetwixtError, match="zero or not finite"):
        temporal_consistency(images * 0)
