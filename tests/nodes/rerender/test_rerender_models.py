"""What may hang on the model or the prompts of rerendered key frames: other bases, guidance, regions, inpainting."""

import importlib.util

import pytest
import torch
from betwixt.common.errors import BetwixtError
from betwixt.rerender_core.keyframes.constraints import CrossFrame, KeyframeConstraints

from support.runs.rerender_runs import ALL, SIZE, clip

CROSS_FRAME = KeyframeConstraints(CrossFrame(loose=False))


@pytest.mark.parametrize("kind", ["SD20", "SD15 inpainting", "SDXL"])
def test_other_models(run, sd15, kind, caplog):
    from support.models import tiny_sd15

    model = tiny_sd15.variant(sd15[0], kind)
    texts = {"positive": tiny_sd15.pooled(0), "negative": tiny_sd15.pooled(1)} if kind == "SDXL" else {}
    pictures = run(model=model, **texts)[0]
    assert torch.isfinite(pictures).all() and pictures.std() > 0.01
    assert ("experimental" in caplog.text) == (kind == "SDXL")
    free = run(model=model, constraints=None, **texts)[0]
    assert torch.equal(pictures[0], free[0]) and not torch.equal(pictures[1], free[1])  # the constraints act


def test_v_prediction_is_understood(run, sd15):
    """A model whose v is made from another's noise prediction gives that model's pictures."""
    from support.models import tiny_sd15

    noise_model, v_model = sd15[1], tiny_sd15.variant(sd15[0], "SD20").clone()
    sampling = v_model.get_model_object("model_sampling")

    def as_v(apply_model, arguments):
        noisy, sigma = arguments["input"], arguments["timestep"].view(-1, 1, 1, 1)
        scaled = noisy / (sigma**2 + 1).sqrt()
        noise = v_model.model.diffusion_model(
            scaled, sampling.timestep(arguments["timestep"]).float(), context=arguments["c"]["c_crossattn"]
        )
        v = (noise - sigma / (sigma**2 + 1).sqrt() * scaled) * (sigma**2 + 1).sqrt()
        return sampling.calculate_denoised(arguments["timestep"], v, noisy)

    v_model.set_model_unet_function_wrapper(as_v)
    expected, actual = (run(model=model, constraints=None)[1]["samples"] for model in (noise_model, v_model))
    assert (actual - expected).abs().max() < 1e-3 * expected.std()


def test_several_conditionings_are_kept_apart(run):
    from support.models import tiny_sd15

    both = tiny_sd15.text(0) + tiny_sd15.text(5)
    mixed = run(positive=both)[0]
    assert not torch.equal(mixed, run()[0])
    assert torch.isfinite(mixed).all()
    exchanged = run(positive=both[::-1])[0]
    assert (mixed - exchanged).abs().max() < 1e-3  # each attends to its own features, whatever the order


def regional(count: int, seeds=(0, 5)) -> list:
    """Two prompts, each with masks for its half of ``count`` frames; the border moves."""
    from support.models import tiny_sd15

    masks = torch.zeros(2, count, SIZE, SIZE)
    for number in range(count):
        masks[0, number, :, : 16 + 16 * number] = 1
    masks[1] = 1 - masks[0]
    return [
        [tiny_sd15.text(seed)[0][0], {"mask": mask, "mask_strength": 1.0, "set_area_to_bounds": False}]
        for seed, mask in zip(seeds, masks, strict=True)
    ]


def test_regional_prompts_may_move_with_the_frames(run):
    moving, still = regional(3), regional(1)
    changed = regional(3)
    changed[0][1]["mask"] = changed[0][1]["mask"].clone()
    changed[0][1]["mask"][2] = 1
    assert torch.equal(run(positive=moving)[0][:2], run(positive=changed)[0][:2])
    assert not torch.equal(run(positive=moving)[0][2], run(positive=changed)[0][2])
    assert torch.equal(run(positive=still)[0][0], run(positive=moving)[0][0])
    with pytest.raises(BetwixtError, match="The region of 'positive' has 2"):
        run(positive=regional(2))


@pytest.mark.parametrize("constraints", [CROSS_FRAME, ALL])
@pytest.mark.parametrize("guidance", ["SelfAttentionGuidance", "PerturbedAttentionGuidance"])
def test_guidance_that_evaluates_the_model_again_in_a_step(run, sd15, guidance, constraints):
    """The stores hold what the first evaluation of a step saw: without weight, the second one changes nothing."""
    from comfy_extras.nodes_pag import PerturbedAttentionGuidance
    from comfy_extras.nodes_sag import SelfAttentionGuidance

    def guided(scale: float):
        if guidance == "SelfAttentionGuidance":
            return SelfAttentionGuidance.execute(sd15[1], scale, 2.0).args[0]
        return PerturbedAttentionGuidance.execute(sd15[1], scale).args[0]

    inputs = {"constraints": constraints, "key_frames": clip(2, 128)}  # smaller maps give these two nothing to change
    plain = run(**inputs)[1]["samples"]
    without_weight = run(model=guided(1e-12), **inputs)[1]["samples"]
    assert (without_weight - plain).abs().max() < 1e-3 * plain.std()
    assert (run(model=guided(1.0), **inputs)[1]["samples"] - plain).abs().max() > 0.01 * plain.std()


