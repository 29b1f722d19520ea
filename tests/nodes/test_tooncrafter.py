"""ToonCrafter through its nodes and the host's sampling, on narrow files in the published layouts."""

import logging

import pytest
import torch
from betwixt.common.errors import BetwixtError
from safetensors.torch import save_file

from tests import tooncrafter_stand_ins as stand_ins
from tests.parity.synthetic_weights import load_manifest

SIZE, FRAMES = 64, 4


@pytest.fixture(scope="module")
def files(host, tmp_path_factory):
    """path of a narrow file of each kind."""
    folder = tmp_path_factory.mktemp("tooncrafter")
    weights = stand_ins.tooncrafter()
    half = {key: value.half() for key, value in weights.items()}
    torch.save({"epoch": 1, "state_dict": weights}, folder / "model.ckpt")
    save_file(half, folder / "fp16.safetensors")
    save_file(stand_ins.pruned(half), folder / "pruned.safetensors")
    torch.save(stand_ins.dynamicrafter_512(weights), folder / "dynamicrafter.ckpt")
    torch.save({"module": {f"_forward_module.{k}": v for k, v in weights.items()}}, folder / "deepspeed.pt")
    torch.save(stand_ins.sketch_encoder(), folder / "sketch_encoder.ckpt")
    short = {key: value for key, value in weights.items() if "input_blocks.4.0.temopral_conv" not in key}
    save_file(short, folder / "incomplete.safetensors")
    save_file({key: value for key, value in weights.items() if "image_proj" not in key}, folder / "no_resampler.sft")
    return folder


@pytest.fixture(scope="module")
def loaded(files):
    from betwixt.nodes.host.tooncrafter_files import load_checkpoint

    return load_checkpoint(str(files / "model.ckpt"))


@pytest.fixture(scope="module")
def dynamicrafter(files):
    from betwixt.nodes.host.tooncrafter_files import load_checkpoint

    return load_checkpoint(str(files / "dynamicrafter.ckpt"), between_pictures=False)


def run(node, **inputs):
    """Outputs of a node on its defaults and the given inputs."""
    defaults = {
        entry.id: entry.default for entry in node.GET_SCHEMA().inputs if getattr(entry, "default", None) is not None
    }
    clone = node.PREPARE_CLASS_CLONE({"hidden_inputs": {}})
    with torch.inference_mode():
        return clone.execute(**{**defaults, **inputs}).result


def text(loaded, prompt: str) -> list:
    tokens, pooled = loaded.clip.encode_from_tokens(loaded.clip.tokenize(prompt), return_pooled=True)
    return [[tokens, {"pooled_output": pooled}]]


def conditioned(loaded, **changes):
    """positive, negative, pictures_only, latent, references of two random pictures."""
    from betwixt.nodes.tooncrafter_conditioning import ToonCrafterConditioning

    generator = torch.Generator().manual_seed(0)
    pictures = torch.rand(2, 1, 48, 80, 3, generator=generator)
    inputs = {
        "first_stage": loaded.first_stage,
        "clip_vision": loaded.clip_vision,
        "positive": text(loaded, "a scene"),
        "negative": text(loaded, ""),
        "start_image": pictures[0],
        "end_image": pictures[1],
        **{"width": SIZE, "height": SIZE, "frame_count": FRAMES},
    }
    return run(ToonCrafterConditioning, **{**inputs, **changes})


def sample(model, positive, negative, latent, steps=2, cfg=3.0, sampler="euler", scheduler="simple", seed=0):
    import comfy.sample

    samples = latent["samples"]
    noise = comfy.sample.prepare_noise(samples, seed)
    with torch.inference_mode():
        return comfy.sample.sample(
            model, noise, steps, cfg, sampler, scheduler, positive, negative, samples, disable_pbar=True, seed=seed
        )


