"""The parts of the PatchMatch engines whose mistakes would only show as a slightly worse picture."""

import numpy as np
import pytest
import torch
from betwixt.common.helpers import Helpers
from betwixt.rerender_core.ebsynth.synthesis.engines import masked_engine, numba_engine, torch_engine
from betwixt.rerender_core.ebsynth.synthesis.engines.numba_kernels import BLOCKED
from betwixt.rerender_core.ebsynth.synthesis.engines.patch_features import PatchFeatures
from betwixt.rerender_core.ebsynth.synthesis.float_voting import float_vote
from betwixt.rerender_core.ebsynth.synthesis.occupancy import covered
from betwixt.rerender_core.ebsynth.synthesis.patch_error import patch_error
from betwixt.rerender_core.ebsynth.synthesis.pyramid import level_size, resample_mask, upscale_nnf
from betwixt.rerender_core.ebsynth.synthesis.search_level import Level, Search, search_radii
from betwixt.rerender_core.ebsynth.synthesis.voting import VOTINGS, vote

from support.truth.synthesis_energy import match_count

ENGINES = {"numba": numba_engine.solve, "torch": torch_engine.solve, "masked": masked_engine.solve}
SOURCE, TARGET = (30, 41), (150, 37)  # tall enough for two bands


def nothing() -> None:
    pass


