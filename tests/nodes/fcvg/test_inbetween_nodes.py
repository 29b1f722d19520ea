"""The nodes from key frames to a decoded clip, on the miniature SVD."""

import pytest
import torch

WIDTH, HEIGHT, FRAMES = 64, 64, 3


@pytest.fixture(scope="module")
def parts(host):
    """(MODEL, CONTROLNEXT, CLIP_VISION, VAE)."""
    from betwixt.nodes.host.svd.controlnext_model import controlnext_from
    from betwixt.nodes.host.svd.model import model_from

    from support.models import tiny_svd

    model, _ = model_from(tiny_svd.unet_weights(torch.float16), "unet.safetensors")
    encoder = controlnext_from(tiny_svd.controlnext_weights())
    return model, encoder, tiny_svd.clip_vision(), tiny_svd.temporal_vae()


@pytest.fixture
def nothing_loads(monkeypatch):
    import comfy.model_management

    def refuse(*args, **kwargs):
        raise AssertionError("a model was loaded before the mistake was reported")

    monkeypatch.setattr(comfy.model_management, "load_models_gpu", refuse)


def run(node_id, **inputs):
    """The outputs of a node; keyword arguments not given take the schema's defaults."""
    from support import schemas

    (node,) = [node for node in schemas.pack_nodes() if node.GET_SCHEMA().node_id == node_id]
    values = {entry.id: entry.default for entry in node.GET_SCHEMA().inputs if hasattr(entry, "default")}
    clone = node.PREPARE_CLASS_CLONE({"hidden_inputs": {}})
    with torch.inference_mode():
        return clone.execute(**{key: value for key, value in values.items() if value is not None} | inputs).args


def key_frame(seed, width=WIDTH, height=HEIGHT):
    return torch.rand(1, height, width, 3, generator=torch.Generator().manual_seed(seed))


def encoded(parts, **changes):
    size = {"width": WIDTH, "height": HEIGHT, "frame_count": FRAMES}
    key_frames = {"start_image": key_frame(1), "end_image": key_frame(2)}
    return run(
        "BetwixtInbetweenConditioning", **{"clip_vision": parts[2], "vae": parts[3], **key_frames, **size, **changes}
    )


def test_conditioning_is_what_the_training_saw(parts):
    from betwixt.fcvg_core.sampling.image_conditioning import clip_picture

    *conds, latent, bundle = encoded(parts, augmentation=0.02, seed=7)
    assert latent["samples"].shape == (FRAMES, 4, HEIGHT // 8, WIDTH // 8) and not latent["samples"].any()
    positive, negative, positive_backward, negative_backward = (cond[0] for cond in conds)
    assert bundle.conditionings == tuple(conds)
    for cond, seed in ((positive, 1), (positive_backward, 2)):
        expected = parts[2].encode_image(clip_picture(key_frame(seed))).image_embeds
        assert cond[0].shape == (1, 1, 1024) and (cond[0] - expected).abs().max() < 1e-4
        clean = parts[3].encode(key_frame(seed))
        assert (cond[1]["betwixt_keyframe_latent"]() - clean).abs().max() < 1e-4
        assert (cond[1]["concat_latent_image"] - clean).abs().max() > 1e-3  # the augmentation noise
        assert (cond[1]["fps"], cond[1]["motion_bucket_id"], cond[1]["augmentation_level"]) == (7, 127, 0.02)
    for cond in (negative, negative_backward):
        assert not cond[0].any() and not cond[1]["concat_latent_image"].any()
    noise = [cond[1]["concat_latent_image"] for cond in (positive, encoded(parts, augmentation=0.02, seed=7)[0][0])]
    assert torch.equal(*noise)


def test_the_key_frames_without_noise_are_encoded_for_vibid_alone(parts, monkeypatch):
    encodings, encode = [], parts[3].encode
    monkeypatch.setattr(parts[3], "encode", lambda pictures: encodings.append(len(pictures)) or encode(pictures))
    *_, bundle = encoded(parts, augmentation=0.02)
    inputs = {"model": parts[0], "conditionings": bundle, "steps": 1}
    run("BetwixtInbetween", **inputs, mode={"mode": "FCVG", "min_guidance": 1.0, "max_guidance": 1.0})
    assert encodings == [2]
    for _ in range(2):
        run("BetwixtInbetween", **inputs, mode={"mode": "ViBiD", "scale": 1.0})
        assert encodings == [2, 2]
    run(
        "BetwixtInbetween",
        **{**inputs, "conditionings": encoded(parts, augmentation=0.0)[-1]},
        mode={"mode": "ViBiD", "scale": 1.0},
    )
    assert encodings == [2, 2, 2]


def test_key_frames_are_fitted(parts):
    start, end, width, height = run(
        "BetwixtFitKeyFrames",
        start_image=key_frame(1, 200, 100),
        end_image=key_frame(2, 200, 100),
        width=128,
        height=72,
        fit="pad",
    )
    assert start.shape == end.shape == (1, 72, 128, 3) and (width, height) == (128, 72)
    assert not start[:, :4].any() and start[:, 5:67].any()


def test_key_frames_of_different_sizes_are_both_fitted(parts):
    small, large = key_frame(1, 100, 60), key_frame(2, 300, 250)
    start, end, _, _ = run(
        "BetwixtFitKeyFrames", start_image=small, end_image=large, width=128, height=72, fit="stretch"
    )
    assert start.shape == end.shape == (1, 72, 128, 3)
    for picture, fitted in ((small, start), (large, end)):
        alone = run("BetwixtFitKeyFrames", start_image=picture, end_image=picture, width=128, height=72, fit="stretch")
        assert torch.equal(alone[0], fitted)
    assert encoded(parts, start_image=small, end_image=large)[4]["samples"].shape == (FRAMES, 4, 8, 8)


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"width": 100}, "The size is 100x64.*'width' and 'height' to 96 and 64"),
        ({"start_image": torch.rand(2, 64, 64, 3)}, "'start_image' is a batch of 2 frames"),
        ({"start_image": torch.full((1, 64, 64, 3), float("nan"))}, "Frame 0 of 'start_image' contains NaN"),
    ],
)
def test_key_frames_that_cannot_be_used(parts, nothing_loads, changes, words):
    from betwixt.common.errors import BetwixtError

    with pytest.raises(BetwixtError, match=words):
        encoded(parts, **changes)


