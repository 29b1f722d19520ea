"""ToonCrafter in the samplers and guiders of the host."""

import logging

import pytest
import torch
from betwixt.common.errors import BetwixtError

from support.runs.tooncrafter_graph import FRAMES, conditioned, decode, run, sample, text


@pytest.fixture
def nothing_is_loaded(monkeypatch):
    """Fails the test when the host begins to load models for sampling."""
    import comfy.sampler_helpers

    monkeypatch.setattr(comfy.sampler_helpers, "prepare_sampling", lambda *_, **__: pytest.fail("loads the model"))


def test_latent_and_conditionings_must_belong_together(tooncrafter, dynamicrafter, nothing_is_loaded):
    positive, negative, _, latent, _ = conditioned(tooncrafter)
    with pytest.raises(BetwixtError, match="5 frames of 64x64.*4 frames of 64x64"):
        sample(tooncrafter.model, positive, negative, {"samples": torch.zeros(5, 4, 8, 8)})
    with pytest.raises(BetwixtError, match="'negative' holds no key frames"):
        sample(tooncrafter.model, positive, text(tooncrafter, ""), latent)
    with pytest.raises(BetwixtError, match="made for ToonCrafter, the model is DynamiCrafter 512"):
        sample(dynamicrafter.model, positive, negative, latent)


def test_several_clips_are_takes_of_the_same_inbetweens(tooncrafter):
    """The first is what the seed gives alone, in every guidance; each is decoded by itself."""
    from betwixt.nodes.host.tooncrafter.sampling import rescaled_guidance

    model = tooncrafter.model.clone()
    model.set_model_sampler_post_cfg_function(rescaled_guidance(0.7))
    *conds, _, latent, references = conditioned(tooncrafter)
    *both_conds, _, both_latent, _ = conditioned(tooncrafter, clips=2)
    assert both_latent["samples"].shape == (2 * FRAMES, 4, 8, 8)
    alone = sample(model, *conds, latent)
    both = sample(model, *both_conds, both_latent)
    spread = float(alone.std())
    assert float((both[:FRAMES] - alone).abs().max()) < 1e-3 * spread
    assert float((both[FRAMES:] - alone).abs().mean()) > 0.1 * spread
    pictures = decode(tooncrafter, {**both_latent, "samples": both}, references=references, exact_ends=True)
    assert pictures.shape[0] == 2 * FRAMES
    single = decode(tooncrafter, {**latent, "samples": both[FRAMES:]}, references=references, exact_ends=True)
    assert torch.allclose(pictures[FRAMES:], single, atol=1e-5)


def test_conditionings_of_clips_of_different_length_are_refused(tooncrafter, nothing_is_loaded):
    positive, _, _, latent, _ = conditioned(tooncrafter, frame_count=2)
    _, negative, _, latent, _ = conditioned(tooncrafter)
    with pytest.raises(BetwixtError, match="clips of 2 \\(positive\\) and 4 \\(negative\\) frames"):
        sample(tooncrafter.model, positive, negative, latent)


def test_stock_samplers_agree_with_the_reference_sampler_where_they_should(tooncrafter):
    import comfy.sample
    from betwixt.nodes.tooncrafter.sampling import ReferenceDDIM, TrailingSigmas

    positive, negative, _, latent, _ = conditioned(tooncrafter)
    stock = sample(tooncrafter.model, positive, negative, latent, steps=4)
    (sigmas,), (sampler,) = run(TrailingSigmas, model=tooncrafter.model, steps=4), run(ReferenceDDIM, eta=0.0)
    noise = comfy.sample.prepare_noise(latent["samples"], 0)
    with torch.inference_mode():
        own = comfy.sample.sample_custom(
            tooncrafter.model,
            noise,
            3.0,
            sampler,
            sigmas,
            positive,
            negative,
            latent["samples"],
            disable_pbar=True,
            seed=0,
        )
    assert float((stock - own).abs().max()) < 5e-3 * float(own.std())


