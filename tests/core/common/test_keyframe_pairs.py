import pytest
import torch
from betwixt.common.clips.keyframe_pairs import Gap, closed_loop, gaps
from betwixt.common.errors import BetwixtError
from betwixt.fcvg_core.tweening.condition_chain import chain_conditions


def test_neighbouring_pairs_and_the_way_back():
    assert gaps(3, False, [25], [1.0]) == [Gap(0, 1, 25, 1.0), Gap(1, 2, 25, 1.0)]
    assert gaps(3, True, [25, 14, 20], [1.0, 0.5, 0.0])[-1] == Gap(2, 0, 20, 0.0)


@pytest.mark.parametrize(
    "arguments, words",
    [
        ((1, False, [25], [1.0]), "There is 1 key frame"),
        ((3, False, [25, 14, 20], [1.0]), "3 values, and there are 2 gaps"),
        ((3, True, [25], [1.0, 1.0]), "'strength_per_gap' has 2 values, and there are 3 gaps"),
        ((2, False, [1], [1.0]), "A gap has 1 frames"),
        ((2, False, [2.5], [1.0]), "A gap has 2.5 frames"),
    ],
)
def test_mistakes(arguments, words):
    with pytest.raises(BetwixtError, match=words):
        gaps(*arguments)


def geometry(start, end, frames, published):
    """Fractions of the way at each frame, as pictures of one pixel."""
    if published:
        inner = torch.linspace(start, end, frames - 2)
        return torch.cat([torch.tensor([start]), inner, torch.tensor([end])]).view(-1, 1, 1, 1)
    return torch.linspace(start, end, frames).view(-1, 1, 1, 1)


@pytest.mark.parametrize("published", [True, False])
def test_a_loop_moves_on_evenly_over_its_joints(published):
    there, back = geometry(0.0, 4.0, 7, published), geometry(4.0, 0.0, 7, published)
    joined = chain_conditions([there, back], published)
    loop = closed_loop(joined, published).flatten()
    twice = torch.cat([loop, loop])
    steps = (twice[1:] - twice[:-1]).abs()
    assert (steps - steps[0]).abs().max() < 1e-6 and steps[0] > 0
    assert loop[0] == 0 and loop.max() == 4
