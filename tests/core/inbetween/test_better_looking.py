"""Plain flow instead of layers that come out torn, if it makes both key frames more alike."""

from dataclasses import replace

import cv2
import numpy as np
from betwixt.fcvg_core.inbetween.finding.better_looking import better_looking
from betwixt.fcvg_core.inbetween.finding.hypotheses import Hypothesis
from betwixt.fcvg_core.inbetween.finding.plain_flow import FLOW, all_flowing
from betwixt.fcvg_core.inbetween.layers import FREE, MotionLayers
from betwixt.fcvg_core.inbetween.motion.motions import RigidMotion
from betwixt.fcvg_core.inbetween.motion.skinning import FigureMotion

SIZE, STEP = (96, 128), 6


def layers_of(step_of_pieces: float) -> MotionLayers:
    """A texture that goes 6 px to the right, the layers of which are tiles; every other one goes as far as given."""
    noise = np.random.default_rng(5).random((*SIZE, 3)).astype(np.float32)
    first = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2), None, 0.1, 0.9, cv2.NORM_MINMAX)
    last = np.roll(first, STEP, axis=1)
    tiles = (np.add.outer(np.arange(SIZE[0]) // 16, np.arange(SIZE[1]) // 16) % 2).astype(np.int16)
    steps = np.where(tiles == 1, step_of_pieces, STEP).astype(np.float32)
    field = np.dstack([steps, np.zeros_like(steps)])
    still = RigidMotion(np.eye(3), (np.zeros((0, 2)),) * 2, SIZE)
    known = np.ones(SIZE, np.float32)
    return MotionLayers((first, last), SIZE, (still, still), (tiles, tiles), (field, -field), (known, known),
                        (known, known), (None, None), order=np.arange(3))  # fmt: skip


def test_flow_that_tears_less_and_is_more_alike_is_taken():
    torn = layers_of(STEP + 10)
    whole = replace(layers_of(STEP), label=(np.full(SIZE, FREE, np.int16),) * 2)
    assert better_looking(torn, lambda: whole) is whole


def test_flow_that_tears_as_much_is_not_taken():
    torn, other = layers_of(STEP + 10), layers_of(STEP + 11)
    assert better_looking(torn, lambda: other) is torn


def test_flow_that_is_less_alike_is_not_taken_even_if_nothing_is_torn():
    torn, off = layers_of(STEP + 10), layers_of(STEP)
    off = replace(off, displacement=tuple(np.float32(4) * field for field in off.displacement))
    assert better_looking(torn, lambda: off) is torn


def test_layers_that_are_not_torn_are_compared_with_nothing():
    def never():
        raise AssertionError("no other layers are asked for")

    whole = layers_of(STEP)
    assert better_looking(whole, never) is whole


def test_posed_figures_and_masked_things_do_not_flow():
    def hypothesis(number, motion):
        return Hypothesis(number, motion, None, None)

    rigid = RigidMotion(np.eye(3), (np.zeros((0, 2)),) * 2, SIZE)
    figure = FigureMotion.__new__(FigureMotion)
    found = [hypothesis(FREE, None), hypothesis(0, rigid), hypothesis(1, rigid), hypothesis(2, figure)]
    chosen = np.array([[0, 1, 2, 3], [1, 1, 2, 3]], np.int16)
    thing = np.zeros(chosen.shape, bool)
    thing[0, 2] = True
    flowing = all_flowing(found, (chosen, chosen), [thing])
    assert flowing[0].tolist() == [[0, FLOW, 2, 3], [FLOW, FLOW, 2, 3]] and flowing[0].dtype == np.int16
