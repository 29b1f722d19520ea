"""Limbs that bend go along with their body."""

import numpy as np
import pytest
from betwixt.fcvg_core.inbetween.finding.limbs import TRUST, carry_limbs
from betwixt.fcvg_core.inbetween.layers import MotionLayers
from betwixt.fcvg_core.inbetween.motion.motions import RigidMotion

SIZE, AWAY = (100, 200), 60
BODY = np.s_[30:60, 40:56]
LEGS = np.s_[60:84, 38:44], np.s_[60:84, 52:58]  # apart in the first key frame
CLOSED = np.s_[60:84, 41:47], np.s_[60:84, 49:55]  # and closer in the last


def shifted(window, by):
    return window[0], slice(window[1].start + by, window[1].stop + by)


def scene(legs_there=True, explained=0.0, found_by_chance=0.3) -> MotionLayers:
    """A body that goes 60 px to the right over still ground; its legs, which close, were given to the ground.

    Args:
        legs_there: whether the last key frame has legs.
        explained: of the legs.
        found_by_chance: share of the legs' rows that count as seen with the ground's motion.
    """
    ground = np.full((*SIZE, 3), 0.5, np.float32)
    pictures, label, displacement, seen, known = [], [], [], [], []
    for side in (0, 1):
        picture, own = ground.copy(), np.zeros(SIZE, np.int16)
        way, found = np.zeros((*SIZE, 2), np.float32), np.ones(SIZE, np.float32)
        picture[shifted(BODY, side * AWAY)] = (0.2, 0.2, 0.4)
        own[shifted(BODY, side * AWAY)] = 1
        way[own == 1] = (AWAY - 2 * AWAY * side, 0)
        if side == 0 or legs_there:
            for leg in CLOSED if side else LEGS:
                rows, columns = shifted(leg, side * AWAY)
                picture[rows, columns] = (0.1, 0.1, 0.3)
                found[rows, columns] = explained
                found[rows.stop - round(found_by_chance * 24) : rows.stop, columns] = 1
        for planes, plane in zip((pictures, label, displacement, seen, known), (picture, own, way, found, found.copy()),
                                 strict=True):  # fmt: skip
            planes.append(plane)
    still, going = np.eye(3), np.array([[1.0, 0, AWAY], [0, 1, 0], [0, 0, 1]])
    motions = tuple(RigidMotion(way, (np.zeros((0, 2)),) * 2, SIZE) for way in (still, going))
    return MotionLayers(tuple(pictures), SIZE, motions, tuple(label), tuple(displacement), tuple(seen), tuple(known),
                        (None, None), order=np.array([0, 1, 2]))  # fmt: skip


def nothing():
    return tuple(np.zeros(SIZE, bool) for _ in range(2))


def test_legs_go_along_with_the_body_they_hang_on():
    layers, carried = scene(), nothing()
    carry_limbs(layers, carried)
    for side, legs in enumerate((LEGS, CLOSED)):
        inside = np.zeros(SIZE, bool)
        for leg in legs:
            inside[shifted(leg, side * AWAY)] = True
            assert carried[side][shifted(leg, side * AWAY)].mean() > 0.9
        assert carried[side].sum() < 1.7 * inside.sum()  # with the rim that the coarse look gives them
        assert (layers.label[side][carried[side]] == 1).all()
        assert (layers.displacement[side][carried[side]] == (AWAY - 2 * AWAY * side, 0)).all()
        assert (layers.seen[side][carried[side]] == np.float32(TRUST)).all()
    body = np.zeros(SIZE, bool)
    body[BODY] = True
    assert not (carried[0] & body).any()


@pytest.mark.parametrize("settings", [{"legs_there": False}, {"explained": 1.0}, {"found_by_chance": 0.9}])
def test_what_the_last_key_frame_does_not_have_or_what_is_explained_stays(settings):
    layers, carried = scene(**settings), nothing()
    before = layers.label[0].copy()
    carry_limbs(layers, carried)
    assert not carried[0].any() and not carried[1].any() and (layers.label[0] == before).all()


def test_what_is_carried_already_stays_so():
    layers, carried = scene(), nothing()
    carried[0][LEGS[0]] = True
    carry_limbs(layers, carried)
    assert (layers.label[0][LEGS[0]] == 0).all()


def test_a_ground_hangs_on_nothing():
    """Things far larger than the body they touch are not its limbs."""
    layers = scene(legs_there=False)
    for side in (0, 1):
        layers.explained[side][layers.label[side] == 0] = 0
        layers.pictures[side][layers.label[side] == 0] = 0.5 + 0.3 * side
    carried = nothing()
    carry_limbs(layers, carried)
    assert not carried[0].any() and not carried[1].any()
