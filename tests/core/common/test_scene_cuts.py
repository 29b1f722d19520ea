"""Cuts on clips whose cuts are known: drawn scenes, and what looks like a cut and is none."""

import numpy as np
import pytest
from betwixt.common.clips.scene_cuts import find_cuts
from betwixt.common.pictures import to_float

from support.pictures.cut_clips import cut_clips, drawn_pictures

CLIPS = cut_clips(3, drawn_pictures(np.random.default_rng(2), 4))


@pytest.mark.parametrize("clip", CLIPS, ids=[clip.kind for clip in CLIPS])
def test_cuts_stay_and_flashes_pans_noise_and_fades_are_none(clip):
    assert find_cuts(to_float(clip.frames)) == list(clip.cuts)


@pytest.mark.parametrize("size", [(1, 1), (1, 100), (100, 1), (15, 15)])
def test_pictures_of_any_size(size):
    frames = np.zeros((6, *size, 3), np.uint8)
    frames[3:] = 200
    assert find_cuts(to_float(frames)) == [3]
    assert find_cuts(to_float(frames[:1])) == []