def test_step_counts_where_the_reference_returns_nan_work(tooncrafter):
    """The clamp matters in the update alone, so the network's part is a constant here."""
    from betwixt.nodes.host.tooncrafter.sampling import reference_ddim, sampling_sigmas

    sampling = tooncrafter.model.model.model_sampling

    class Denoiser:
        inner_model = type("Guider", (), {"inner_model": type("Model", (), {"model_sampling": sampling})})

        def __call__(self, x, sigma, **_):
            return 0.1 * torch.tanh(x)

    for steps in (*range(1, 40), 61, 103, 121, 122):
        sigmas = sampling_sigmas(sampling, "trailing", steps)
        for published_ends in (False, True):
            x = torch.randn(2, 4, 4, 4) * sigmas[0]
            options = {"eta": 1.0, "published_ends": published_ends}
            out = reference_ddim(**options).sampler_function(Denoiser(), x, sigmas, {"seed": 0}, disable=True)
            assert torch.isfinite(out).all(), (steps, published_ends)
            assert float(out.abs().max()) < 2


def test_a_run_split_in_two_draws_noise_where_the_first_part_ends(tooncrafter):
    from betwixt.nodes.host.tooncrafter.sampling import reference_ddim, sampling_sigmas

    sampling = tooncrafter.model.model.model_sampling

    class Denoiser:
        inner_model = type("Guider", (), {"inner_model": type("Model", (), {"model_sampling": sampling})})

        def __call__(self, x, sigma, **_):
            return torch.zeros_like(x)

    sigmas = sampling_sigmas(sampling, "trailing", 6)
    x = torch.randn(16, 4, 16, 16) * sigmas[0]
    out = reference_ddim(eta=1.0).sampler_function(Denoiser(), x, sigmas[:3], {"seed": 0}, disable=True)
    assert float(out.std() / sigmas[2]) == pytest.approx(1, abs=0.02)


def test_caches_of_a_run_do_not_change_it(tooncrafter, monkeypatch):
    from betwixt.nodes.host.tooncrafter import model as tooncrafter_model

    positive, negative, _, latent, _ = conditioned(tooncrafter)
    cached = sample(tooncrafter.model, positive, negative, latent, steps=3)
    plain = tooncrafter.model.clone()
    plain.remove_wrappers_with_key(tooncrafter_model.WRAPPERS.OUTER_SAMPLE, tooncrafter_model.KEY)
    assert torch.equal(sample(plain, positive, negative, latent, steps=3), cached)


def test_rescale_takes_the_whole_clip_s_deviation(tooncrafter):
    from betwixt.nodes.host.tooncrafter.sampling import with_deviation_of

    sampling = tooncrafter.model.model.model_sampling
    generator = torch.Generator().manual_seed(0)
    y, guided, conditional = torch.randn(3, FRAMES, 4, 8, 8, generator=generator)
    sigma = torch.full((FRAMES,), 3.0)
    out = with_deviation_of(sampling, sigma, guided, conditional, y, 1.0)
    wanted, found = (sampling.network_output(sigma, value, y).std() for value in (conditional, out))
    assert float((wanted - found).abs()) < 1e-4 * float(wanted)
    assert torch.allclose(with_deviation_of(sampling, sigma, guided, conditional, y, 0.0), guided, atol=1e-5)


def test_guidance_that_takes_statistics_of_single_frames_is_told_from_other_guidance(host):
    from betwixt.nodes.host.tooncrafter.sampling import rescales_frame_by_frame

    def plain(args):
        return args["uncond"] + args["cond_scale"] * (args["cond"] - args["uncond"])

    def of_the_clip(args):
        return plain(args) * args["cond"].std() / plain(args).std()

    def of_each_frame(args):
        deviation = [value.std(dim=(1, 2, 3), keepdim=True) for value in (args["cond"], plain(args))]
        return plain(args) * deviation[0] / deviation[1]

    assert rescales_frame_by_frame(of_each_frame)
    for other in (None, plain, of_the_clip, lambda args: args["not there"]):
        assert not rescales_frame_by_frame(other)


