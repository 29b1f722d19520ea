"""Sampling from both ends through the host's own sampling code, on the miniature SVD."""

import pytest
import torch

FRAMES, HEIGHT, WIDTH = 3, 8, 8


@pytest.fixture(scope="module")
def svd(host):
    from betwixt.nodes.host.svd.model import model_from

    from support.models import tiny_svd

    return model_from(tiny_svd.unet_weights(), "unet")[0]


@pytest.fixture(scope="module")
def encoder(host):
    from betwixt.nodes.host.svd.controlnext_model import controlnext_from

    from support.models import tiny_svd

    return controlnext_from(tiny_svd.controlnext_weights())


@pytest.fixture(scope="module")
def conds(host):
    return [*conditioning(1), *conditioning(2)]


def conditioning(seed):
    generator = torch.Generator().manual_seed(seed)
    embed = torch.randn(1, 1, 1024, generator=generator)
    latent = torch.randn(1, 4, HEIGHT, WIDTH, generator=generator)
    settings = {"motion_bucket_id": 127, "fps": 7, "augmentation_level": 0.02}
    return [[[embed * on, {**settings, "concat_latent_image": latent * on}]] for on in (1.0, 0.0)]


def pictures(frames=FRAMES, height=8 * HEIGHT, width=8 * WIDTH):
    return torch.rand(frames, height, width, 3, generator=torch.Generator().manual_seed(5))


def guider_of(model, conds, fusion=None, published=False):
    from betwixt.fcvg_core.sampling.fusion import Fusion
    from betwixt.nodes.host.svd.bidirectional_guider import BidirectionalGuider, BidirectionalSettings

    guider = BidirectionalGuider(model, BidirectionalSettings(fusion or Fusion(), published))
    guider.set_conds(*conds)
    return guider


def controlled(model, encoder, **video):
    from betwixt.nodes.host.svd.controlnext_patch import ConditionVideo, ControlNeXtPatch

    return ControlNeXtPatch(encoder, ConditionVideo(**{"pictures": pictures(), **video})).attach(model)


def sample(guider, steps=2, sampler="euler", seed=0, callback=None):
    import comfy.samplers
    from betwixt.fcvg_core.sampling.noise_levels import karras_sigmas

    noise = torch.randn(FRAMES, 4, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(seed))
    sampler = comfy.samplers.sampler_object(sampler) if isinstance(sampler, str) else sampler
    with torch.inference_mode():
        return guider.sample(
            noise,
            torch.zeros_like(noise),
            sampler,
            karras_sigmas(steps),
            callback=callback,
            disable_pbar=True,
            seed=seed,
        )


@pytest.fixture
def evaluations(svd, monkeypatch):
    """Counts the UNet's evaluations by batch entries (clips)."""
    counted = []
    forward = svd.model.diffusion_model.forward

    def count(x, *args, **kwargs):
        counted.append(x.shape[0] // FRAMES)
        return forward(x, *args, **kwargs)

    monkeypatch.setattr(svd.model.diffusion_model, "forward", count)
    return counted


@pytest.fixture
def nothing_loads(monkeypatch):
    import comfy.model_management

    def refuse(*args, **kwargs):
        raise AssertionError("a model was loaded before the mistake was reported")

    monkeypatch.setattr(comfy.model_management, "load_models_gpu", refuse)


def test_one_prediction_is_two_guided_ones_fused(svd, conds):
    """Against plain CFGGuiders of the host, one per direction, on the clip and on the reversed clip."""
    import comfy.samplers

    seen = {}

    def record(name):
        def callback(step, denoised, x, steps):
            seen.setdefault(name, denoised.clone())

        return callback

    sample(guider_of(svd, conds), callback=record("both"))
    for name, pair, flip in (("forward", conds[:2], False), ("backward", conds[2:], True)):
        guider = comfy.samplers.CFGGuider(svd)
        guider.set_conds(*pair)
        guider.set_cfg(3.0)
        if flip:
            noise = torch.randn(FRAMES, 4, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0)).flip(0)
        else:
            noise = torch.randn(FRAMES, 4, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))
        from betwixt.fcvg_core.sampling.noise_levels import karras_sigmas

        with torch.inference_mode():
            guider.sample(
                noise,
                torch.zeros_like(noise),
                comfy.samplers.sampler_object("euler"),
                karras_sigmas(2),
                callback=record(name),
                disable_pbar=True,
            )
    weights = torch.linspace(1, 0, FRAMES).view(-1, 1, 1, 1)
    expected = weights * seen["forward"] + (1 - weights) * seen["backward"].flip(0)
    assert (seen["both"] - expected).abs().max() < 1e-4
    assert (seen["forward"] - seen["backward"].flip(0)).abs().max() > 0.1


