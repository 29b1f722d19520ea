"""Motion layers of drawn scenes with known motion, and the parts they are found and rendered with."""

import cv2
import numpy as np
import pytest
from betwixt.fcvg_core.inbetween.clip import render_clip
from betwixt.fcvg_core.inbetween.finding.guided_filter import GuidedFilter
from betwixt.fcvg_core.inbetween.finding.hiding import hidden_behind
from betwixt.fcvg_core.inbetween.finding.hypotheses import Hypothesis
from betwixt.fcvg_core.inbetween.finding.labelling import find_layers
from betwixt.fcvg_core.inbetween.finding.likeness import gradient
from betwixt.fcvg_core.inbetween.finding.plain_flow import FLOW, plain_where_as_good, structure
from betwixt.fcvg_core.inbetween.finding.refitting import _fit
from betwixt.fcvg_core.inbetween.key_frames import DETAIL, layers_of_pair, solved_size
from betwixt.fcvg_core.inbetween.layers import FREE
from betwixt.fcvg_core.inbetween.motion.candidates import repeats, rigid_candidates
from betwixt.fcvg_core.inbetween.motion.motions import RigidMotion, pixel_grid, similarity_matrix, transformed
from betwixt.fcvg_core.inbetween.rendering import splatting
from betwixt.fcvg_core.inbetween.rendering.layer_renderer import LayerRenderer
from betwixt.fcvg_core.inbetween.rendering.splatting import Splatter, nearest_known

from support.pictures.drawn_scenes import drawn_layers
from support.pictures.moved_pictures import moved_clip, part_way, similarity
from support.truth.frame_quality import psnr

SIZE = (144, 256)
TIMES = [0.25, 0.5]


def drawn(kind, scene="objects", seed=3):
    random = np.random.default_rng([seed, len(kind)])
    first, last, truth, *_ = moved_clip(drawn_layers(scene, SIZE, random, True), kind, SIZE, random, TIMES)
    return (first, last), truth


def floats(pair):
    return tuple(picture / np.float32(255) for picture in pair)


def quality(layers, truth):
    renderer = LayerRenderer(layers)
    frames = [(renderer.frame(time)[0] * 255).round().astype(np.uint8) for time in TIMES]
    return np.mean([psnr(frame, true) for frame, true in zip(frames, truth, strict=True)])


@pytest.mark.parametrize(
    ("kind", "least", "gain"), [("rotation", 33, 5), ("independent", 25, 2), ("combined", 23.4, 0.85)]
)
def test_layers_come_nearer_to_the_truth_than_optical_flow(kind, least, gain):
    pair, truth = drawn(kind)
    with_layers = quality(layers_of_pair(floats(pair)), truth)
    with_flow = quality(find_layers(pair, []), truth)
    assert with_layers > least
    assert with_layers > with_flow + gain


def test_what_turns_keeps_to_its_arc():
    random = np.random.default_rng(2)
    layers = drawn_layers("objects", SIZE, random, True)
    first, last, *_ = moved_clip(layers, "rotation", SIZE, random, TIMES)
    found = layers_of_pair(floats((first, last)))
    number = np.bincount(found.label[0][found.label[0] >= 0]).argmax()
    motion = found.motions[number]
    points = np.array([[60.0, 40.0], [200.0, 100.0]])
    half = points + 0.5 * motion.displacement(0, points) + motion.detour(0, points, 0.5)
    assert np.abs(half - transformed(part_way(motion.matrix, 0.5), points)).max() < 0.2


def test_rigid_motions_turn_about_their_own_centre_where_wanted():
    motion = RigidMotion(similarity((50, 40), np.radians(60), shift=(10, 0)), (np.zeros((0, 2)),) * 2, (100, 100))
    centre = np.array([[70.0, 40.0]])
    for side in (0, 1):
        points = centre if side == 0 else centre + motion.displacement(0, centre)
        assert np.abs(motion.detour(side, points, 0.4, complex(70, 40))).max() < 1e-9
    assert np.abs(motion.detour(0, centre, 0.4)).max() > 1