def test_the_stock_rescale_is_warned_about(tooncrafter, caplog):
    from betwixt.nodes.tooncrafter.sampling import RescaleGuidance
    from comfy_extras.nodes_model_advanced import RescaleCFG

    stock = RescaleCFG().patch(tooncrafter.model, 0.7)[0]
    with caplog.at_level(logging.WARNING):
        run(RescaleGuidance, model=stock)
    assert "RescaleCFG" in caplog.text
    caplog.clear()
    positive, negative, _, latent, _ = conditioned(tooncrafter)
    sample(stock, positive, negative, latent, steps=1)
    assert caplog.text.count("frame by frame") == 1


def test_three_way_guidance_with_equal_strengths_is_ordinary_guidance(tooncrafter):
    import comfy.sample
    import comfy.samplers
    from betwixt.nodes.tooncrafter.sampling import RescaleGuidance, ThreeWayGuiderNode, TrailingSigmas

    positive, negative, pictures_only, latent, _ = conditioned(tooncrafter)
    (model,) = run(RescaleGuidance, model=tooncrafter.model, amount=0.7)
    ordinary = sample(model, positive, negative, latent, steps=2, cfg=5.0)
    inputs = {"positive": positive, "pictures_only": pictures_only, "negative": negative}
    (guider,) = run(ThreeWayGuiderNode, model=tooncrafter.model, **inputs, cfg_pictures=5.0, cfg_text=5.0, rescale=0.7)
    (sigmas,) = run(TrailingSigmas, model=tooncrafter.model, steps=2)
    noise = comfy.sample.prepare_noise(latent["samples"], 0)
    with torch.inference_mode():
        three_way = guider.sample(
            noise, latent["samples"], comfy.samplers.sampler_object("euler"), sigmas, disable_pbar=True, seed=0
        )
    assert float((three_way - ordinary).abs().max()) < 5e-3 * float(ordinary.std())


def test_other_models_are_refused(tooncrafter):
    from betwixt.nodes.tooncrafter.sampling import TrailingSigmas

    other = type("Patcher", (), {"model": object()})()
    with pytest.raises(BetwixtError, match="Load ToonCrafter"):
        run(TrailingSigmas, model=other)


def test_a_step_count_where_the_reference_returns_nan_works_with_the_network(tooncrafter):
    import comfy.sample
    from betwixt.nodes.tooncrafter.sampling import ReferenceDDIM, TrailingSigmas

    positive, negative, _, latent, _ = conditioned(tooncrafter)
    model, empty = tooncrafter.model, latent["samples"]
    (sigmas,) = run(TrailingSigmas, model=model, steps=7)
    (sampler,) = run(ReferenceDDIM, eta=1.0, published_ends=True)
    noise = comfy.sample.prepare_noise(empty, 0)
    with torch.inference_mode():
        out = comfy.sample.sample_custom(
            model, noise, 7.5, sampler, sigmas, positive, negative, empty, disable_pbar=True, seed=0
        )
    assert torch.isfinite(out).all() and float(out.std()) > 0.1


def test_stock_sampler_nodes_keep_the_origin_of_the_latent(tooncrafter, dynamicrafter):
    from betwixt.nodes.tooncrafter.sampling import ReferenceDDIM, TrailingSigmas
    from comfy_extras.nodes_custom_sampler import SamplerCustom

    positive, negative, _, latent, references = conditioned(tooncrafter)
    (sigmas,), (sampler,) = run(TrailingSigmas, model=tooncrafter.model, steps=1), run(ReferenceDDIM)
    inputs = {"model": tooncrafter.model, "positive": positive, "negative": negative, "latent_image": latent}
    samples = run(SamplerCustom, **inputs, sampler=sampler, sigmas=sigmas)[0]
    with pytest.raises(BetwixtError, match="latent is of ToonCrafter, the first stage of DynamiCrafter 512"):
        decode(dynamicrafter, samples, references=references)