@pytest.mark.parametrize("guidance", [(3.0, 3.0), (1.0, 3.0)])
def test_the_stock_ksampler_gives_the_same_clip(svd, encoder, conds, guidance):
    import comfy.sample
    from betwixt.fcvg_core.sampling.fusion import Fusion
    from betwixt.nodes.host.svd.bidirectional_guider import BidirectionalModel, BidirectionalSettings

    model = controlled(svd, encoder)
    expected = sample(guider_of(model, conds, Fusion(guidance)))
    patched = BidirectionalModel(BidirectionalSettings(Fusion((guidance[0], 30.0))), *conds[2:]).attach(model)
    noise = torch.randn(FRAMES, 4, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))
    arguments = (2, guidance[1], "euler", "karras", *conds[:2], torch.zeros_like(noise))
    with torch.inference_mode():
        actual = comfy.sample.sample(patched, noise, *arguments, disable_pbar=True, seed=0)
    assert (actual - expected).abs().max() < 1e-3 * expected.abs().max()


def test_the_encoder_runs_once_per_step_on_every_frame(svd, encoder, conds, monkeypatch):
    frames = []
    encode, stem = encoder.model.encode, encoder.model.stem
    stems = []
    monkeypatch.setattr(encoder.model, "encode", lambda x, t: (frames.append(len(x)), encode(x, t))[1])
    monkeypatch.setattr(encoder.model, "stem", lambda x: (stems.append(len(x)), stem(x))[1])
    sample(guider_of(controlled(svd, encoder), conds), steps=3)
    assert sum(frames) == 3 * FRAMES and sum(stems) == FRAMES


def test_the_control_acts_on_the_conditional_half_alone(svd, encoder, conds):
    from betwixt.fcvg_core.sampling.fusion import Fusion

    unconditional = Fusion(guidance=(0.0, 0.0))
    plain = sample(guider_of(svd, conds, unconditional))
    assert torch.equal(sample(guider_of(controlled(svd, encoder), conds, unconditional)), plain)
    assert (sample(guider_of(controlled(svd, encoder), conds)) - sample(guider_of(svd, conds))).abs().max() > 1e-3


def test_chunks_of_the_batch_may_come_one_at_a_time(svd, encoder, conds, monkeypatch, evaluations):
    together = sample(guider_of(controlled(svd, encoder), conds, published=True))
    assert set(evaluations) == {2}
    evaluations.clear()
    monkeypatch.setattr(type(svd), "get_free_memory", lambda self, device: 0)
    apart = sample(guider_of(controlled(svd, encoder), conds, published=True))
    assert set(evaluations) == {1}
    assert (together - apart).abs().max() < 1e-3 * together.abs().max()


def test_conditions_act_where_and_when_they_should(svd, encoder, conds):
    plain = sample(guider_of(svd, conds))
    never = controlled(svd, encoder, sigmas=(1000.0, 2000.0))
    nowhere = controlled(svd, encoder, mask=torch.zeros(1, 8 * HEIGHT, 8 * WIDTH))
    everywhere = controlled(svd, encoder, mask=torch.ones(FRAMES, 8 * HEIGHT, 8 * WIDTH))
    assert torch.equal(sample(guider_of(never, conds)), plain)
    assert torch.equal(sample(guider_of(nowhere, conds)), plain)
    whole = sample(guider_of(controlled(svd, encoder), conds))
    assert (sample(guider_of(everywhere, conds)) - whole).abs().max() < 1e-4


def test_pictures_are_turned_around_for_the_backward_direction(svd, encoder, conds):
    """Playing everything backwards gives the clip played backwards."""
    from betwixt.fcvg_core.sampling.fusion import Fusion

    mask = torch.zeros(FRAMES, 8 * HEIGHT, 8 * WIDTH)
    mask[0] = 1
    fusion = Fusion(guidance=(1.0, 3.0))
    there = controlled(svd, encoder, mask=mask)
    back = controlled(svd, encoder, pictures=pictures().flip(0), mask=mask.flip(0))
    import comfy.samplers
    from betwixt.fcvg_core.sampling.noise_levels import karras_sigmas

    noise = torch.randn(FRAMES, 4, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))
    out = []
    for model, order, start in ((there, conds, noise), (back, [*conds[2:], *conds[:2]], noise.flip(0))):
        with torch.inference_mode():
            euler = comfy.samplers.sampler_object("euler")
            guider = guider_of(model, order, fusion)
            out.append(guider.sample(start, torch.zeros_like(start), euler, karras_sigmas(2), disable_pbar=True))
    assert (out[0] - out[1].flip(0)).abs().max() < 1e-4 * out[0].abs().max()


