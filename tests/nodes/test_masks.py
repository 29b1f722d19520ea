"""What arrives at mask inputs: one rule for all nodes."""

import pytest
import torch
from betwixt.common.errors import BetwixtError

SIZE = (48, 80)


@pytest.fixture
def usable(host, monkeypatch):
    """``usable_mask`` and the notices it showed."""
    from betwixt.nodes.host.services import masks

    shown = []
    monkeypatch.setattr(masks, "show_notice", lambda node, text: shown.append(text))
    return masks.usable_mask, shown


def test_the_mask_of_an_opaque_picture_is_not_connected(usable):
    mask, shown = usable
    assert mask(torch.zeros(1, 64, 64), "mask", SIZE, 5, "1") is None
    assert len(shown) == 1 and "not connected" in shown[0] and "64x64" in shown[0] and "80x48" in shown[0]


def test_a_black_mask_of_the_pictures_size_selects_nothing_and_says_so(usable):
    mask, shown = usable
    assert not mask(torch.zeros(1, *SIZE), "mask", SIZE, 5, "1").any()
    assert len(shown) == 1 and "nothing is selected" in shown[0]


def test_one_mask_or_one_per_picture(usable):
    mask, shown = usable
    assert mask(None, "mask", SIZE, 5, "1") is None
    for count in (1, 5):
        assert mask(torch.full((count, *SIZE), 1.5), "mask", SIZE, 5, "1").max() == 1
    for wrong in (torch.ones(2, *SIZE), torch.ones(1, 64, 64)):
        with pytest.raises(BetwixtError, match="'mask' holds"):
            mask(wrong, "mask", SIZE, 5, "1")
    assert mask(torch.ones(1, 64, 64), "mask", SIZE, 5, "1", resized=True).shape == (1, 64, 64)
    assert shown == []