@pytest.mark.parametrize("name", ["fp16.safetensors", "pruned.safetensors", "deepspeed.pt"])
def test_repackaged_files_hold_the_same_model(files, loaded, name):
    from betwixt.nodes.host.tooncrafter_files import load_checkpoint

    other = load_checkpoint(str(files / name))
    assert other.variant == loaded.variant and "Missing" not in other.report
    assert (other.clip is None, other.clip_vision is None) == ((name == "pruned.safetensors"),) * 2
    ours, theirs = (entry.model.model.diffusion_model.state_dict() for entry in (loaded, other))
    assert max(float((ours[key] - theirs[key]).abs().max()) for key in ours) < (0 if "deep" in name else 2e-3) + 1e-9
    sampling = (entry.model.model.model_sampling.sigmas for entry in (loaded, other))
    assert torch.equal(*sampling)  # whatever the file's half-precision tables say


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("incomplete.safetensors", ["'incomplete.safetensors'", "missing", "temopral_conv"]),
        ("no_resampler.sft", ["without its resampler"]),
        ("sketch_encoder.ckpt", ["'sketch_encoder.ckpt' holds a ControlNet", "ToonCrafter"]),
    ],
)
def test_unsuitable_files_are_refused_by_name(files, name, said):
    from betwixt.nodes.host.tooncrafter_files import load_checkpoint

    with pytest.raises(BetwixtError) as caught:
        load_checkpoint(str(files / name))
    assert [words for words in said if words not in str(caught.value)] == []


def test_first_stages_have_the_published_keys_and_shapes(host):
    from betwixt.nodes.host.tooncrafter_first_stage import FirstStageNetwork
    from betwixt.tooncrafter_core.checkpoint import take_apart

    for name, count in (("", 396), ("_dynamicrafter_512", 248), ("_dynamicrafter_256", 248)):
        manifest = load_manifest(stand_ins.GOLDEN / f"full_manifest{name}.json.gz")
        parts = take_apart({key: torch.empty(e["shape"], device="meta") for key, e in manifest.items()})
        network = FirstStageNetwork(parts.first_stage).state_dict()
        assert {key: v.shape for key, v in network.items()} == {key: v.shape for key, v in parts.first_stage.items()}
        assert len(network) == count


def test_the_sketch_encoder_has_the_published_keys_and_shapes(host):
    from betwixt.nodes.host.sketch_guidance import sketch_network

    manifest = load_manifest(stand_ins.GOLDEN / "full_manifest_sketch_encoder.json.gz")
    tensors = {key: torch.empty(entry["shape"], device="meta") for key, entry in manifest.items()}
    network = sketch_network(tensors, torch.float16, None)
    assert {key: v.shape for key, v in network.state_dict().items()} == {key: v.shape for key, v in tensors.items()}
    assert len(tensors) == 340
    assert network.input_blocks[1][1].transformer_blocks[0].attn1.heads == 5  # of width 64


def test_conditioning_holds_what_the_model_wants(loaded):
    positive, negative, pictures_only, latent, references = conditioned(loaded, fs=0, frame_count=16)
    assert latent["samples"].shape == (16, 4, 8, 8) and not latent["samples"].any()
    assert references.pictures.shape == (2, SIZE, SIZE, 3)
    entries = [conditioning[0][1] for conditioning in (positive, negative, pictures_only)]
    assert [entry["betwixt_fs"] for entry in entries] == [10, 10, 10]
    tokens = [entry["betwixt_image_tokens"] for entry in entries]
    assert torch.equal(tokens[0], tokens[2]) and not torch.allclose(tokens[0], tokens[1])
    assert torch.equal(negative[0][0], pictures_only[0][0])
    keys = entries[0]["betwixt_key_latents"]
    assert keys[0].any() and keys[-1].any() and not keys[1:-1].any()


def test_unconditional_tokens_are_computed_once(loaded, monkeypatch):
    conditioned(loaded)
    calls = []
    original = type(loaded.first_stage).image_tokens
    monkeypatch.setattr(type(loaded.first_stage), "image_tokens", lambda *inputs: calls.append(1) or original(*inputs))
    conditioned(loaded)
    assert len(calls) == 1  # the key drawing's


def test_long_prompts_are_cut_and_said_once(loaded, caplog):
    positive = conditioned(loaded, positive=text(loaded, "a very long prompt that goes on " * 20))[0]
    assert positive[0][0].shape[1] == 77
    assert caplog.text.count("first 77") == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"end_image": None}, "'end_image' is not connected"),
        ({"end_image": torch.zeros(1, 48, 64, 3)}, "same size"),
        ({"start_image": torch.full((1, 48, 80, 3), float("nan"))}, "NaN"),
        ({"width": 500}, "512 and 64"),
        ({"clip_vision": None}, "CLIP-ViT-H-14"),
        ({"positive": [[torch.zeros(1, 77, 768), {}]]}, "Stable Diffusion 2's CLIP"),
    ],
)
def test_mistakes_in_the_conditioning_are_named(loaded, changes, said):
    with pytest.raises(BetwixtError, match=said):
        conditioned(loaded, **changes)