def test_unguided_steps_cost_half(svd, conds, evaluations):
    from betwixt.fcvg_core.sampling.fusion import Fusion

    sample(guider_of(svd, conds), steps=4)
    assert sum(evaluations) == 4 * 2 * 2
    evaluations.clear()
    sample(guider_of(svd, conds, Fusion(guided_sigmas=(1.0, 100.0))), steps=4)
    guided = sum(1.0 <= sigma <= 100.0 for sigma in (700.0, 66.3, 1.47, 0.002))
    assert sum(evaluations) == (guided * 2 + (4 - guided)) * 2


def test_same_seed_same_clip_with_every_mode(svd, conds):
    from betwixt.nodes.host.svd.fusion_sampler import FusionSampler

    modes = {
        "FCVG": {},
        "TRF": {"jump_length": 1, "jump_samples": 2, "repeat_ratio": 0.3},
        "ViBiD": {"scale": 1.0},
    }
    clips = {}
    for mode, options in modes.items():
        first, second, other = (
            sample(guider_of(svd, conds), steps=3, sampler=FusionSampler(mode, **options), seed=seed)
            for seed in (1, 1, 2)
        )
        assert torch.equal(first, second) and not torch.equal(first, other), mode
        clips[mode] = first
    assert torch.equal(clips["FCVG"], sample(guider_of(svd, conds), steps=3, seed=1))
    assert not torch.equal(clips["TRF"], clips["FCVG"])


def test_progress_counts_every_evaluation(svd, conds):
    from betwixt.nodes.host.svd.fusion_sampler import FusionSampler

    steps = []
    sampler = FusionSampler("TRF", jump_length=2, jump_samples=3, repeat_ratio=0.0, noise_scale=1.0)
    sample(guider_of(svd, conds), steps=4, sampler=sampler, callback=lambda step, *_: steps.append(step))
    assert len(steps) == sampler.evaluations(4) > 4
    assert steps == sorted(steps) and steps[0] == 0 and steps[-1] == 3


def gi_model(svd, share):
    from betwixt.fcvg_core.sampling.backward_motion import projections
    from betwixt.nodes.host.svd.temporal_attention import BackwardMotion

    weights = {key.removeprefix("diffusion_model."): value for key, value in svd.model.state_dict().items()}
    deltas = {
        layer: {part: share * value.float() for part, value in parts.items()}
        for layer, parts in projections(weights).items()
    }
    return BackwardMotion(deltas).attach(svd)


def test_gi_uses_the_turned_attention_and_the_fine_tuned_weights(svd, conds):
    from betwixt.nodes.host.svd.fusion_sampler import FusionSampler

    sampler = FusionSampler("GI", repeats=1, ratio=0.5)
    rotated = sample(guider_of(gi_model(svd, 0.0), conds), sampler=sampler)
    tuned = sample(guider_of(gi_model(svd, 0.5), conds), sampler=sampler)
    assert torch.equal(rotated, sample(guider_of(gi_model(svd, 0.0), conds), sampler=sampler))
    assert (rotated - tuned).abs().max() > 1e-3
    assert (rotated - sample(guider_of(svd, conds))).abs().max() > 1e-3


def test_a_gi_model_samples_plain_clips_as_before(svd, conds):
    import comfy.samplers

    def plain(model):
        guider = comfy.samplers.CFGGuider(model)
        guider.set_conds(*conds[:2])
        guider.set_cfg(2.0)
        return sample(guider)

    assert (plain(gi_model(svd, 0.5)) - plain(svd)).abs().max() < 1e-4


def test_lora_and_rescaled_guidance_of_the_host_act(svd, conds):
    key = "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight"
    tuned = svd.clone()
    assert tuned.add_patches({key: ("diff", (torch.ones(64, 64),))}) == [key]
    plain = sample(guider_of(svd, conds))
    assert (sample(guider_of(tuned, conds)) - plain).abs().max() > 1e-3
    halved = svd.clone()
    halved.set_model_sampler_post_cfg_function(lambda args: args["denoised"] * 0.5)
    assert (sample(guider_of(halved, conds)) - plain).abs().max() > 1e-3
    assert (sample(guider_of(svd, conds)) - plain).abs().max() < 1e-4  # nothing stays behind