def test_a_motion_in_a_larger_picture_moves_as_far_in_its_pixels():
    motion = RigidMotion(similarity_matrix(np.exp(0.2j) * 1.1, 3 - 2j), (np.zeros((0, 2)),) * 2, (100, 100))
    points = np.array([[10.0, 20.0], [90.0, 5.0]])
    double = motion.scaled(2.0)
    assert np.allclose(double.displacement(0, points * 2 + 0.5), 2 * motion.displacement(0, points))


def test_all_rigid_motions_are_among_the_candidates():
    random = np.random.default_rng(5)
    layers = drawn_layers("facade", SIZE, random, True)
    first, last, *_ = moved_clip(layers, "translation", SIZE, random, [])
    greys = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (first, last)]
    found = rigid_candidates(*greys)
    random = np.random.default_rng(5)
    drawn_layers("facade", SIZE, random, True)
    from support.pictures.moved_pictures import motions

    truth = motions("translation", len(layers), SIZE, random)[0]
    middle = np.array([SIZE[1] / 2, SIZE[0] / 2])
    off = [np.linalg.norm(transformed(motion.matrix, middle) - transformed(truth, middle)) for motion in found]
    assert min(off) < 1
    assert np.abs(found[-1].matrix - np.eye(3)).max() < 1e-3 or any(
        np.abs(motion.matrix - np.eye(3)).max() < 1e-3 for motion in found
    )


def test_repeats_of_a_fence_are_found():
    picture = np.full((120, 320), 200, np.uint8)
    for x in range(10, 320, 40):
        cv2.rectangle(picture, (x, 30), (x + 9, 110), 60, -1)
        cv2.line(picture, (x, 30), (x + 9, 20), 20, 2)
    assert min(abs(period - 40) for period in repeats(picture)) < 0.5


def test_light_that_changes_is_carried_over():
    pair, _ = drawn("rotation", seed=8)
    darker = (pair[0], (pair[1] * 0.75).astype(np.uint8))
    layers = layers_of_pair(floats(darker))
    assert all(light is not None for light in layers.light)
    assert abs(np.median(layers.light[0]) - 1 / 0.75) < 0.05
    assert layers.unexplained < 0.1
    level = [LayerRenderer(layers).frame(time)[0].mean() for time in (0.02, 0.5, 0.98)]
    assert level[0] > level[1] > level[2]
    assert abs(level[1] - (level[0] + level[2]) / 2) < 0.01


@pytest.mark.parametrize("shape", [(8, 8), (1, 100), (100, 1), (20, 300)])
def test_tiny_and_narrow_pictures_make_frames(shape):
    random = np.random.default_rng(1)
    pair = tuple(random.random((*shape, 3)).astype(np.float32) for _ in range(2))
    clip = render_clip(layers_of_pair(pair), [0, 0.4, 1, 1.2])
    assert clip.frames.shape == (4, *shape, 3)
    assert 0 <= clip.frames.min() and clip.frames.max() <= 1


def test_large_pictures_are_solved_small_and_rendered_large():
    assert solved_size(2160, 3840, "quick") == (288, DETAIL["quick"])
    assert solved_size(2160, 3840, "full") == (576, DETAIL["full"])
    assert solved_size(100, 200, "full") == (100, 200)
    pair, truth = drawn("rotation")
    big = tuple(cv2.resize(picture, (1024, 576), interpolation=cv2.INTER_CUBIC) for picture in pair)
    layers = layers_of_pair(floats(big), "quick")
    assert layers.size == (288, 512) and layers.pictures[0].shape == (576, 1024, 3)
    frame = LayerRenderer(layers).frame(0.5)[0]
    assert psnr(cv2.resize((frame * 255).astype(np.uint8), SIZE[::-1], interpolation=cv2.INTER_AREA), truth[1]) > 28


def test_compiled_and_plain_splats_agree(monkeypatch):
    random = np.random.default_rng(4)
    depth = random.integers(0, 4, (30, 40))
    places = (np.stack(np.meshgrid(np.arange(40), np.arange(30)), -1) + random.normal(0, 3, (30, 40, 2))).astype(
        np.float32
    )
    values = random.random((30, 40, 3)).astype(np.float32)
    splat = Splatter(depth)
    compiled = splat(places, values)
    monkeypatch.setattr(splatting, "numba_available", lambda: False)
    plain = splat(places, values)
    assert np.array_equal(compiled[1], plain[1])
    assert np.allclose(compiled[0], plain[0], atol=1e-5)


