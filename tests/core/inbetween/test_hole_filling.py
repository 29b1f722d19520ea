"""What neither key frame shows, filled once and carried along."""

import cv2
import numpy as np
import pytest
import torch
from betwixt.fcvg_core.inbetween.clip import render_clip
from betwixt.fcvg_core.inbetween.layers import MotionLayers
from betwixt.fcvg_core.inbetween.motion.motions import RigidMotion, similarity_matrix
from betwixt.fcvg_core.inbetween.rendering.layer_renderer import LayerRenderer
from betwixt.rerender_core.ebsynth.patch_filling import fill_with_patches

from support.truth.frame_quality import psnr

HEIGHT, WIDTH, SIDE, WAY, TOP, LEFT = 80, 160, 26, 40, 27, 70
TIMES = [0.0, 0.4, 0.5, 0.5, 0.6, 1.0]


def textured(height, width, seed, low, high):
    texture = cv2.GaussianBlur(np.random.default_rng(seed).random((height, width, 3)).astype(np.float32), (0, 0), 1.5)
    return cv2.normalize(texture, None, low, high, cv2.NORM_MINMAX)


def scene(time):
    """Two squares go to the right: one leaves the place that the other comes to, and lays it open on the way."""
    x, y = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    stripes = np.where((x + y) // 9 % 2 > 0, 0.3, 0.05)[..., None] * np.float32([1, 0.9, 0.7])
    frame = (stripes + textured(HEIGHT, WIDTH, 1, 0, 0.2)).astype(np.float32)
    for seed, left in ((2, LEFT - WAY), (3, LEFT)):
        left += round(WAY * time)
        frame[TOP : TOP + SIDE, left : left + SIDE] = textured(SIDE, SIDE, seed, 0.55, 1)
    return frame


@pytest.fixture(scope="module")
def layers():
    """As they would be found at best: the ground stands still, both squares follow one motion in front of it."""
    size, pictures = (HEIGHT, WIDTH), (scene(0), scene(1))
    nowhere = (np.zeros((0, 2)), np.zeros((0, 2)))
    motions = tuple(RigidMotion(similarity_matrix(1, step), nowhere, size) for step in (0, WAY))
    label = tuple((picture.mean(axis=-1) > 0.5).astype(np.int16) for picture in pictures)
    label = tuple(cv2.morphologyEx(own, cv2.MORPH_CLOSE, np.ones((9, 9))) for own in label)
    displacement = tuple(
        np.where(own[..., None] > 0, np.float32([step, 0]), np.float32(0))
        for own, step in zip(label, (WAY, -WAY), strict=True)
    )
    seen = tuple(((label[side] > 0) | (label[1 - side] == 0)).astype(np.float32) for side in (0, 1))
    known = tuple(np.ones(size, np.float32) for _ in range(2))
    return MotionLayers(pictures, size, motions, label, displacement, seen, known, (None, None), np.arange(3))


@pytest.fixture(scope="module")
def clips(layers):
    return render_clip(layers, TIMES), render_clip(layers, TIMES, complete=fill_with_patches)


def empty(layers, time):
    holes = LayerRenderer(layers).frame_and_holes(time)[2]
    mask = np.zeros(HEIGHT * WIDTH, bool)
    mask[holes.pixels] = True
    return mask.reshape(HEIGHT, WIDTH)


def test_only_holes_are_filled_and_key_frames_stay(layers, clips):
    plain, filled = clips
    assert torch.equal(filled.frames[0], torch.from_numpy(scene(0)))
    assert torch.equal(filled.frames[-1], torch.from_numpy(scene(1)))
    assert torch.equal(filled.confidence, plain.confidence)
    for number in (1, 2, 4):
        holes = empty(layers, TIMES[number])
        assert 150 < holes.sum() < 1000
        changed = (filled.frames[number] != plain.frames[number]).any(dim=-1).numpy()
        assert not changed[~holes].any() and changed[holes].mean() > 0.9
    assert torch.equal(filled.frames[2], filled.frames[3])


def test_filled_holes_are_nearer_to_the_truth(layers, clips):
    levels = [
        np.mean([psnr(clip.frames[n].numpy() * 255, scene(TIMES[n]) * 255, empty(layers, TIMES[n])) for n in (1, 2, 4)])
        for clip in clips
    ]
    assert levels[1] > levels[0] + 2


def test_the_filling_stands_still_with_what_lies_behind(layers, clips):
    frames = clips[1].frames.numpy()
    inside = [cv2.erode(empty(layers, TIMES[n]).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0 for n in (1, 2, 4)]
    for first, second in ((0, 1), (1, 2)):
        common = inside[first] & inside[second]
        assert common.sum() > 50
        assert np.abs(frames[(1, 2, 4)[first]] - frames[(1, 2, 4)[second]])[common].max() < 0.02


def test_completed_are_layers_and_known_is_what_is_theirs(layers):
    asked = []

    def complete(picture, known, wanted, progress):
        asked.append((known.copy(), wanted.copy()))
        assert not (known & wanted).any()
        assert picture[known].max() < 0.55 * 255  # nothing of the squares, which are brighter
        return np.where(wanted[..., None], np.uint8([255, 0, 0]), picture)

    clip = render_clip(layers, TIMES, complete=complete)
    assert len(asked) == 1 and asked[0][0].mean() > 0.5 and asked[0][1].any()
    red = (clip.frames[2] - torch.tensor([1.0, 0, 0])).abs().amax(dim=-1) < 1e-3
    assert red.sum() > 100


def test_cancel_within_the_filling(layers):
    told = []

    def progress(share, text="", preview=None):
        told.append(share)
        if text == "Patch synthesis":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        render_clip(layers, TIMES, progress=progress, complete=fill_with_patches)
    assert told == sorted(told) and told[-1] < 1
