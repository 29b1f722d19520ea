from dataclasses import dataclass, field

import pytest
import torch
from betwixt.fcvg_core.sampling import fusion_samplers
from betwixt.fcvg_core.sampling.noise_levels import karras_sigmas

FIRST, LAST = torch.full((4, 2, 2), 1.0), torch.full((4, 2, 2), -1.0)


@dataclass
class Pulling:
    """Denoises to 0.2 forward and -0.3 backward, whatever the latents; counts calls."""

    calls: list = field(default_factory=list)

    def fused(self, x, sigma):
        self.calls.append(("fused", float(sigma)))
        return torch.full_like(x, 0.2)

    def forward(self, x, sigma):
        self.calls.append(("forward", float(sigma)))
        return torch.full_like(x, 0.2), torch.zeros_like(x)

    def backward(self, x, sigma):
        self.calls.append(("backward", float(sigma)))
        return torch.full_like(x, -0.3), torch.zeros_like(x)


def start(steps, frames=5):
    generator = torch.Generator().manual_seed(0)
    sigmas = karras_sigmas(steps)
    noise = torch.randn(frames, 4, 2, 2, generator=generator)
    return noise * sigmas[0], sigmas, lambda: torch.randn(frames, 4, 2, 2, generator=generator)


def ignore(step, x, denoised):
    pass


def test_the_default_schedule_of_trf():
    order = fusion_samplers.trf_schedule(50, 5, 2, 0.8)
    rewind = [-1 - step for step in (9, 8, 7, 6, 5)]
    assert order == [*range(10), *rewind, *range(5, 50)]
    assert sum(entry >= 0 for entry in order) == 55


@pytest.mark.parametrize(
    "steps, jump, samples, ratio", [(3, 5, 2, 0.8), (10, 3, 1, 0.0), (12, 1, 3, 0.0), (1, 1, 2, 0)]
)
def test_every_schedule_of_trf_ends_denoised_and_never_leaves_the_levels(steps, jump, samples, ratio):
    level = 0
    for entry in fusion_samplers.trf_schedule(steps, jump, samples, ratio):
        if entry >= 0:
            assert entry == level
            level += 1
        else:
            assert -1 - entry == level - 1
            level -= 1
    assert level == steps


@pytest.mark.parametrize("mode", ["fcvg", "trf", "gi"])
def test_fused_modes_arrive_at_the_denoised_clip(mode):
    x, sigmas, draw = start(12)
    if mode == "fcvg":
        out = fusion_samplers.sample_fcvg(Pulling(), x, sigmas, ignore)
    elif mode == "trf":
        out = fusion_samplers.sample_trf(Pulling(), x, sigmas, ignore, draw, 2, 2, 0.3)
    else:
        out = fusion_samplers.sample_gi(Pulling(), x, sigmas, ignore, draw, 2, 0.5)
    assert (out - 0.2).abs().max() < 1e-4  # what is left of sigma 700 after float32 steps


def test_gi_repeats_the_first_half():
    x, sigmas, draw = start(8)
    denoiser = Pulling()
    fusion_samplers.sample_gi(denoiser, x, sigmas, ignore, draw, repeats=3, ratio=0.5)
    wanted = [sigma for step, sigma in enumerate(sigmas[:-1].tolist()) for _ in range(4 if step < 4 else 1)]
    assert [sigma for _, sigma in denoiser.calls] == wanted


def test_the_published_guidance_of_trf_and_the_fault_agree_without_rewinds():
    x, sigmas, draw = start(6)
    plain = fusion_samplers.sample_trf(Pulling(), x, sigmas, ignore, draw, jump_samples=1)
    stale = fusion_samplers.sample_trf(Pulling(), x, sigmas, ignore, draw, jump_samples=1, stale_input_scale=True)
    assert torch.equal(plain, stale)


def test_vibid_puts_the_far_key_frame_in_place_and_alternates():
    x, sigmas, draw = start(3)
    denoiser = Pulling()
    seen = []
    out = fusion_samplers.sample_vibid(
        denoiser, x, sigmas, lambda step, before, denoised: seen.append(denoised), draw, FIRST, LAST
    )
    assert [name for name, _ in denoiser.calls] == ["forward", "backward"] * 3
    assert all(torch.equal(denoised[-1], LAST) for denoised in seen)
    # the last half-step goes backward to sigma 0: its denoised clip, turned around, with the first key frame first
    assert torch.equal(out[0], FIRST) and (out[1:] + 0.3).abs().max() == 0


@pytest.mark.parametrize("mode", ["fcvg", "trf", "gi", "vibid"])
def test_an_exception_in_the_report_stops_within_a_step(mode):
    x, sigmas, draw = start(6)
    denoiser = Pulling()

    def cancel(step, *_):
        if step == 1:
            raise KeyboardInterrupt

    samplers = {
        "fcvg": lambda: fusion_samplers.sample_fcvg(denoiser, x, sigmas, cancel),
        "trf": lambda: fusion_samplers.sample_trf(denoiser, x, sigmas, cancel, draw),
        "gi": lambda: fusion_samplers.sample_gi(denoiser, x, sigmas, cancel, draw, 0),
        "vibid": lambda: fusion_samplers.sample_vibid(denoiser, x, sigmas, cancel, draw, FIRST, LAST),
    }
    with pytest.raises(KeyboardInterrupt):
        samplers[mode]()
    assert len({sigma for _, sigma in denoiser.calls}) == 2