def random_level(seed=0, modulated="", usable=None) -> Level:
    """``modulated``: "" = not, "by steps" of all sizes, "on or off"."""
    random = np.random.default_rng(seed)

    def picture(size, channels):
        small = random.integers(0, 256, (2, size[0] // 3 + 1, size[1] // 3 + 1, channels), np.uint8)
        return torch.from_numpy(small.repeat(3, 1).repeat(3, 2)[:, : size[0], : size[1]].copy())

    weights = torch.tensor([0.3, 0.3, 0.3, 2.0, 2.0, 2.0, 0.2])
    modulation = picture(TARGET, 4) if modulated else None
    if modulated == "on or off":
        modulation = modulation.ge(100).to(torch.uint8) * 255
    return Level(picture(SOURCE, 7), picture(TARGET, 4), weights, 3, modulation, usable)


def random_nnf(seed, patch) -> torch.Tensor:
    random, radius = np.random.default_rng(seed), patch // 2
    x = random.integers(radius, SOURCE[1] - radius, (2, *TARGET))
    y = random.integers(radius, SOURCE[0] - radius, (2, *TARGET))
    return torch.from_numpy(np.stack([x, y], axis=-1)).int()


def search_of(patch=5, votes=1, matches=0, uniformity=3500.0, voting="plain") -> Search:
    return Search(patch, uniformity, votes, matches, voting, 0, 3)


@pytest.mark.parametrize("modulated", ["", "by steps", "on or off"])
@pytest.mark.parametrize("patch", [3, 5, 9])
@pytest.mark.parametrize(("engine", "tolerance"), [("numba", 5e-3), ("torch", 1e-5), ("masked", 1e-5)])
def test_engines_measure_and_vote_like_the_definitions(engine, tolerance, patch, modulated):
    level, nnf = random_level(modulated=modulated), random_nnf(1, patch)
    nnf[:, 5:9, 7:12] = -1
    result = ENGINES[engine](level, nnf, search_of(patch), nothing)
    image = vote(level.style, nnf, patch)
    assert torch.equal(result.nnf, nnf)
    assert torch.equal(result.image, image)
    modulation = None
    if modulated:
        modulation = torch.cat([torch.full_like(image, 255), level.modulation], dim=-1)
    target = torch.cat([image, level.target], dim=-1)
    expected = patch_error(level.source, target, level.weights, nnf, patch, modulation)
    difference = (result.error - expected).abs()
    assert float(difference.max() / expected.max()) < tolerance
    assert float(difference.mean() / expected.mean()) < tolerance / 3


@pytest.mark.parametrize("voting", ["clamped", "weighted"])
@pytest.mark.parametrize("engine", ENGINES)
def test_engines_vote_in_the_other_ways_too(engine, voting):
    level, nnf = random_level(), random_nnf(1, 5)
    result = ENGINES[engine](level, nnf, search_of(voting=voting), nothing)
    expected = vote(level.style, nnf, 5, voting, result.error)
    assert torch.equal(result.image, expected)


@pytest.mark.parametrize("engine", ENGINES)
def test_search_only_improves(engine):
    """With one vote and no uniformity, every match ends at an error no larger than it began with."""
    level, nnf = random_level(), random_nnf(1, 5)
    before = ENGINES[engine](level, nnf, search_of(uniformity=0.0), nothing)
    after = ENGINES[engine](level, nnf, search_of(matches=2, uniformity=0.0), nothing)
    assert (after.error <= before.error + 1.0).all()
    assert float(after.error.mean()) < 0.6 * float(before.error.mean())


@pytest.mark.parametrize("engine", ENGINES)
def test_unmatched_pixels_stay_unmatched_and_matches_usable(engine):
    usable = torch.zeros(2, *SOURCE, dtype=torch.bool)
    usable[:, 10:20, 12:33] = True
    level = random_level(usable=usable)
    nnf = torch.empty(2, *TARGET, 2, dtype=torch.int32)
    nnf[..., 0], nnf[..., 1] = 15, 11
    nnf[:, :40] = -1
    result = ENGINES[engine](level, nnf, search_of(votes=2, matches=3), nothing)
    assert (result.nnf[:, :40] == -1).all() and (result.error[:, :40] == 0).all()
    x, y = result.nnf[:, 40:].unbind(-1)
    assert usable[0][y.long(), x.long()].all()
    assert len(torch.unique(y * 100 + x)) > 100


@pytest.mark.parametrize("engine", [torch_engine, masked_engine])
def test_torch_engines_keep_their_counts(engine):
    level, search = random_level(), search_of()
    others = (Helpers(level.source.device),) if engine is torch_engine else ()
    state = engine._Matching(level, random_nnf(2, 5), search, *others)
    state.begin_search(state.vote("plain"))
    for sign in (1, -1):
        state.propagate(0, sign)
        state.propagate(sign, 0)
        state.random_search(None)
    count = match_count(state.coordinates(), SOURCE).flatten().float()
    assert torch.equal(state.count[: len(count)], count)


def test_compiled_engine_keeps_its_occupancy_map():
    level, search = random_level(), search_of(matches=2)
    problem = numba_engine._Problem(level, search, (0, random_nnf(2, 5)[0]))
    assert problem.band_count == 2
    with Helpers(torch.device("cpu")) as helpers:
        numba_engine._vote([problem], helpers)
        numba_engine._search([problem], helpers, 0)
    nnf = torch.from_numpy(problem.coordinates())[None]
    expected = covered(covered(match_count(nnf, SOURCE), 5), 5)[0].numpy()
    kept = problem.occupied_by_all().reshape(-1, SOURCE[1])[3:-3]
    np.testing.assert_array_equal(kept[2:-2, 2:-2], expected[2:-2, 2:-2])
    assert (np.abs(kept[:2] - BLOCKED) < BLOCKED // 4).all()


@pytest.mark.parametrize("voting", VOTINGS)
@pytest.mark.parametrize("patch", [3, 5])
def test_votes_in_float_are_those_in_eight_bit_before_truncation(voting, patch):
    level, nnf = random_level(), random_nnf(6, patch)
    nnf[:, 5:19, 7:22] = -1
    error = torch.rand(nnf.shape[:3], generator=torch.Generator().manual_seed(0)) * 1e5
    expected = vote(level.style, nnf, patch, voting, error)
    for style, matches, errors, eight_bit in zip(level.style, nnf, error, expected, strict=True):
        voted = float_vote(style.double(), matches, patch, voting, errors)
        lost = voted - eight_bit
        assert float(lost.min()) > -1e-3 and float(lost.max()) < 1 + 1e-3
        assert float((voted + 1e-9).floor().sub(eight_bit).ne(0).double().mean()) < 1e-3


@pytest.mark.parametrize("patch", [3, 5, 9])
def test_lower_bounds_hold_and_are_close(patch):
    level, nnf = random_level(), random_nnf(4, patch)
    image = vote(level.style, nnf, patch)
    features = PatchFeatures(level, patch, nnf[..., 0].numel())
    features.set_target_style(image)
    flat = nnf[..., 1].long() * SOURCE[1] + nnf[..., 0].long() + torch.arange(2).view(2, 1, 1) * SOURCE[0] * SOURCE[1]
    bounds = features.lower_bound(slice(0, flat.numel()), flat.flatten())
    error = patch_error(level.source, torch.cat([image, level.target], dim=-1), level.weights, nnf, patch).flatten()
    assert (bounds <= error).all()
    assert float((bounds / error).mean()) > 0.3


def test_radii_double_up_to_the_longer_side():
    assert search_radii((30, 41)) == [1, 2, 5, 10, 20, 41]
    assert search_radii((512, 512)) == [2**n for n in range(10)]


@pytest.mark.parametrize("size", [(40, 48), (37, 53)])
def test_coarse_masks_serve_every_fine_pixel(size):
    mask = torch.from_numpy(np.random.default_rng(0).random((2, *size)) > 0.97)
    small = level_size(size, 0, 2)
    coarse = resample_mask(mask, small, size)
    nnf = torch.where(coarse[..., None], torch.tensor([15, 15]), torch.tensor([-1, -1])).int()
    matched = upscale_nnf(nnf, size, size, 5)[..., 0] >= 0
    assert matched[mask].all()
    assert float(coarse.float().mean()) < 0.2