def test_a_masked_latent_keeps_what_is_masked(svd, conds):
    import comfy.samplers
    from betwixt.fcvg_core.sampling.noise_levels import karras_sigmas

    known = torch.randn(FRAMES, 4, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(9))
    mask = torch.ones(FRAMES, HEIGHT, WIDTH)
    mask[1] = 0
    with torch.inference_mode():
        out = guider_of(svd, conds).sample(
            torch.randn(known.shape, generator=torch.Generator().manual_seed(0)),
            known,
            comfy.samplers.sampler_object("euler"),
            karras_sigmas(2),
            denoise_mask=mask,
            disable_pbar=True,
        )
    assert (out[1] - known[1]).abs().max() < 1e-4 and (out[2] - known[2]).abs().max() > 0.1


@pytest.mark.parametrize(
    "case, words",
    [
        ("frames", "6 condition pictures and 3 frames"),
        ("fusion list", "4 weights and the clip 3 frames"),
        ("one frame", "at least 2 frames"),
        ("text", "'positive_backward' carries no key frame"),
        ("size", "key frame of 'negative' is 32x48 and the latent 64x64"),
        ("GI", "model has no backward-motion weights"),
    ],
)
def test_mistakes_are_told_before_anything_is_loaded(svd, encoder, conds, nothing_loads, case, words):
    from betwixt.common.errors import BetwixtError
    from betwixt.fcvg_core.sampling.fusion import Fusion
    from betwixt.nodes.host.svd.fusion_sampler import FusionSampler

    model, fusion, sampler, conds, frames = svd, Fusion(), "euler", list(conds), FRAMES
    match case:
        case "frames":
            model = controlled(svd, encoder, pictures=pictures(6))
        case "fusion list":
            fusion = Fusion(weight=[0.5] * 4)
        case "one frame":
            frames = 1
        case "text":
            conds[2] = [[torch.zeros(1, 77, 1024), {}]]
        case "size":
            conds[1] = [[torch.zeros(1, 1, 1024), {"concat_latent_image": torch.zeros(1, 4, 6, 4)}]]
        case "GI":
            sampler = FusionSampler("GI", repeats=1, ratio=0.5)
    import comfy.samplers
    from betwixt.fcvg_core.sampling.noise_levels import karras_sigmas

    sampler = comfy.samplers.sampler_object(sampler) if isinstance(sampler, str) else sampler
    noise = torch.zeros(frames, 4, HEIGHT, WIDTH)
    with pytest.raises(BetwixtError, match=words):
        guider_of(model, conds, fusion).sample(noise, noise, sampler, karras_sigmas(2), disable_pbar=True)


def test_conditions_are_stretched_and_resized_when_asked(svd, encoder, conds, caplog):
    from betwixt.nodes.host.svd.controlnext_patch import ConditionVideo, fitted

    numbered = torch.arange(7.0).view(7, 1, 1, 1).expand(-1, 8 * HEIGHT, 8 * WIDTH, 3)
    video = fitted(ConditionVideo(numbered, stretch=True), (FRAMES, 4, HEIGHT, WIDTH))
    assert video.pictures[:, 0, 0, 0].tolist() == [0, 3, 6]
    video = fitted(ConditionVideo(pictures(height=48, width=40)), (FRAMES, 4, HEIGHT, WIDTH))
    assert video.pictures.shape == (FRAMES, 8 * HEIGHT, 8 * WIDTH, 3)
    assert "resized from 40x48 to the clip's 64x64" in caplog.text


def test_a_fusion_sampler_needs_both_directions(svd, conds):
    import comfy.samplers
    from betwixt.common.errors import BetwixtError
    from betwixt.nodes.host.svd.fusion_sampler import FusionSampler

    guider = comfy.samplers.CFGGuider(svd)
    guider.set_conds(*conds[:2])
    with pytest.raises(BetwixtError, match="fusion sampler \\(TRF\\) runs under a guider of another kind"):
        sample(guider, sampler=FusionSampler("TRF"))


def test_the_mask_of_the_control_is_resized_once_per_run(svd, encoder, conds, monkeypatch):
    from betwixt.nodes.host.svd import controlnext_patch

    resized, interpolate = [], torch.nn.functional.interpolate

    def count(*args, **kwargs):
        resized.append(kwargs.get("mode"))
        return interpolate(*args, **kwargs)

    monkeypatch.setattr(controlnext_patch.F, "interpolate", count)
    sample(guider_of(controlled(svd, encoder, mask=torch.ones(1, 64, 64)), conds), steps=3)
    assert resized.count("area") == 1
