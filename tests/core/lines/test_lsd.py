"""The exact line segment detector: both engines, every scale, awkward pictures, numba present or not."""

import subprocess
import sys

import cv2
import numpy as np
import pytest
from betwixt.common import compiled_kernels
from betwixt.fcvg_core.lines.lsd import kernels as lsd_kernels
from betwixt.fcvg_core.lines.lsd.detector import lsd
from betwixt.fcvg_core.lines.lsd.sampling import gaussian_sample
from betwixt.fcvg_core.lines.segments import SCALES
from safetensors.numpy import load_file

from support.bootstrap import ROOT
from support.golden import STORED

PICTURES = ("building_120x160", "camera_160x192")
ENGINES = ("numba", "python")


def golden(picture):
    return load_file(STORED / "gluestick" / f"lsd_{picture}.safetensors")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("picture", PICTURES)
def test_equals_the_published_detector_bit_for_bit(picture, scale, engine):
    case = golden(picture)
    found = lsd(case["in.image"], scale, engine)
    expected = case[f"out.segments_scale{round(10 * scale):02d}"]
    assert found.dtype == np.float32 and len(expected) > 10
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("shape", [(8, 8), (1, 1), (1, 40), (40, 1), (2, 2), (37, 53), (96, 31)])
@pytest.mark.parametrize("scale", [0.3, 0.7, 1.0])
def test_engines_agree_on_awkward_sizes(shape, scale):
    noise = np.random.default_rng(3).integers(0, 256, shape, np.uint8)
    compiled, interpreted = (lsd(noise, scale, engine) for engine in ENGINES)
    assert compiled.shape[1] == 5
    np.testing.assert_array_equal(compiled, interpreted)


@pytest.mark.parametrize("level", [0, 77, 255])
@pytest.mark.parametrize("engine", ENGINES)
def test_flat_pictures_have_no_segments(level, engine):
    assert lsd(np.full((64, 64), level, np.uint8), 0.5, engine).shape == (0, 5)
    assert lsd(np.full((64, 64), level, np.uint8), 1.0, engine).shape == (0, 5)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_step_edge_is_one_segment_half_a_pixel_high(engine):
    picture = np.zeros((60, 100), np.uint8)
    picture[:, 50:] = 200
    found = lsd(picture, 1.0, engine)
    assert found.shape == (1, 5)
    np.testing.assert_allclose(found[0, [0, 2]], 50.0, atol=1e-6)  # the step lies between columns 49 and 50
    assert sorted(found[0, [1, 3]]) == [1.0, 59.0]
    assert found[0, 4] == 0.125


@pytest.mark.parametrize("engine", ENGINES)
def test_strides_do_not_matter_and_the_input_is_kept(engine):
    image = golden("building_120x160")["in.image"]
    wide = np.zeros((240, 320), np.uint8)
    wide[::2, ::2] = image
    for view in (wide[::2, ::2], np.asfortranarray(image), image[::-1].copy()[::-1]):
        for scale in (0.5, 1.0):
            before = view.copy()
            np.testing.assert_array_equal(lsd(view, scale, engine), lsd(image, scale, engine))
            np.testing.assert_array_equal(view, before)


def test_sampling_keeps_levels_and_places_pixels():
    assert gaussian_sample(np.full((31, 47), 9, np.uint8), 0.4).shape == (13, 19)
    np.testing.assert_allclose(gaussian_sample(np.full((31, 47), 9, np.uint8), 0.4), 9.0, rtol=1e-14)
    ramp = np.tile(np.arange(200, dtype=np.uint8), (40, 1))
    sampled = gaussian_sample(ramp, 0.5)
    np.testing.assert_allclose(sampled[10, 10:90], 2.0 * np.arange(10, 90), atol=1e-12)  # x of input = x / scale


def test_compiled_and_plain_scalars_are_the_same_bits():
    kernels = compiled_kernels.compiled(lsd_kernels)
    random = np.random.default_rng(0)
    for n, k in random.integers(0, 400, (200, 2)).tolist():
        for p in (0.125, 0.125 / 8):
            arguments = (n, min(n, k), p, 12.5)
            assert kernels.log_false_alarms(*arguments) == lsd_kernels.log_false_alarms(*arguments)


def test_the_number_of_false_alarms_is_the_binomial_tail():
    from scipy.stats import binom

    for n, k in ((20, 9), (100, 30), (400, 90), (7, 7)):
        expected = -np.log10(binom.sf(k - 1, n, 0.125)) - 3.0
        assert lsd_kernels.log_false_alarms(n, k, 0.125, 3.0) == pytest.approx(expected, abs=0.05)


def test_works_and_gives_the_same_without_numba(tmp_path):
    code = f"""
import sys; sys.path.insert(0, {str(ROOT)!r}); sys.modules["numba"] = None
import numpy
from betwixt.fcvg_core.lines.segments import detect_segments
picture = numpy.load({str(tmp_path / "picture.npy")!r})
numpy.save({str(tmp_path / "found.npy")!r}, detect_segments(picture, 50)[0])
"""
    from betwixt.fcvg_core.lines.segments import detect_segments

    picture = golden("camera_160x192")["in.image"]
    np.save(tmp_path / "picture.npy", picture)
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, cwd=ROOT.anchor)
    expected, _ = detect_segments(picture, 50)
    np.testing.assert_array_equal(np.load(tmp_path / "found.npy"), expected)


def test_asking_for_numba_without_numba_is_an_import_error(monkeypatch):
    compiled_kernels._twins.cache_clear()
    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.raises(ImportError):
        lsd(golden("building_120x160")["in.image"], 1.0, "numba")


def test_compiles_where_no_cache_can_be_written(monkeypatch):
    from numba.core.caching import CacheImpl

    monkeypatch.setattr(CacheImpl, "_locator_classes", [])
    compiled_kernels._twins.cache_clear()
    try:
        angle = np.zeros(1)
        compiled_kernels.compiled(lsd_kernels).gradient_angles(np.ones(1), np.ones(1), np.zeros(1, np.int64), angle)
        assert angle[0] == pytest.approx(-np.pi / 4)
    finally:
        compiled_kernels._twins.cache_clear()  # later tests get functions with a cache again


def test_numba_is_not_imported_with_the_module():
    code = f"""
import sys; sys.path.insert(0, {str(ROOT)!r})
import betwixt.fcvg_core.lines.segments
assert "numba" not in sys.modules and "llvmlite" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, cwd=ROOT.anchor)


def test_finds_the_drawn_lines_at_every_scale():
    picture = np.full((200, 300), 230, np.uint8)
    drawn = np.array([[[30, 40], [260, 40]], [[40, 170], [150, 60]], [[200, 60], [270, 180]]])
    for start, end in drawn.tolist():
        cv2.line(picture, start, end, 20, 9, cv2.LINE_AA)
    for scale in SCALES:
        middles = lsd(picture, scale)[:, :4].reshape(-1, 2, 2).mean(axis=1)
        distances = np.linalg.norm(middles[None] - drawn.mean(axis=1)[:, None], axis=-1)
        assert (np.sort(distances, axis=1)[:, 1] < 9).all()  # both edges of every stroke
