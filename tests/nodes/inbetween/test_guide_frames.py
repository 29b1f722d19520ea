"""'Guide Frames', fed as the host feeds it: what is held and what is free, in pictures and in latents."""

import pytest
import torch
from betwixt.common.errors import BetwixtError

from support.run_node import run

HEIGHT, WIDTH = 32, 48


@pytest.fixture(scope="module")
def node(host):
    from betwixt.nodes.inbetween.guides import GuideFrames

    return GuideFrames


@pytest.fixture(scope="module")
def keys():
    return torch.rand(3, HEIGHT, WIDTH, 3, generator=torch.Generator().manual_seed(1))


def test_key_frames_hold_and_the_rest_is_grey_and_free(node, keys):
    video, mask, noise, pictures, numbers = run(node, key_frames=keys, frame_count=9)
    assert numbers == [0, 4, 8]
    for key, number, picture in zip(keys, numbers, pictures, strict=True):
        assert torch.equal(video[number], key) and torch.equal(picture[0], key)
    free = [number for number in range(9) if number not in numbers]
    assert torch.all(video[free] == 0.5) and torch.all(mask[free] == 1) and torch.all(mask[numbers] == 0)
    # Wan packs frame 0, then 1-4 and 5-8: both groups have free frames in them
    assert noise.shape == (3, HEIGHT // 8, WIDTH // 8)
    assert noise.mean(dim=(1, 2)).tolist() == [0, 1, 1]


def test_frame_numbers_count_from_both_ends(node, keys):
    *_, numbers = run(node, key_frames=keys, frame_count=10, frame_numbers="0, 3, -1")
    assert numbers == [0, 3, 9]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0, 3", "2 entries for 3 key frames"),
        ("0, 3, 10", "names frame 10 of a clip of 10"),
        ("0, 3, -11", "names frame -11"),
        ("0, 9, -1", "Two key frames stand on frame 9"),
    ],
)
def test_impossible_frame_numbers_are_refused(node, keys, text, message):
    with pytest.raises(BetwixtError, match=message):
        run(node, key_frames=keys, frame_count=10, frame_numbers=text)


def test_sure_inbetweens_hold_where_they_are_sure(node, keys):
    clip = torch.full((5, HEIGHT, WIDTH, 3), 0.25)
    sure = torch.zeros(5, HEIGHT, WIDTH)
    sure[:, :, 16:] = 0.95
    video, mask, noise, _, _ = run(
        node,
        key_frames=keys[:2],
        frame_count=5,
        every=2,
        inbetweens=clip,
        confidence=sure,
        frames_per_latent="1 (SVD)",
    )
    assert torch.all(mask[2, :, 16:] == 0) and torch.all(mask[2, :, :16] == 1)
    assert torch.all(video[2, :, 16:] == 0.25) and torch.all(video[2, :, :16] == 0.5)
    assert torch.all(mask[1] == 1) and torch.all(mask[3] == 1)  # every second one only
    assert noise.shape == (5, HEIGHT // 8, WIDTH // 8)
    assert torch.all(noise[2, :, 2:] == 0) and torch.all(noise[2, :, :2] == 1)


def test_conditions_are_shown_where_the_model_is_free(node, keys):
    conditions = torch.rand(5, HEIGHT, WIDTH, 3)
    video, mask, *_ = run(node, key_frames=keys[:2], frame_count=5, conditions=conditions)
    assert torch.equal(video[1:4], conditions[1:4]) and torch.equal(video[4], keys[1])
    assert torch.all(mask[1:4] == 1)


def test_clips_of_another_length_or_without_confidence_are_refused(node, keys):
    clip, sure = torch.zeros(4, HEIGHT, WIDTH, 3), torch.zeros(5, HEIGHT, WIDTH)
    with pytest.raises(BetwixtError, match="'inbetweens' has 4 frames"):
        run(node, key_frames=keys[:2], frame_count=5, inbetweens=clip, confidence=sure)
    with pytest.raises(BetwixtError, match="'confidence' is not"):
        run(node, key_frames=keys[:2], frame_count=4, inbetweens=clip)
    with pytest.raises(BetwixtError, match="'conditions' has 4 frames"):
        run(node, key_frames=keys[:2], frame_count=5, conditions=clip)


def test_a_latent_mask_is_as_free_as_its_freest_pixel():
    from betwixt.fcvg_core.inbetween.guide_frames import latent_mask

    mask = torch.zeros(6, 20, 20)
    mask[5, 19, 0] = 1
    small = latent_mask(mask, 4, 8)
    assert small.shape == (3, 3, 3)
    assert small.sum() == 1 and small[2, 2, 0] == 1