def test_what_is_in_front_covers_what_is_behind():
    depth = np.zeros((5, 8), int)
    depth[2, 2] = 1
    places = np.stack(np.meshgrid(np.arange(8), np.arange(5)), -1).astype(np.float32)
    places[2, 2] = (5, 2)
    out, top = Splatter(depth)(places, np.arange(40, dtype=np.float32).reshape(5, 8, 1))
    assert top[2, 5] == 1 and out[2, 5, 0] == 18
    assert top[2, 2] == -1  # nothing has come to lie where it was
    assert out[2, 6, 0] == 22


def test_holes_take_the_nearest_known_pixel():
    known = np.array([[True, False, False, False, True], [False] * 5])
    assert nearest_known(known, np.array([0, 4, 1, 8])).tolist() == [0, 4, 0, 4]
    assert nearest_known(np.zeros((2, 5), bool), np.arange(10)) is None


def test_the_guided_filter_smooths_within_edges_and_not_across():
    guide = np.zeros((40, 60, 3), np.uint8)
    guide[:, 30:] = (200, 120, 60)
    random = np.random.default_rng(6)
    clean = np.where(np.arange(60) < 30, 0.2, 0.8)[None].repeat(40, axis=0)
    noisy = (clean + random.normal(0, 0.1, clean.shape)).astype(np.float32)
    smooth = GuidedFilter(guide, 5)(noisy)
    assert np.abs(smooth - clean).mean() < 0.25 * np.abs(noisy - clean).mean()
    assert np.abs((smooth - clean)[:, 28:32]).mean() < 0.05
    assert np.allclose(GuidedFilter(guide, 5)(np.full((40, 60), 0.3, np.float32)), 0.3, atol=1e-4)


def test_what_no_motion_explains_dissolves_in_one_piece():
    """A disc that only the first key frame shows fades where it is, and nothing of it travels."""
    pair, _ = drawn("translation", seed=4)
    first = pair[0].copy()
    cv2.circle(first, (128, 80), 26, (250, 40, 40), -1)
    cv2.circle(first, (120, 74), 8, (20, 20, 220), -1)
    layers = layers_of_pair(floats((first, pair[1])))
    disc = np.zeros(SIZE, np.uint8)
    cv2.circle(disc, (128, 80), 20, 1, -1)
    ways = layers.displacement[0][disc > 0]
    assert np.abs(ways - ways.mean(axis=0)).max() < 4
    assert layers.explained[0][disc > 0].mean() < 0.3


def test_fits_leave_out_pixels_of_something_else():
    random = np.random.default_rng(0)
    points = random.uniform(0, 200, (2000, 2))
    true = similarity((100, 70), np.radians(8), shift=(5, -3))
    moved = transformed(true, points) + random.normal(0, 0.1, points.shape)
    moved[:300] += 3  # of something else
    off = similarity_matrix(complex(*true[:2, 0]) * 1.01, complex(*true[:2, 2]))
    fitted = _fit(off, points, moved)
    assert np.abs(transformed(fitted, points) - transformed(true, points)).max() < 0.05


def test_what_no_key_frame_shows_goes_on_beyond_their_borders():
    """A turning picture: the corners between the key frames are drawn out, without seams where known pixels end."""
    y, x = np.mgrid[0:120, 0:200].astype(np.float32)
    texture = cv2.GaussianBlur(np.random.default_rng(1).random((120, 200)).astype(np.float32), (0, 0), 2)
    grey = 0.2 + 0.6 * x / 200 + 0.15 * cv2.normalize(texture, None, -1, 1, cv2.NORM_MINMAX)
    picture = np.repeat(grey[..., None], 3, axis=-1)
    modes = cv2.BORDER_REFLECT_101, cv2.BORDER_REPLICATE, cv2.BORDER_REFLECT_101
    first, truth, last = (
        cv2.warpPerspective(picture, similarity((100, 60), angle), (200, 120), borderMode=mode)
        for angle, mode in zip(np.radians([0, 12, 24]), modes, strict=True)
    )
    frame, sure = LayerRenderer(layers_of_pair((first, last))).frame(0.5)
    assert (sure == 0).any()
    assert np.abs(frame - truth)[sure == 0].mean() < 0.1


