"""Guides of a key frame packed with those of frame after frame."""

import torch
from betwixt.rerender_core.ebsynth.synthesis.packed_guides import SourceGuides


def test_the_key_frame_is_packed_again_only_where_a_guide_turns_grey():
    grey = torch.arange(48, dtype=torch.uint8).view(1, 4, 4, 3)[..., :1].expand(-1, -1, -1, 3)
    colour = torch.arange(48, dtype=torch.uint8).view(1, 4, 4, 3)
    sources = SourceGuides([colour, grey], [6.0, 3.0])
    first, second = sources.packed_with([colour, colour]), sources.packed_with([grey, colour])
    assert first.channels == second.channels == (3, 3) and first.source is second.source
    third = sources.packed_with([colour, grey])
    assert third.channels == (3, 1) and third.weights.tolist() == [2.0, 2.0, 2.0, 3.0]
    assert torch.equal(third.source, first.source[..., :4]) and third.source is sources.packed_with([grey, grey]).source