def test_another_image_encoder_is_refused(loaded):
    import comfy.clip_vision

    config = {**loaded.clip_vision.config, "hidden_size": 32, "num_hidden_layers": 1, "projection_dim": 8}
    with pytest.raises(BetwixtError, match="tokens of 32 values"):
        conditioned(loaded, clip_vision=comfy.clip_vision.ClipVisionModel(config))


def test_the_latent_must_be_the_conditioning_s(loaded):
    positive, negative, _, latent, _ = conditioned(loaded)
    with pytest.raises(BetwixtError, match="5 frames of 64x64.*4 frames of 64x64"):
        sample(loaded.model, positive, negative, {"samples": torch.zeros(5, 4, 8, 8)})
    with pytest.raises(BetwixtError, match="without key frames"):
        sample(loaded.model, positive, text(loaded, ""), latent)


def test_stock_samplers_agree_with_the_reference_sampler_where_they_should(loaded):
    import comfy.sample
    from betwixt.nodes.tooncrafter_sampling import ReferenceDDIM, TrailingSigmas

    positive, negative, _, latent, _ = conditioned(loaded)
    stock = sample(loaded.model, positive, negative, latent, steps=4)
    (sigmas,), (sampler,) = run(TrailingSigmas, model=loaded.model, steps=4), run(ReferenceDDIM, eta=0.0)
    noise = comfy.sample.prepare_noise(latent["samples"], 0)
    with torch.inference_mode():
        own = comfy.sample.sample_custom(
            loaded.model, noise, 3.0, sampler, sigmas, positive, negative, latent["samples"], disable_pbar=True, seed=0
        )
    assert float((stock - own).abs().max()) < 5e-3 * float(own.std())


def test_step_counts_where_the_reference_returns_nan_work(loaded):
    """The clamp matters in the update alone, so the network's part is a constant here."""
    from betwixt.nodes.host.tooncrafter_sampling import reference_ddim, sampling_sigmas

    sampling = loaded.model.model.model_sampling

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


def test_caches_of_a_run_do_not_change_it(loaded, monkeypatch):
    from betwixt.nodes.host import tooncrafter_model

    positive, negative, _, latent, _ = conditioned(loaded)
    cached = sample(loaded.model, positive, negative, latent, steps=3)
    plain = loaded.model.clone()
    plain.remove_wrappers_with_key(tooncrafter_model.WRAPPERS.OUTER_SAMPLE, tooncrafter_model.KEY)
    assert torch.equal(sample(plain, positive, negative, latent, steps=3), cached)


def test_rescale_takes_the_whole_clip_s_deviation(loaded):
    from betwixt.nodes.host.tooncrafter_sampling import with_deviation_of

    sampling = loaded.model.model.model_sampling
    generator = torch.Generator().manual_seed(0)
    y, guided, conditional = torch.randn(3, FRAMES, 4, 8, 8, generator=generator)
    sigma = torch.full((FRAMES,), 3.0)
    out = with_deviation_of(sampling, sigma, guided, conditional, y, 1.0)
    wanted, found = (sampling.network_output(sigma, value, y).std() for value in (conditional, out))
    assert float((wanted - found).abs()) < 1e-4 * float(wanted)
    assert torch.allclose(with_deviation_of(sampling, sigma, guided, conditional, y, 0.0), guided, atol=1e-5)


def test_the_stock_rescale_is_warned_about(loaded, caplog):
    from betwixt.nodes.tooncrafter_sampling import RescaleGuidance
    from comfy_extras.nodes_model_advanced import RescaleCFG

    stock = RescaleCFG().patch(loaded.model, 0.7)[0]
    with caplog.at_level(logging.WARNING):
        run(RescaleGuidance, model=stock)
    assert "RescaleCFG" in caplog.text
    caplog.clear()
    positive, negative, _, latent, _ = conditioned(loaded)
    sample(stock, positive, negative, latent, steps=1)
    assert caplog.text.count("frame by frame") == 1


