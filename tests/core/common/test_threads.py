"""One thread and two give the same bytes, where the order of additions is ours (README, Same graph, same bytes)."""

import cv2
import numpy as np
import pytest
import torch
from betwixt.common.clips.scene_cuts import find_cuts
from betwixt.common.measures.sharpness import cpbd
from betwixt.common.measures.similarity import ms_ssim, psnr, ssim
from betwixt.common.measures.steadiness import flicker
from betwixt.fcvg_core.inbetween.clip import render_clip
from betwixt.fcvg_core.inbetween.key_frames import layers_of_pair
from betwixt.fcvg_core.lines.palette import line_colours
from betwixt.fcvg_core.lines.weight_free.matcher import WeightFreeLineMatcher
from betwixt.fcvg_core.tweening.condition_frames import draw_conditions
from betwixt.fcvg_core.tweening.line_interpolation import interpolate_segments
from betwixt.rerender_core.ebsynth.propagation import PropagationOptions
from betwixt.rerender_core.ebsynth.stylisation import ClipOptions, stylise_clip
from betwixt.rerender_core.ebsynth.stylised_keys import StylisedKeys
from betwixt.rerender_core.ebsynth.synthesis.solver import SynthesisOptions
from betwixt.rerender_core.flow.estimation import DenseInverseSearch, estimate_flow

SIZE = (176, 208)  # more pixels than PyTorch leaves to one thread


@pytest.fixture(scope="module")
def clip():
    """A noisy pattern that moves: float32 [3, H, W, 3]."""
    coarse = torch.rand(1, 3, 24, 30, generator=torch.Generator().manual_seed(0))
    fine = torch.rand(1, 3, *(side + 16 for side in SIZE), generator=torch.Generator().manual_seed(1))
    pattern = torch.nn.functional.interpolate(coarse, fine.shape[2:], mode="bicubic").clamp(0, 1) * 0.9 + 0.1 * fine
    height, width = SIZE
    return torch.stack([pattern[0, :, 2 * n : 2 * n + height, 3 * n : 3 * n + width].movedim(0, -1) for n in range(3)])


def lines(clip):
    found = WeightFreeLineMatcher().match(*((clip[n] * 255).byte().numpy() for n in (0, 2)))
    return found.start, found.end, found.score


def conditions(clip):
    start, end, _ = lines(clip)
    segments = interpolate_segments(start, end, np.linspace(0, 1, 4))
    return (draw_conditions(segments, line_colours(len(start), 0), None, SIZE),)


def painted(clip):
    quick = SynthesisOptions(levels=2, vote_iterations=1, match_iterations=1)
    options = ClipOptions(PropagationOptions(synthesis=quick, engine="torch"))
    keys = StylisedKeys.of(1 - clip[[0, 2]], [0, 2])
    return [frame for _, frame in stylise_clip(clip, keys, DenseInverseSearch(), options)]


def inbetweens(clip):
    made = render_clip(layers_of_pair((clip[0].numpy(), clip[2].numpy()), "quick"), [0.3, 0.5])
    return made.frames, made.confidence, made.tracks


def measures(clip):
    pair = clip[:2], clip[1:]
    found = [psnr(*pair), ssim(*pair), ms_ssim(*pair), cpbd(clip), flicker(clip)]
    return [np.array([one.value, *one.per_frame]) for one in found]


def flow(clip):
    found = estimate_flow(clip, [(0, 1), (1, 2)], DenseInverseSearch())
    return found.forward, found.backward, found.occlusion


def cuts(clip):
    return (np.array(find_cuts(clip)),)


@pytest.mark.parametrize("work", [lines, conditions, painted, inbetweens, measures, flow, cuts])
def test_the_number_of_threads_does_not_matter(clip, work):
    results = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            cv2.setNumThreads(count)
            results.append([np.asarray(value).tobytes() for value in work(clip)])
    finally:
        torch.set_num_threads(1)
        cv2.setNumThreads(-1)
    assert results[0] == results[1]