def test_wrong_encoders_are_refused(parts, nothing_loads):
    import comfy.sd
    import comfy.taesd.taesd
    from betwixt.common.errors import BetwixtError

    from support.models import tiny_svd

    with pytest.raises(BetwixtError, match="'clip_vision' gives 768 values.*1024 of CLIP ViT-H"):
        encoded(parts, clip_vision=tiny_svd.clip_vision(projection=768))
    picture_vae = comfy.sd.VAE(sd=comfy.taesd.taesd.TAESD(latent_channels=4).state_dict())
    with pytest.raises(BetwixtError, match="decodes single pictures .TAESD.*temporal VAE"):
        encoded(parts, vae=picture_vae)
    with pytest.raises(BetwixtError, match="decodes single pictures"):
        run("BetwixtDecodeVideoLatents", samples={"samples": torch.zeros(2, 4, 8, 8)}, vae=picture_vae)


def apply(parts, **changes):
    inputs = {"model": parts[0], "controlnext": parts[1], "conditions": torch.rand(FRAMES, HEIGHT, WIDTH, 3)}
    return run("BetwixtApplyControlNeXt", **{**inputs, **changes})


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"conditions": torch.rand(1, 64, 64, 3)}, "has one picture"),
        ({"conditions": torch.full((3, 64, 64, 3), float("inf"))}, "Frame 0 of 'conditions' contains NaN or infinite"),
        ({"start_percent": 0.5, "end_percent": 0.5}, "'start_percent' is 0.5 and 'end_percent' 0.5"),
        ({"mask": torch.ones(2, 64, 64)}, "'mask' holds 2 masks of 64x64"),
    ],
)
def test_conditions_that_cannot_be_used(parts, nothing_loads, changes, words):
    from betwixt.common.errors import BetwixtError

    with pytest.raises(BetwixtError, match=words):
        apply(parts, **changes)


def test_other_models_and_encoders_are_refused(parts, nothing_loads):
    from betwixt.common.errors import BetwixtError
    from betwixt.nodes.host.svd.controlnext_model import controlnext_from

    from support.models import random_svd

    wide = controlnext_from(random_svd.from_manifest(random_svd.CONTROLNEXT, torch.float32))
    with pytest.raises(BetwixtError, match="gives 320 channels and the model's first level has 64"):
        apply(parts, controlnext=wide)

    class Patcher:
        model = torch.nn.Identity()

    with pytest.raises(BetwixtError, match="The model on 'model' is Identity.*SVD"):
        apply(parts, model=Patcher)


def test_strength_zero_leaves_the_model_as_it_is(parts):
    assert apply(parts, strength=0.0)[0] is parts[0]
    assert apply(parts)[0] is not parts[0]