def test_three_way_guidance_with_equal_strengths_is_ordinary_guidance(loaded):
    import comfy.sample
    import comfy.samplers
    from betwixt.nodes.tooncrafter_sampling import RescaleGuidance, ThreeWayGuiderNode, TrailingSigmas

    positive, negative, pictures_only, latent, _ = conditioned(loaded)
    (model,) = run(RescaleGuidance, model=loaded.model, amount=0.7)
    ordinary = sample(model, positive, negative, latent, steps=2, cfg=5.0)
    inputs = {"positive": positive, "pictures_only": pictures_only, "negative": negative}
    (guider,) = run(ThreeWayGuiderNode, model=loaded.model, **inputs, cfg_pictures=5.0, cfg_text=5.0, rescale=0.7)
    (sigmas,) = run(TrailingSigmas, model=loaded.model, steps=2)
    noise = comfy.sample.prepare_noise(latent["samples"], 0)
    with torch.inference_mode():
        three_way = guider.sample(
            noise, latent["samples"], comfy.samplers.sampler_object("euler"), sigmas, disable_pbar=True, seed=0
        )
    assert float((three_way - ordinary).abs().max()) < 5e-3 * float(ordinary.std())


def decode(loaded, latent, **inputs):
    from betwixt.nodes.tooncrafter_decode import DualReferenceDecode

    return run(DualReferenceDecode, samples=latent, first_stage=loaded.first_stage, **inputs)[0]


def random_latent(tag: str, frames: int = 6) -> dict:
    samples = torch.randn(frames, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    return {"samples": samples, "betwixt_model": tag}


def test_decoding_takes_the_middle_from_a_second_pass(loaded):
    references = conditioned(loaded)[4]
    latent = random_latent("ToonCrafter")
    single = decode(loaded, latent, references=references, two_passes=False)
    double = decode(loaded, latent, references=references)
    assert single.shape == (6, SIZE, SIZE, 3) and 0 <= float(single.min()) <= float(single.max()) <= 1
    changed = [bool((a != b).any()) for a, b in zip(single, double, strict=True)]
    assert changed == [False, False, True, True, False, False]


def test_exact_ends_are_the_fitted_key_frames(loaded):
    references = conditioned(loaded)[4]
    images = decode(loaded, random_latent("ToonCrafter"), references=references, exact_ends=True)
    assert torch.equal(images[[0, -1]], references.pictures)


def test_little_memory_changes_nothing_but_rounding(loaded, monkeypatch):
    import comfy.model_management

    references = conditioned(loaded)[4]
    latent = random_latent("ToonCrafter")
    plenty = decode(loaded, latent, references=references)
    monkeypatch.setattr(comfy.model_management, "get_free_memory", lambda *_, **__: 1)
    assert float((decode(loaded, latent, references=references) - plenty).abs().max()) < 1e-5


def test_frames_of_dynamicrafter_are_decoded_one_by_one(dynamicrafter):
    latent = random_latent("DynamiCrafter 512")
    images = decode(dynamicrafter, latent)
    alone = decode(dynamicrafter, {**latent, "samples": latent["samples"][2:3]})
    assert float((images[2] - alone[0]).abs().max()) < 1e-5


def test_decoders_and_latents_that_do_not_belong_together(loaded, dynamicrafter):
    references = conditioned(loaded)[4]
    cases = [
        (dynamicrafter, random_latent("ToonCrafter"), references, "latent is of ToonCrafter"),
        (loaded, random_latent("DynamiCrafter 512"), references, "latent is of DynamiCrafter 512"),
        (loaded, random_latent("ToonCrafter"), None, "'references' is not connected"),
        (loaded, {"samples": torch.zeros(6, 4, 8, 16)}, references, "64x64, the latent 128x64"),
        (loaded, {"samples": torch.full((6, 4, 8, 8), float("nan"))}, references, "NaN"),
        (loaded, {"samples": torch.zeros(1, 4, 6, 8, 8)}, references, "shape"),
    ]
    for checkpoint, latent, given, said in cases:
        with pytest.raises(BetwixtError, match=said):
            decode(checkpoint, latent, references=given)


def test_tasks_of_dynamicrafter(dynamicrafter):
    for task, expected in (("as the model was trained", [1, 1, 1, 1]), ("loop", [1, 0, 0, 1])):
        positive = conditioned(dynamicrafter, end_image=None, task=task)[0]
        latents = positive[0][1]["betwixt_key_latents"]
        assert [float(bool(frame.any())) for frame in latents] == expected
        assert positive[0][1]["betwixt_fs"] == 24


@pytest.fixture(scope="module")
def sketch_encoder(files):
    from betwixt.nodes.host.sketch_guidance import load_sketch_encoder

    return load_sketch_encoder(str(files / "sketch_encoder.ckpt"))


def sketched(loaded, sketch_encoder, **changes):
    from betwixt.nodes.sketches import ApplySketches

    positive, negative, _, latent, _ = conditioned(loaded, frame_count=16)
    lines = torch.ones(2, 48, 80, 3)
    lines[:, 20:24] = 0
    inputs = {"positive": positive, "negative": negative, "control_net": sketch_encoder, "sketches": lines}
    return *run(ApplySketches, **{**inputs, "frames": "0, -1", **changes}), latent


def test_sketches_guide_the_model(loaded, sketch_encoder):
    results = {}
    for name, changes in (
        ("off", {"strength": 0.0}),
        ("dark", {}),
        ("white", {"lines": "white on black"}),
        ("333", {"context": "text and image (333 tokens)"}),
        ("late", {"start_percent": 1.0}),
    ):
        positive, negative, latent = sketched(loaded, sketch_encoder, **changes)
        results[name] = sample(loaded.model, positive, negative, latent, steps=1)
    difference = {name: float((result - results["off"]).abs().max()) for name, result in results.items()}
    assert difference["late"] == 0 and min(difference[name] for name in ("dark", "white", "333")) > 1e-3
    assert not torch.equal(results["dark"], results["white"]) and not torch.equal(results["dark"], results["333"])


def test_dark_lines_are_inverted_and_fitted_like_the_key_frames(loaded, sketch_encoder):
    hint = sketched(loaded, sketch_encoder)[0][0][1]["control"].cond_hint_original
    assert hint.shape == (16, 1, SIZE, SIZE)
    assert hint.flatten(1).amax(dim=1).tolist() == [1.0, *[0.0] * 14, 1.0]
    assert float(hint[0, 0, 0, 0]) == 0 and float(hint[0, 0, SIZE // 2 - 4, 5]) > 0.5


def test_hints_of_three_channels_as_the_stock_node_sets_them_work(loaded, sketch_encoder):
    positive, negative, _, latent, _ = conditioned(loaded)
    control = sketch_encoder.copy().set_cond_hint(torch.rand(FRAMES, 3, SIZE, SIZE), 1.0, (0.0, 1.0))
    guided = [[[tokens, {**entry, "control": control}]] for ((tokens, entry),) in (positive, negative)]
    assert not torch.equal(
        sample(loaded.model, *guided, latent, steps=1), sample(loaded.model, positive, negative, latent, steps=1)
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"frames": "all"}, "2 sketches for 16 frames"),
        ({"frames": "0, 16"}, "frame 16"),
        ({"sketches": torch.ones(2, 100, 48, 3)}, "48x100"),
        ({"positive": [[torch.zeros(1, 77, 64), {}]]}, "ToonCrafter Conditioning"),
        ({"control_net": object()}, "other hints"),
    ],
)
def test_mistakes_with_sketches_are_named(loaded, sketch_encoder, changes, said):
    with pytest.raises(BetwixtError, match=said):
        sketched(loaded, sketch_encoder, **changes)


