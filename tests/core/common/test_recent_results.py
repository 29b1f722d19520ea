import numpy as np
import pytest
from betwixt.common.recent_results import RecentResults, made_once, recent_results
from betwixt.fcvg_core.lines.weight_free import motion_hypotheses

calls = []


@made_once
def doubled(array: np.ndarray) -> np.ndarray:
    calls.append(array.copy())
    return array * 2


def test_the_same_contents_are_worked_on_once_and_others_again():
    recent_results.forget()
    calls.clear()
    array = np.arange(6, dtype=np.float32)
    first = doubled(array)
    assert doubled(array.copy()) is first and len(calls) == 1
    array[0] = 1  # the same array, other contents
    np.testing.assert_array_equal(doubled(array), [2, 2, 4, 6, 8, 10])
    doubled(array.reshape(2, 3))
    doubled(array.view(np.int32))
    assert len(calls) == 4
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 7


def test_what_is_kept_is_bounded_and_the_newest():
    recent = RecentResults(most=100, largest=60)
    recent.keep(b"large", np.zeros(61, np.uint8))
    assert recent.get(b"large") is None
    for key in (b"a", b"b"):
        recent.keep(key, (np.zeros(20, np.uint8), np.zeros(20, np.uint8)))
    assert recent.get(b"a") is not None
    recent.keep(b"c", np.zeros(40, np.uint8))
    assert [recent.get(key) is None for key in (b"a", b"b", b"c")] == [False, True, False]


def test_matching_again_finds_its_features_and_flow(monkeypatch):
    recent_results.forget()
    picture = np.random.default_rng(0).integers(0, 256, (12, 20), np.uint8).repeat(12, axis=0).repeat(12, axis=1)
    moved = np.roll(picture, 4, axis=1)
    made = motion_hypotheses.motion_hypotheses(picture, moved)
    monkeypatch.setattr(motion_hypotheses.cv2, "SIFT_create", None)
    monkeypatch.setattr(motion_hypotheses.cv2, "DISOpticalFlow_create", None)
    for one, again in zip(made, motion_hypotheses.motion_hypotheses(picture, moved), strict=True):
        np.testing.assert_array_equal(one.displacement, again.displacement)
    with pytest.raises(TypeError):
        motion_hypotheses.motion_hypotheses(moved, picture)