def test_strengths_may_be_one_per_picture(parts):
    from betwixt.common.errors import BetwixtError

    patch = apply(parts, strength=[0.0, 0.5, 2.0])[0].model_options["transformer_options"]["patches"]
    video = patch["input_block_patch_after_skip"][0].video
    assert video.strength.tolist() == [0.0, 0.5, 2.0]
    assert apply(parts, strength=[0.0, 0.0, 0.0])[0] is parts[0]
    with pytest.raises(BetwixtError, match="'strength' holds 2 numbers and there are 3 condition pictures"):
        apply(parts, strength=[0.0, 0.5])
    with pytest.raises(BetwixtError, match="'strength' is 9.0. One number from 0 to 5 is allowed"):
        apply(parts, strength=[0.0, 0.5, 9.0])


def test_the_mask_of_an_opaque_picture_does_not_switch_the_conditions_off(parts, caplog):
    patch = apply(parts, conditions=torch.rand(3, 72, 80, 3), mask=torch.zeros(1, 64, 64))[0]
    patch = patch.model_options["transformer_options"]["patches"]["input_block_patch_after_skip"][0]
    assert patch.video.mask is None and "not connected" in caplog.text


def test_percents_become_noise_levels(parts):
    patch = apply(parts, start_percent=0.0, end_percent=0.5)[0].model_options["transformer_options"]["patches"]
    low, high = patch["input_block_patch_after_skip"][0].video.sigmas
    assert low == pytest.approx((700 * 0.002) ** 0.5, rel=1e-3) and high > 700


MODES = {
    "FCVG": {"min_guidance": 3.0, "max_guidance": 3.0},
    "TRF": {
        **{"jump_length": 1, "jump_samples": 2, "repeat_ratio": 0.5, "noise_scale": 1.0},
        **{"stale_input_scale": False, "min_guidance": 1.0, "max_guidance": 3.0},
    },
    "ViBiD": {"scale": 1.0},
}


@pytest.mark.parametrize("mode", MODES)
def test_one_node_gives_what_its_parts_give(parts, mode):
    import comfy.sample
    from betwixt.fcvg_core.sampling.noise_levels import karras_sigmas

    *conds, latent, bundle = encoded(parts)
    conditions = torch.rand(FRAMES, HEIGHT, WIDTH, 3)
    options = {"mode": mode, **MODES[mode]}
    (together,) = run(
        "BetwixtInbetween",
        **{"model": parts[0], "controlnext": parts[1], "conditionings": bundle, "conditions": conditions},
        **{"mode": options, "steps": 2, "seed": 3},
    )
    names = ("positive", "negative", "positive_backward", "negative_backward")
    (model,) = apply(parts, conditions=conditions)
    guidance = {name: options.get(name, 1.0) for name in ("min_guidance", "max_guidance")}
    (guider,) = run(
        "BetwixtBidirectionalGuider",
        **dict(zip(names, conds, strict=True)),
        **{"model": model, "fusion": {"fusion": "linear"}, **guidance},
    )
    (sampler,) = run("BetwixtFusionSampler", mode=options)
    noise = comfy.sample.prepare_noise(latent["samples"], 3)
    with torch.inference_mode():
        apart = guider.sample(noise, latent["samples"], sampler, karras_sigmas(2), disable_pbar=True, seed=3)
    assert torch.equal(together["samples"], apart)


def test_the_modes_run_without_conditions_and_gi_says_what_it_lacks(parts):
    from betwixt.common.errors import BetwixtError

    *_, bundle = encoded(parts)
    inputs = {"model": parts[0], "conditionings": bundle, "steps": 2}
    fcvg = {"mode": "FCVG", **MODES["FCVG"]}
    assert run("BetwixtInbetween", **inputs, mode=fcvg)[0]["samples"].std() > 0
    gi = {"mode": "GI", "repeats": 1, "ratio": 0.5, "min_guidance": 2.0, "max_guidance": 2.0}
    with pytest.raises(BetwixtError, match="no backward-motion weights"):
        run("BetwixtInbetween", **inputs, mode=gi)
    with pytest.raises(BetwixtError, match="'conditions' is connected and 'controlnext' is not"):
        run("BetwixtInbetween", **inputs, mode=fcvg, conditions=torch.rand(FRAMES, HEIGHT, WIDTH, 3))


@pytest.mark.parametrize(
    "fusion, words",
    [
        ({"fusion": "list", "weights": "1, 0.5, x"}, "'x' in 'weights' is not a number"),
        ({"fusion": "list", "weights": "1, 1.5"}, "fusion list holds 1.5"),
        ({"fusion": "list", "weights": " "}, "fusion list is empty"),
    ],
)
def test_fusion_lists_are_checked(parts, fusion, words):
    from betwixt.common.errors import BetwixtError

    with pytest.raises(BetwixtError, match=words):
        run(
            "BetwixtBidirectionalGuider",
            **dict.fromkeys(
                ("positive", "negative", "positive_backward", "negative_backward"), [[torch.zeros(1, 1, 1024), {}]]
            ),
            model=parts[0],
            fusion=fusion,
        )


