"""Values near the end of half precision: statistics and attention scores are taken in float32 and do not overflow."""

import numpy as np
import pytest
import torch
from betwixt.common.clips.recolour import recoloured
from betwixt.common.pictures import to_uint8
from betwixt.fcvg_core.sampling.backward_motion import attend, attention_map
from betwixt.fcvg_core.sampling.cross_normalisation import ControlMap, inject
from betwixt.fcvg_core.sampling.fusion import Fusion, guide
from betwixt.fcvg_core.sampling.noise_levels import SIGMA_MAX, karras_sigmas, timestep
from betwixt.rerender_core.ebsynth.blending.histogram_blend import histogram_blend
from betwixt.rerender_core.keyframes.clean_latent import AnchorTrace, adjusted, alphas_of, noised
from betwixt.tooncrafter_core.schedule import Schedule

LARGE = 3e4  # the end of float16 is 65504


def noise(*shape, scale: float, seed: int = 0) -> torch.Tensor:
    return scale * (2 * torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) - 1)


def assert_near(result: torch.Tensor, wanted: torch.Tensor, kind: torch.dtype) -> None:
    assert result.dtype == kind and result.isfinite().all()
    tolerance = 4 * torch.finfo(kind).eps
    assert (result.float() - wanted).norm() <= tolerance * wanted.norm()


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_cross_normalisation(kind):
    hidden, control = noise(2, 8, 6, 9, scale=LARGE), noise(2, 8, 12, 18, scale=LARGE, seed=1) + LARGE
    half_hidden, half_control = hidden.to(kind), control.to(kind)
    wanted = inject(half_hidden.float(), ControlMap.of(half_control.float(), (6, 9)), 1.0)
    assert_near(inject(half_hidden, ControlMap.of(half_control, (6, 9)), 1.0), wanted, kind)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_adaptive_latent_adjustment(kind):
    anchor, clean = noise(1, 4, 8, 8, scale=LARGE).to(kind), noise(1, 4, 8, 8, scale=LARGE / 2, seed=1).to(kind)

    def result(anchor, clean):
        trace = AnchorTrace()
        trace.record(0, anchor)
        return adjusted(clean, *trace.statistics(0))

    assert_near(result(anchor, clean), result(anchor.float(), clean.float()), kind)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_attention_over_frames(kind):
    """Scores of 10^9; a softmax of infinities would be NaN."""
    q, k, v = (noise(5, 7, 2 * 64, scale=LARGE, seed=seed).to(kind) for seed in range(3))
    probabilities = attention_map(q, k, 2)
    assert probabilities.isfinite().all()
    torch.testing.assert_close(probabilities.float().sum(dim=-1), torch.ones(5, 2, 7), rtol=0, atol=0.02)
    assert attend(probabilities, v).isfinite().all()


def test_guidance_and_fusion():
    """As the host has them, in float32, whatever the model computes in."""
    cond, uncond = (noise(3, 4, 6, 6, scale=LARGE, seed=seed) for seed in (0, 1))
    fused = Fusion().fuse(guide(cond, uncond, 7.5), guide(uncond, cond, 7.5))
    assert fused.isfinite().all() and fused.dtype == torch.float32 and fused.abs().max() > 65504


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_colours_in_lab(kind):
    """What a decoder puts out far beyond 0..1 is clamped before Lab, whose eight bits would wrap around."""
    picture, reference = (noise(24, 32, 3, scale=LARGE, seed=seed).to(kind) for seed in (0, 1))
    ends, other = to_uint8(picture), to_uint8(reference.abs() / LARGE)
    np.testing.assert_array_equal(ends, to_uint8(picture.float().clamp(0, 1)))
    assert set(np.unique(ends)) == {0, 255}
    for result in (recoloured(ends, other), recoloured(other, ends), histogram_blend(ends, other, other, 0.5)):
        assert result.dtype == np.uint8 and result.std() > 10


def test_noise_levels():
    """SVD's highest squared, and alphas down to one part in five million, are beyond half precision: 65504, 6e-8."""
    sigmas = karras_sigmas(25)
    assert sigmas.dtype == torch.float32 and sigmas[0] == SIGMA_MAX and (sigmas[:1] ** 2).isfinite()
    assert torch.isinf(sigmas[:1].half() ** 2)
    assert timestep(sigmas[:-1]).dtype == torch.float32 and timestep(sigmas[:-1]).isfinite().all()
    alphas = alphas_of(sigmas.half())
    assert alphas.dtype == torch.float64 and float(alphas[0]) == pytest.approx(1 / (1 + SIGMA_MAX**2))
    schedule = Schedule()
    assert all(
        torch.as_tensor(table).dtype in (torch.float32, torch.float64) for table in (schedule.alphas, schedule.scales)
    )


@pytest.mark.parametrize("alpha", [0.0, 1e-12, 1 - 1e-12])
def test_noising_at_the_ends_of_the_schedule(alpha):
    clean, added = (noise(1, 4, 8, 8, scale=LARGE, seed=seed) for seed in (0, 1))
    wanted = alpha**0.5 * clean.double() + (1 - alpha) ** 0.5 * added.double()
    torch.testing.assert_close(noised(clean, added, alpha).double(), wanted, rtol=1e-6, atol=1e-3)