def test_what_deforms_follows_one_flow_and_not_pieces():
    random = np.random.default_rng(11)
    (picture, _), _ = drawn("translation", seed=11)
    y, x = np.mgrid[0 : SIZE[0], 0 : SIZE[1]].astype(np.float32)
    bulge = 2.5 * np.sin(x / 30 + y / 40)
    last = cv2.remap(picture, x + bulge, y - bulge, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    pair = tuple(np.clip(p + random.normal(0, 1.5, p.shape), 0, 255).round().astype(np.uint8) for p in (picture, last))
    layers = layers_of_pair(floats(pair))
    assert all((label == FREE).mean() > 0.9 for label in layers.label)


@pytest.mark.parametrize(
    ("by_flow", "on_top", "alone", "taken"),
    [
        (0.100, 0.100, 0.101, 1),  # nothing deforms: motions alone, though flow costs no more
        (0.140, 0.090, 0.150, FLOW),  # much deforms, and motions alone explain less than flow
        (0.140, 0.090, 0.120, 2),  # much deforms in something that moves
    ],
)
def test_the_simplest_explanation_is_taken(by_flow, on_top, alone, taken):
    grid = pixel_grid(20, 30)
    still = RigidMotion(np.eye(3), (np.zeros((0, 2)),) * 2, (20, 30))
    rest, flow = (tuple(np.full_like(grid, way) for _ in range(2)) for way in (1, 2))
    wrong = tuple(np.zeros((20, 30), np.float16) for _ in range(2))
    found = [
        Hypothesis(FREE, None, flow, wrong),
        Hypothesis(0, still, None, None),
        Hypothesis(0, still, rest, wrong),
    ]
    chosen = tuple(np.full((20, 30), 2, np.int16) for _ in range(2))
    costs = {0: alone, 1: on_top, 2: by_flow}
    smooth = np.zeros((20, 30), np.float32)
    smooth[:, :10] = 1

    def cost(side, fields):
        """Optical flow finds nothing on a smooth surface, which tells nothing."""
        by = int(fields[side][0, 0, 0])
        return np.where(smooth > 0, costs[by], 0.45 if by == 2 else 0.1)

    simplest = plain_where_as_good(found, chosen, rest, [], grid, cost, (smooth, smooth))
    assert all((side == taken).all() for side in simplest)


def test_only_what_has_structure_tells():
    picture = np.full((20, 60, 3), 128, np.float32)
    picture[:, :10] += 30 * (np.arange(10) // 2 % 2)[None, :, None]
    weight = structure(gradient(picture))
    assert weight[:, :8].min() > 0.8 and weight[:, 25:].max() == 0


def test_what_is_covered_belongs_to_what_lies_behind():
    """A square goes 10 px to the right; the strip it comes to cover was taken for a part of it."""
    grid = pixel_grid(40, 60)
    still, right = (RigidMotion(similarity_matrix(1, step), (np.zeros((0, 2)),) * 2, (40, 60)) for step in (0, 10))
    found = [Hypothesis(number, motion, None, None) for number, motion in enumerate((still, right))]
    chosen = tuple(np.zeros((40, 60), np.int16) for _ in range(2))
    chosen[0][10:30, 10:33] = 1  # 10:30 the square, 30:33 the strip
    chosen[1][10:30, 20:40] = 1
    seen = tuple(np.ones((40, 60), np.float32) for _ in range(2))
    seen[0][10:30, 30:33] = 0
    fields = tuple(
        np.where((chosen[side] > 0)[..., None], np.float32([way, 0]), 0) for side, way in ((0, 10), (1, -10))
    )
    better = hidden_behind(found, chosen, chosen, fields, seen, np.arange(3), grid)
    assert (better[0][10:30, 10:30] == 1).all() and better[0].sum() == 400
    assert np.array_equal(better[1], chosen[1])
    seen[0][10:30, 30:33], seen[0][10:30, 28:30] = 1, 0  # two pixels are a rim
    assert np.array_equal(hidden_behind(found, chosen, chosen, fields, seen, np.arange(3), grid)[0], chosen[0])
