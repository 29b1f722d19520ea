"""The fused engine against the definitions. Needs Triton, which runs in its interpreter where there is no CUDA card."""

import pytest
import torch
from betwixt.rerender_core.ebsynth.synthesis.occupancy import covered
from betwixt.rerender_core.ebsynth.synthesis.patch_error import patch_error
from betwixt.rerender_core.ebsynth.synthesis.search_level import Level, Search, usable_centres
from betwixt.rerender_core.ebsynth.synthesis.voting import vote

from support.truth.synthesis_energy import match_count

CUDA = torch.cuda.is_available()
DEVICE = "cuda" if CUDA else "cpu"
B, SOURCE, TARGET, CHANNELS, PATCH = 2, (19, 23), (17, 21), 13, 5


@pytest.fixture(scope="module")
def engine():
    with pytest.MonkeyPatch.context() as patch:
        if not CUDA:
            patch.setenv("TRITON_INTERPRET", "1")
        pytest.importorskip("triton", reason="Triton comes with PyTorch's CUDA builds for Linux")
        from betwixt.rerender_core.ebsynth.synthesis.engines import triton_engine

        patch.setattr(triton_engine, "BLOCK", 128 if CUDA else 1024)
        yield triton_engine


@pytest.mark.parametrize("modulated", [False, True])
def test_kernels_compute_what_is_defined(engine, modulated):
    generator = torch.Generator().manual_seed(0)

    def picture(size, channels):
        return torch.randint(0, 256, (B, *size, channels), dtype=torch.uint8, generator=generator).to(DEVICE)

    usable = (torch.rand(B, *SOURCE, generator=generator) > 0.2).to(DEVICE)
    level = Level(
        picture(SOURCE, CHANNELS),
        picture(TARGET, CHANNELS - 3),
        torch.rand(CHANNELS, generator=generator),
        3,
        picture(TARGET, CHANNELS - 3) if modulated else None,
        usable,
    )
    centres = usable_centres(level, PATCH)
    fields = []
    for allowed in centres.cpu():
        places = torch.nonzero(allowed).flip(-1)
        fields.append(places[torch.randint(len(places), TARGET, generator=generator)])
    nnf = torch.stack(fields).int().to(DEVICE)
    nnf[:, :3, :4] = -1

    state = engine._Matching(level, nnf, Search(PATCH, 3500.0, 2, 2, "plain", 0, 0))
    image = state.vote("plain")
    assert torch.equal(image, vote(level.style, nnf, PATCH))

    target = torch.cat([image, level.target], dim=-1).contiguous()
    factors = None if not modulated else torch.cat([torch.full_like(image, 255), level.modulation], dim=-1)

    def errors(matches):
        weights = level.weights.to(DEVICE)
        return patch_error(level.source.contiguous(), target, weights, matches, PATCH, factors)

    state.begin_search(image)
    before = errors(nnf)
    torch.testing.assert_close(state.error.view(before.shape), before, rtol=1e-5, atol=0)
    count = match_count(nnf, SOURCE).float()
    cost = covered(covered(count, PATCH), PATCH) * state.unit_cost.view(-1, 1, 1)
    torch.testing.assert_close(state.cost.view(B, *SOURCE)[centres], cost[centres], rtol=1e-6, atol=0)
    assert torch.isinf(state.cost.view(B, *SOURCE)[~centres]).all()

    state.propagate(0, 1)
    state.propagate(-1, 0)
    state.random_search(None)
    found, matched = state.coordinates(), nnf[..., 0] >= 0
    torch.testing.assert_close(state.error.view(before.shape), errors(found), rtol=1e-5, atol=0)
    assert torch.equal(found[..., 0] >= 0, matched)
    b = torch.arange(B, device=DEVICE).view(-1, 1, 1).expand(matched.shape)
    assert centres[b[matched], found[..., 1][matched].long(), found[..., 0][matched].long()].all()
    assert torch.equal(state.count.view(B, *SOURCE), match_count(found, SOURCE).int())
    assert errors(found).mean() < 0.95 * before.mean()  # noise: no place fits well
