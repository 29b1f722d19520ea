"""What comes out torn dissolves in one piece, with optical flow, moving least squares or no motion of its own."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from betwixt.fcvg_core.inbetween.finding.hypotheses import optical_flow
from betwixt.fcvg_core.inbetween.finding.labelling import find_layers
from betwixt.fcvg_core.inbetween.finding.smooth_motions import SmoothMotions
from betwixt.fcvg_core.inbetween.layers import FREE
from betwixt.fcvg_core.inbetween.mending import dissolve_torn
from betwixt.fcvg_core.inbetween.motion.dissolve import Dissolve
from betwixt.fcvg_core.inbetween.motion.motions import RigidMotion, pixel_grid, similarity_matrix, transformed
from betwixt.fcvg_core.inbetween.rendering.layer_renderer import LayerRenderer
from betwixt.fcvg_core.inbetween.rendering.tears import half_way, torn_at
from betwixt.fcvg_core.inbetween.rendering.travel import Travel
from betwixt.fcvg_core.tweening.drawn_paths import DrawnPath
from betwixt.fcvg_core.tweening.moving_least_squares import least_squares_displacement

from support.pictures.moved_pictures import similarity

SIZE = (120, 160)
NOWHERE = (np.zeros((0, 2)),) * 2


def texture(seed, grain=2.0):
    noise = np.random.default_rng(seed).random((*SIZE, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), grain)
    return cv2.normalize(smooth, None, 20, 235, cv2.NORM_MINMAX).astype(np.uint8)


def flow_of(pair):
    greys = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in pair]
    return optical_flow(*greys), optical_flow(*greys[::-1])


def points_around(count=40):
    return np.random.default_rng(3).uniform((5, 5), (SIZE[1] - 5, SIZE[0] - 5), (count, 2))


def test_moving_least_squares_give_back_an_affine_motion():
    matrix = np.array([[1.1, 0.2, -8], [-0.15, 0.95, 6], [0, 0, 1.0]])
    source = points_around()
    way = least_squares_displacement(source, transformed(matrix, source), SIZE)
    grid = pixel_grid(*SIZE)
    assert way.shape == (*SIZE, 2) and way.dtype == np.float32
    assert np.abs(way - (transformed(matrix, grid) - grid)).max() < 0.5


def turned(seed):
    """A picture, the same turned by half a right angle, and points that tell so: too far for optical flow."""
    first = texture(seed)
    matrix = similarity((80, 60), np.radians(45))
    last = cv2.warpPerspective(first, matrix, SIZE[::-1], flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    points = points_around()
    return (first, last), (points, transformed(matrix, points))


def bent(seed):
    """A picture, the same bent in waves, and points that tell of nothing."""
    first = texture(seed)
    grid = pixel_grid(*SIZE)
    wave = 3 * np.sin(grid[..., ::-1] / 9)
    last = cv2.remap(first, grid + wave.astype(np.float32), None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    points = points_around()
    return (first, last), (points, points)


def strange(seed):
    points = points_around()
    return (texture(seed), texture(seed + 50)), (points, points + 9)


@pytest.mark.parametrize(
    ("made", "taken", "at_most"),
    [(turned, "moving least squares", 0.3), (bent, "flow", 0.45), (strange, "none", 1.0)],
)
def test_the_motion_that_brings_like_to_like_is_taken(made, taken, at_most):
    pair, points = made(4)
    motions = SmoothMotions(pair, flow_of(pair), points, [])
    region = np.zeros(SIZE, bool)
    region[30:90, 50:110] = True
    best, unlike = motions.best(region, FREE)
    assert best is (motions.still if taken == "none" else motions.own[taken])
    means = {name: motion.unlike[region].mean() for name, motion in motions.own.items()}
    assert unlike < at_most
    for name, mean in means.items():
        if taken != "none" and name != taken:
            assert unlike < mean - 0.1
        if taken == "none":
            assert mean > 0.9 * unlike


def test_what_is_around_is_better_than_standing_still_where_all_moves():
    first = texture(7)
    last = np.roll(first, 30, axis=1)
    motions = SmoothMotions(
        (first, last),
        (np.zeros((*SIZE, 2), np.float32),) * 2,
        NOWHERE,
        [RigidMotion(similarity_matrix(1, 30), NOWHERE, SIZE)],
    )
    region = np.zeros(SIZE, bool)
    region[30:90, 60:110] = True
    best, unlike = motions.best(region, 0)
    assert np.allclose(best.way[region], (30, 0), atol=1e-3) and unlike < 0.05
    assert motions.best(region, FREE)[0] is motions.still


def test_a_dissolve_leads_from_one_key_frame_to_the_other():
    way = np.full((*SIZE, 2), (10, -4), np.float32)
    everywhere, nowhere = np.ones(SIZE, np.float32), np.zeros(SIZE, np.float32)
    dissolve = Dissolve(everywhere, way, everywhere, (nowhere, nowhere))
    grid = pixel_grid(*SIZE)
    for time in (0.0, 0.25, 1.0):
        first, last = dissolve.sources(dissolve.half_way(time))
        assert np.allclose(grid - first, np.float32(time) * way, atol=1e-4)
        assert np.allclose(last - grid, np.float32(1 - time) * way, atol=1e-4)
    assert np.allclose(dissolve.from_side(1)[1], -way)


def test_outlines_tell_the_motion_of_a_whole_picture():
    first = texture(11, 9.0)
    last = np.roll(first, 12, axis=1)
    checks = np.where((np.add.outer(np.arange(48) // 6, np.arange(48) // 6) % 2)[..., None], 250, 5)
    for picture in (first, last):
        picture[36:84, 56:104] = checks
    ways = [RigidMotion(similarity_matrix(1, step), NOWHERE, SIZE) for step in (12, 0)]
    motions = SmoothMotions((first, last), (np.zeros((*SIZE, 2), np.float32),) * 2, NOWHERE, ways)
    assert np.allclose(motions.best_for_all().way, 0)
    (bent_pair, points), ways = bent(4), [RigidMotion(np.eye(3), NOWHERE, SIZE)]
    motions = SmoothMotions(bent_pair, flow_of(bent_pair), points, ways)
    assert motions.best_for_all() is motions.own["flow"]


def cut_up(seed=2, radius=36):
    """A still ground with a disc that changes its colour, cut into pieces that fly apart; layers and points."""
    ground = cv2.GaussianBlur(texture(seed, 6.0), (0, 0), 3)
    pair = [ground.copy(), ground.copy()]
    disc = np.zeros(SIZE, np.uint8)
    cv2.circle(disc, (80, 60), radius, 1, -1)
    for picture, face in zip(pair, ((230, 40, 40), (20, 20, 90)), strict=True):
        picture[disc > 0] = face
    still = RigidMotion(np.eye(3), NOWHERE, SIZE)
    ways = [RigidMotion(similarity_matrix(1, step), NOWHERE, SIZE) for step in (14, -14, 14j, -14j)]
    layers = find_layers(tuple(pair), [still])
    label, field, known = [], [], []
    tiles = (np.add.outer(np.arange(SIZE[0]) // 9, np.arange(SIZE[1]) // 9 * 3) % 4).astype(np.int16)
    for side in (0, 1):
        own = np.where(disc > 0, 1 + tiles, 0).astype(np.int16)
        moved = np.zeros((*SIZE, 2), np.float32)
        for number, motion in enumerate(ways):
            moved[own == number + 1] = motion.displacement(side, np.zeros((1, 2), np.float32))[0]
        label.append(own)
        field.append(moved)
        known.append(np.where(disc > 0, 0, 1).astype(np.float32))
    layers = replace(layers, motions=(still, *ways), label=tuple(label), displacement=tuple(field), seen=tuple(known),
                     explained=tuple(known), order=np.arange(6), light=(None, None))  # fmt: skip
    points = points_around()
    return layers, (points, points), disc > 0


def test_torn_pieces_become_one_dissolve():
    layers, points, disc = cut_up()
    before = half_way(layers, 0.35)
    assert before.torn[disc].mean() > 0.05 and before.unknown[disc].mean() > 0.4
    mended = dissolve_torn(layers, points)
    assert mended.dissolve is not None and mended.dissolve.share[disc].mean() > 0.95
    assert mended.dissolve.share[:, :20].max() == 0
    assert all((label[disc] == FREE).mean() > 0.99 for label in mended.label)
    faded = 0.75 * layers.pictures[0] + 0.25 * layers.pictures[1]
    frame = LayerRenderer(mended).frame(0.25)[0]
    assert np.abs(frame - faded)[disc].mean() < 0.35 * np.abs(LayerRenderer(layers).frame(0.25)[0] - faded)[disc].mean()
    assert np.abs(frame - faded).mean() < 0.02


def test_tears_of_other_times_are_told_half_way_and_mended():
    layers, points, disc = cut_up()
    mended = dissolve_torn(layers, points)
    near = cv2.dilate(disc.astype(np.uint8), np.ones((19, 19), np.uint8)) > 0  # pieces fly 7 px by then
    for time in (0.25, 0.75):
        torn = torn_at(layers, [time])
        assert torn[disc].mean() > 0.05 and not torn[~near].any()
        assert torn_at(mended, [time]).sum() < 0.05 * torn.sum()


def test_tears_that_half_way_does_not_have_are_mended(monkeypatch):
    layers, points, disc = cut_up()
    whole = half_way(layers, 0.35)
    unseen = replace(whole, torn=np.zeros(SIZE, bool))
    monkeypatch.setattr("betwixt.fcvg_core.inbetween.mending.half_way", lambda layers, known: unseen)
    assert dissolve_torn(layers, points).dissolve.share[disc].mean() > 0.95


def test_what_passes_in_front_of_a_dissolve_does_not_fade_with_it():
    layers, points, disc = cut_up()
    bar, way = np.zeros(SIZE, bool), np.zeros((1, 2), np.float32)
    bar[:, 60:76] = True
    motions = (*layers.motions, RigidMotion(similarity_matrix(1, 24), NOWHERE, SIZE))
    pictures, label, field, known = [], [], [], []
    for side in (0, 1):
        own = np.roll(bar, 24 * side, axis=1)
        pictures.append(np.where(own[..., None], np.float32((0, 1, 0)), layers.pictures[side]))
        label.append(np.where(own, 5, layers.label[side]).astype(np.int16))
        field.append(np.where(own[..., None], motions[5].displacement(side, way), layers.displacement[side]))
        known.append(np.where(own, 1, layers.seen[side]).astype(np.float32))
    layers = replace(layers, pictures=tuple(pictures), motions=motions, label=tuple(label), displacement=tuple(field),
                     seen=tuple(known), explained=tuple(known), order=np.arange(7))  # fmt: skip
    mended = dissolve_torn(layers, points)
    assert mended.dissolve.share[disc & ~bar].mean() > 0.5
    for time in (0.25, 0.5, 0.75):
        frame = LayerRenderer(mended).frame(time)[0]
        green = (frame[..., 1] > 0.8) & (frame[..., 0] < 0.2)
        now = np.roll(bar, round(24 * time), axis=1)
        assert green[now].mean() > 0.95  # whole, and
        assert green[~now].mean() < 0.01  # no ghost of it where the key frames have it
        faint = (frame[..., 1] - frame[..., 0] > 0.3) & ~now & disc
        assert faint.mean() < 0.01


def test_where_most_dissolves_all_does():
    layers, points, disc = cut_up(radius=75)
    assert 0.5 < disc.mean() < 0.85
    mended = dissolve_torn(layers, points)
    assert mended.dissolve.share.min() > 0.999 and np.allclose(mended.dissolve.way, 0)
    faded = 0.5 * (layers.pictures[0] + layers.pictures[1])
    assert np.abs(LayerRenderer(mended).frame(0.5)[0] - faded).max() < 0.01


@pytest.mark.parametrize("known", [0.0, 0.5, 1.0])
def test_what_is_doubtful_does_not_cover_what_is_known(known):
    layers, _, _ = cut_up()
    ground = layers.pictures[0].copy()
    ground[:] = 0.5
    crumbed = ground.copy()
    crumb = np.zeros(SIZE, bool)
    crumb[50:58, 62:70] = True
    crumbed[crumb] = (1, 0, 0)
    own = crumb.astype(np.int16)
    own[50:58, 70:86] = 3  # makes way for it
    field = np.zeros((*SIZE, 2), np.float32)
    for number in (1, 3):
        field[own == number] = layers.motions[number].displacement(0, np.zeros((1, 2), np.float32))[0]
    seen = np.where(crumb, known, 1).astype(np.float32)
    layers = replace(
        layers,
        pictures=(crumbed, ground),
        label=(own, np.zeros_like(own)),
        displacement=(field, np.zeros_like(field)),
        seen=(seen, np.ones_like(seen)),
        explained=(seen, np.ones_like(seen)),
    )
    off = np.abs(LayerRenderer(layers).frame(0.5)[0] - 0.5).max(axis=-1)
    place = np.s_[51:56, 71:75]
    assert (off[place] > 0.45).all() if known == 1 else (off < 0.4 * known + 0.01).all()


def test_what_layers_explain_is_left_alone():
    first = texture(9)
    matrix = similarity((80, 60), np.radians(10))
    last = cv2.warpPerspective(first, matrix, SIZE[::-1], flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    layers = find_layers((first, last), [RigidMotion(matrix, NOWHERE, SIZE)])
    assert dissolve_torn(layers, NOWHERE) is layers


def test_drawn_paths_pull_what_dissolves():
    layers, points, _ = cut_up()
    mended = dissolve_torn(layers, points)
    path = DrawnPath.sampled(np.array([[80.0, 60.0], [80.0, 40.0], [80.0, 60.0]]))
    plain, pulled = (LayerRenderer(mended, Travel(paths=paths, radius=60)).frame(0.5)[0] for paths in ((), (path,)))
    mixed = np.array([230 + 20, 40 + 20, 40 + 90]) / 510
    middles = [np.argwhere(np.abs(frame - mixed).max(axis=-1) < 0.03).mean(axis=0) for frame in (plain, pulled)]
    assert np.allclose(middles[0], (60, 80), atol=1)
    assert np.allclose(middles[1] - middles[0], (-12, 0), atol=4)