def test_other_controlnets_are_not_sketch_encoders(files):
    from betwixt.nodes.host.sketch_guidance import load_sketch_encoder

    coloured = {**stand_ins.sketch_encoder(), "input_hint_block.0.weight": torch.zeros(16, 3, 3, 3)}
    torch.save(coloured, files / "coloured.pth")
    with pytest.raises(BetwixtError, match="hints of 3 channels"):
        load_sketch_encoder(str(files / "coloured.pth"))
    with pytest.raises(BetwixtError, match="holds a ToonCrafter checkpoint"):
        load_sketch_encoder(str(files / "model.ckpt"))


def test_other_models_are_refused(loaded):
    from betwixt.nodes.tooncrafter_sampling import TrailingSigmas

    other = type("Patcher", (), {"model": object()})()
    with pytest.raises(BetwixtError, match="Load ToonCrafter"):
        run(TrailingSigmas, model=other)


def test_prompts_and_frame_rates_per_gap():
    from betwixt.nodes.tooncrafter_conditioning import PerGapPrompts

    pictures = torch.zeros(3, 8, 8, 3)
    assert run(PerGapPrompts, key_frames=pictures, prompts="a\nb", fs="5 20") == (["a", "b"], [5, 20])
    assert run(PerGapPrompts, key_frames=pictures, loop=True, prompts="a") == (["a"] * 3, [0] * 3)
    with pytest.raises(BetwixtError, match="3 entries, and there are 2 gaps"):
        run(PerGapPrompts, key_frames=pictures, prompts="a\nb\nc")