def test_a_guidance_of_its_own_conditioning_is_kept_apart(run, sd15):
    import comfy.sampler_helpers
    import comfy.samplers

    from support.models import tiny_sd15

    model = sd15[1].clone()

    def third(arguments):
        conds = comfy.sampler_helpers.convert_cond(tiny_sd15.text(9))  # with a new id in every step
        conds = comfy.samplers.encode_model_conds(
            arguments["model"].extra_conds, conds, arguments["input"], arguments["input"].device, "positive"
        )
        (other,) = comfy.samplers.calc_cond_batch(
            arguments["model"], [conds], arguments["input"], arguments["sigma"], arguments["model_options"]
        )
        return arguments["denoised"] + 0.5 * (arguments["denoised"] - other)

    model.set_model_sampler_post_cfg_function(third)
    first = run(model=model)[0]
    assert torch.isfinite(first).all() and torch.equal(run(model=model)[0], first)
    assert not torch.equal(first, run()[0])


def test_what_the_first_frame_did_not_have_is_refused(run, sd15):
    import comfy.samplers

    model, seen = sd15[1].clone(), []

    def later(arguments):
        seen.append(arguments)
        if len(seen) > 5:  # in the second frame
            comfy.samplers.calc_cond_batch(
                *(arguments["model"], [[{**arguments["cond"][0], "uuid": object()}]], arguments["input"]),
                *(arguments["sigma"], arguments["model_options"]),
            )
        return arguments["denoised"]

    model.set_model_sampler_post_cfg_function(later)
    with pytest.raises(BetwixtError, match="conditioning that the first frame did not have"):
        run(model=model)


def test_freeu_and_a_lower_resolution_in_early_steps(run, sd15):
    from comfy_extras.nodes_freelunch import FreeU_V2
    from comfy_extras.nodes_model_downscale import PatchModelAddDownscale

    for patched in (
        FreeU_V2.execute(sd15[1], 1.1, 1.2, 0.9, 0.2).args[0],
        PatchModelAddDownscale.execute(sd15[1], 3, 2.0, 0.0, 0.35, True, "bicubic", "bicubic").args[0],
    ):
        pictures = run(model=patched, key_frames=clip(2, 128))[0]  # FreeU divides by 0 in maps of a single cell
        assert torch.isfinite(pictures).all()


def test_token_merging_and_tiling_are_refused_with_their_reason(run, sd15):
    from comfy_extras.nodes_hypertile import HyperTile
    from comfy_extras.nodes_tomesd import TomePatchModel

    for patched in (
        TomePatchModel.execute(sd15[1], 0.5).args[0],
        HyperTile.execute(sd15[1], 32, 2, 0, False)[0],
    ):
        with pytest.raises(BetwixtError, match="merges or tiles.*all tokens of a frame.*Remove that patch"):
            run(model=patched)
        free = run(model=patched, constraints=None)[0]  # without cross-frame attention they do no harm
        assert free.shape[0] == 3 and torch.isfinite(free).all()


def stock_nodes(host):
    """The host's own nodes; pytest has given the name of their module to this folder."""
    spec = importlib.util.spec_from_file_location("stock_nodes", host / "nodes.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_an_inpainting_model_paints_into_the_hole_of_each_frame(run, sd15, host):
    """Through the host's 'InpaintModelConditioning', with one mask for all frames or one per frame."""
    from support.models import tiny_sd15

    inpaint = stock_nodes(host).InpaintModelConditioning()
    model, frames = tiny_sd15.variant(sd15[0], "SD15 inpainting"), clip(3)

    def prompts(masks):
        texts = tiny_sd15.text(0), tiny_sd15.text(1)
        positive, negative, _ = inpaint.encode(*texts, frames, sd15[3], masks)
        return {"positive": positive, "negative": negative, "model": model}

    masks = torch.zeros(3, SIZE, SIZE)
    masks[:, :, 32:] = 1
    together = run(**prompts(masks))[0]
    assert torch.equal(run(**prompts(masks[:1]))[0], together)
    masks[2] = 0
    changed = run(**prompts(masks))[0]
    assert torch.equal(changed[:2], together[:2]) and not torch.equal(changed[2], together[2])
    with pytest.raises(BetwixtError, match="The inpainting mask of 'positive' has 2"):
        run(**prompts(masks[:1]) | {"positive": [[tiny_sd15.text(0)[0][0], {"concat_mask": masks[:2, None]}]]})