def test_decoding_does_not_depend_on_free_memory(parts, monkeypatch):
    latents = torch.randn(5, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    inputs = {"samples": {"samples": latents}, "vae": parts[3], "chunk": 3, "overlap": 1}
    (images,) = run("BetwixtDecodeVideoLatents", **inputs)
    with torch.inference_mode():
        by_hand = [parts[3].decode(latents[start:stop]) for start, stop in ((0, 3), (2, 5))]
    assert images.shape == (5, 64, 64, 3)
    assert torch.equal(images[:2], by_hand[0][:2]) and torch.equal(images[3:], by_hand[1][1:])
    assert (images[2] - (by_hand[0][2] + by_hand[1][0]) / 2).abs().max() < 1e-6
    monkeypatch.setattr(type(parts[3].patcher), "get_free_memory", lambda self, device: 1)
    assert torch.equal(run("BetwixtDecodeVideoLatents", **inputs)[0], images)


@pytest.mark.parametrize("lacking", ["free memory", "memory for the whole", "memory for a kernel"])
def test_a_clip_decoded_in_pieces_is_the_same_clip(parts, monkeypatch, lacking):
    import comfy.model_management as management

    latents = torch.randn(5, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    inputs = {"samples": {"samples": latents}, "vae": parts[3], "chunk": 5, "overlap": 0}
    (whole,) = run("BetwixtDecodeVideoLatents", **inputs)

    # a kernel that finds no memory fails as an error of the accelerator, not as the allocator's
    exhausted = management.ACCELERATOR_ERROR if lacking == "memory for a kernel" else management.OOM_EXCEPTION

    def out_of_memory(*_):
        raise exhausted("CUDA error: out of memory")

    if lacking == "free memory":
        monkeypatch.setattr(management, "get_free_memory", lambda *_, **__: 1)
    monkeypatch.setattr(parts[3].first_stage_model, "decode", out_of_memory)
    (pieces,) = run("BetwixtDecodeVideoLatents", **inputs)
    assert float((pieces - whole).abs().max()) < 1e-5


def test_exact_ends_and_corrected_colours(parts):
    latents = torch.randn(4, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    inputs = {"samples": {"samples": latents}, "vae": parts[3], "chunk": 4, "overlap": 0}
    ends = {"start_image": key_frame(1), "end_image": key_frame(2)}
    (plain,) = run("BetwixtDecodeVideoLatents", **inputs)
    (exact,) = run("BetwixtDecodeVideoLatents", **inputs, **ends, exact_ends=True)
    assert torch.equal(exact[0], key_frame(1)[0]) and torch.equal(exact[-1], key_frame(2)[0])
    assert torch.equal(exact[1:-1], plain[1:-1])
    (corrected,) = run("BetwixtDecodeVideoLatents", **inputs, **ends, drift_correction=1.0)
    assert (corrected[0].mean((0, 1)) - key_frame(1)[0].mean((0, 1))).abs().max() < 0.02


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"exact_ends": True}, "a key frame is not connected"),
        ({"exact_ends": True, "start_image": key_frame(1), "end_image": key_frame(2, 72)}, "'end_image' is 72x64"),
        ({"overlap": 8, "chunk": 8}, "overlap is 8 and the chunk 8"),
        ({"samples": {"samples": torch.zeros(1, 16, 3, 8, 8)}}, r"shape \[1, 16, 3, 8, 8\]"),
    ],
)
def test_decoding_mistakes(parts, nothing_loads, changes, words):
    from betwixt.common.errors import BetwixtError

    inputs = {"samples": {"samples": torch.zeros(4, 4, 8, 8)}, "vae": parts[3]}
    with pytest.raises(BetwixtError, match=words):
        run("BetwixtDecodeVideoLatents", **{**inputs, **changes})


def test_several_key_frames_become_pairs_and_one_clip():
    frames = torch.rand(3, 8, 8, 3)
    starts, ends, counts, strengths = run(
        "BetwixtKeyFramePairs", key_frames=frames, loop=True, frames_per_gap="4, 5, 4", strength=0.5
    )
    assert torch.equal(torch.cat(starts), frames) and torch.equal(torch.cat(ends), frames.roll(-1, 0))
    assert counts == [4, 5, 4] and strengths == [0.5] * 3
    clips = [torch.full((count, 8, 8, 3), 0.1 * i) for i, count in enumerate(counts)]
    (joined,) = run("BetwixtJoinSegments", segments=clips, loop=[True], published_timing=[False])
    assert joined.shape[0] == sum(counts) - 3
    (joined,) = run("BetwixtJoinSegments", segments=clips, loop=[False], published_timing=[False])
    assert joined.shape[0] == sum(counts) - 2
