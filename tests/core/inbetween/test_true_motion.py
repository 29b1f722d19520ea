"""The bound that the benchmark of inbetweens shows."""

import numpy as np

from support.pictures.drawn_scenes import SCENES, drawn_layers
from support.pictures.moved_pictures import moved_clip
from support.truth.frame_quality import psnr
from support.truth.true_motion import true_motion

SIZE = (288, 512)


def test_true_motion_gives_the_frames_between_but_for_what_no_key_frame_shows():
    random = np.random.default_rng(5)
    layers = drawn_layers(SCENES[0], SIZE, random, False)
    clip = moved_clip(layers, "independent", SIZE, random, [0.5], noise=0)
    frame, known = true_motion(clip, 0.5)
    assert 0.8 < known.mean() < 1
    assert psnr(frame, clip.between[0], known) > 38
    assert not frame[~known].any()
    for end, picture in ((0, clip.first), (1, clip.last)):
        again, shown = true_motion(clip, end)
        assert np.array_equal(again[shown], picture[shown])
