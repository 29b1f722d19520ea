"""What is not found again and hangs on a thing goes along with it."""

import numpy as np
import pytest
from betwixt.fcvg_core.inbetween.finding.carrying import TRUST, carry_unknown
from betwixt.fcvg_core.inbetween.layers import MotionLayers
from betwixt.fcvg_core.inbetween.motion.motions import RigidMotion

SIZE, AWAY = (60, 120), 40
BODY, HEAD = np.s_[25:50, 20:32], np.s_[12:25, 18:34]


def shifted(window, by):
    return window[0], slice(window[1].start + by, window[1].stop + by)


def scene(head_goes_along: bool, found_there: bool = False) -> MotionLayers:
    """A body that goes 40 px to the right over ground that stands still; its head, which changes, was given to it."""
    size = SIZE
    ground = np.full((*size, 3), 0.5, np.float32)
    pictures, label, displacement = (ground, ground.copy()), [], []
    seen, explained = [], []
    for side, picture in enumerate(pictures):
        body, head = (shifted(window, side * AWAY) for window in (BODY, HEAD))
        picture[body] = (0.8, 0.1, 0.1)
        if head_goes_along or side == 0:
            picture[head] = (0.9, 0.8, 0.6 + 0.1 * side)
        label.append(np.zeros(size, np.int16))
        label[side][body] = 1
        displacement.append(np.zeros((*size, 2), np.float32))
        displacement[side][body] = (AWAY - 2 * AWAY * side, 0)
        seen.append(np.ones(size, np.float32))
        seen[side][head] = 0
        explained.append(seen[side].copy())
        if found_there and side == 1:
            explained[side][head] = 1
    still, going = np.eye(3), np.array([[1.0, 0, AWAY], [0, 1, 0], [0, 0, 1]])
    motions = tuple(RigidMotion(way, (np.zeros((0, 2)),) * 2, size) for way in (still, going))
    return MotionLayers(
        pictures, size, motions, tuple(label), tuple(displacement), tuple(seen), tuple(explained), (None, None),
        order=np.array([0, 1, 2]),
    )  # fmt: skip


def test_a_head_goes_along_with_the_body_it_touches():
    layers = scene(head_goes_along=True)
    carried = carry_unknown(layers)
    for side in (0, 1):
        head = shifted(HEAD, side * AWAY)
        assert carried[side][head].mean() > 0.95 and carried[side].sum() <= carried[side][head].size
        assert (layers.label[side][head] == 1).mean() > 0.95
        np.testing.assert_allclose(layers.displacement[side][20, 26 + side * AWAY], (AWAY - 2 * AWAY * side, 0))
        assert layers.seen[side][20, 26 + side * AWAY] == np.float32(TRUST)


@pytest.mark.parametrize("settings", [{"head_goes_along": False}, {"head_goes_along": True, "found_there": True}])
def test_what_is_not_like_the_head_or_is_found_already_takes_nothing_along(settings):
    layers = scene(**settings)
    assert not carry_unknown(layers)[0].any()
    assert (layers.label[0][HEAD] == 0).all()
