"""Rerendering key frames through the host on a narrow SD1.5: what comes out, what is refused, what is not lost."""

import pytest
import torch
from betwixt.common.errors import BetwixtError
from betwixt.rerender_core.flow.estimation import DenseInverseSearch, estimate_flow
from betwixt.rerender_core.keyframes.constraints import (
    Adaptive,
    CrossFrame,
    KeyframeConstraints,
    PixelAware,
    ShapeAware,
)

from support.runs.rerender_runs import SIZE, clip, counted


def test_key_frames_come_out_with_their_numbers(run):
    pictures, latent, keys = run(key_numbers="0, 10, 25")
    assert pictures.shape == (3, SIZE, SIZE, 3) and pictures.min() >= 0 and pictures.max() <= 1
    assert latent["samples"].shape == (3, 4, SIZE // 8, SIZE // 8)
    assert keys.numbers == (0, 10, 25) and torch.equal(keys.frames, pictures)


def test_runs_do_not_influence_each_other(run):
    first = run()[0]
    other = run(steps=3, key_frames=clip(2), seed=9)[0]
    assert other.shape[0] == 2
    assert torch.equal(run()[0], first)


@pytest.mark.parametrize("steps", [2, 9, 27, 30, 36])
def test_step_counts_that_break_the_published_code_work(run, steps):
    pictures = run(steps=steps, key_frames=clip(2))[0]
    assert torch.isfinite(pictures).all() and pictures.std() > 0.01


def test_every_constraint_changes_the_second_frame_only(run):
    free = run(constraints=None, steps=5, key_frames=clip(2))[1]["samples"]
    for constraints in (
        KeyframeConstraints(CrossFrame(loose=False)),
        KeyframeConstraints(shape_aware=ShapeAware((0.2, 0.6))),
        KeyframeConstraints(pixel_aware=PixelAware()),
        KeyframeConstraints(adaptive=Adaptive()),
    ):
        held = run(constraints=constraints, steps=5, key_frames=clip(2))[1]["samples"]
        assert torch.equal(held[0], free[0])
        assert (held[1] - free[1]).abs().max() > 1e-3  # of about 14


def test_a_free_run_is_the_same_as_each_frame_alone(run):
    together = run(constraints=None)[0]
    alone = run(constraints=None, key_frames=clip(3)[2:], first_frame_only=True)[0]
    assert torch.equal(together[2:], alone)


def test_first_frame_only_needs_no_flow_and_is_the_first_of_the_whole_run(run):
    only = run(first_frame_only=True, flow_model=None)[0]
    assert only.shape[0] == 1 and torch.equal(only, run()[0][:1])


def test_given_flow_replaces_the_flow_model(run):
    frames, pairs = clip(3), [(0, 1), (0, 2), (1, 2)]
    flow = estimate_flow(frames, pairs, DenseInverseSearch("ultrafast"))
    assert torch.equal(run(flow=flow, flow_model=None)[0], run()[0])


def test_a_refreshed_anchor_changes_what_follows_only(run):
    frames = clip(4)
    published = run(key_frames=frames)[0]
    refreshed = run(key_frames=frames, anchor={"anchor": "at", "numbers": "20"}, key_numbers="0, 10, 20, 30")[0]
    assert torch.equal(refreshed[:3], published[:3])
    assert not torch.equal(refreshed[3], published[3])
    assert torch.equal(run(key_frames=frames, anchor={"anchor": "every", "count": 2})[0], refreshed)


def test_hints_belong_to_their_frames(run, sd15):
    from support.models import tiny_sd15

    def controlled(hints):
        control = None
        for hint in hints:
            chained = sd15[2].copy().set_cond_hint(hint.movedim(-1, 1), 0.7)
            control = chained.set_previous_controlnet(control)
        options = {"control": control, "control_apply_to_uncond": False}
        return {name: [[tiny_sd15.text(seed)[0][0], options]] for seed, name in enumerate(("positive", "negative"))}

    hints = [torch.rand(3, SIZE, SIZE, 3, generator=torch.Generator().manual_seed(i)) for i in range(2)]
    plain = run(**controlled(hints))[0]
    changed = [hints[0], hints[1].clone()]
    changed[1][2] = 1 - changed[1][2]
    assert not torch.equal(plain, run()[0])
    assert torch.equal(run(**controlled(changed))[0][:2], plain[:2])
    assert not torch.equal(run(**controlled(changed))[0][2], plain[2])
    assert hints[0].shape[0] == 3  # the hints on the wire are not cut


def test_outside_the_mask_the_input_stays(run):
    mask = torch.zeros(SIZE, SIZE)
    mask[:, :32] = 1
    pictures = run(mask=mask)[0]
    assert torch.allclose(pictures[:, :, 32:], clip(3)[:, :, 32:], atol=1e-6)
    assert (pictures[:, :, :32] - clip(3)[:, :, :32]).abs().mean() > 0.01


def test_every_frame_may_have_its_own_mask_and_none_need_be_selected(run):
    masks = torch.zeros(3, SIZE, SIZE)
    masks[0, :, :32], masks[2, :32] = 1, 1  # nothing is selected in the second frame
    pictures = run(mask=masks, keep_colours=False)[0]
    kept = masks[..., None].expand_as(pictures) == 0
    assert torch.allclose(pictures[kept], clip(3)[kept], atol=1e-6)
    assert (pictures[~kept] - clip(3)[~kept]).abs().mean() > 0.01
    of_clip = torch.zeros(9, SIZE, SIZE)
    of_clip[[0, 4, 8]] = masks
    picked = run(mask=of_clip, keep_colours=False, key_numbers="0, 4, 8")[0]
    assert torch.equal(picked, pictures)


def test_recoloured_frames_and_cfg_1(run):
    assert not torch.equal(run(keep_colours=False)[0], run()[0])
    assert torch.isfinite(run(cfg=1.0)[0]).all()


def test_single_coloured_frames(run):
    grey = torch.full((3, SIZE, SIZE, 3), 0.5)
    assert torch.isfinite(run(key_frames=grey, keep_colours=False)[0]).all()


def test_another_schedule_is_followed(run, sd15):
    import comfy.samplers

    sigmas = comfy.samplers.calculate_sigmas(sd15[1].get_model_object("model_sampling"), "karras", 5)
    assert torch.isfinite(run(sigmas=sigmas)[0]).all()


def test_24_instead_of_40_model_steps_per_key_frame(run, sd15):
    model, calls = counted(sd15[1])
    run(model=model, steps=20, strength=0.75, key_frames=clip(2))
    assert sum(calls) == 2 * (15 + 24)  # both halves; 15 for the anchor


@pytest.mark.parametrize("fault", ["cancelled", "out of memory", "an unforeseen error"])
def test_what_is_finished_comes_out_when_a_later_frame_is_not(run, sd15, monkeypatch, caplog, fault):
    import comfy.model_management as management

    model, calls = counted(sd15[1])

    def asked():
        if len(calls) > 5:  # in the second frame
            faults = {"cancelled": management.InterruptProcessingException(), "out of memory": RuntimeError(fault)}
            raise faults.get(fault, TypeError(fault))

    whole = run()[0]
    monkeypatch.setattr(management, "throw_exception_if_processing_interrupted", asked)
    pictures, latent, keys = run(model=model, on_cancel="keep finished frames", key_numbers="0, 10, 20")
    assert len(calls) == 6  # not one evaluation more
    assert torch.equal(pictures, whole[:1]) and keys.numbers == (0,) and latent["samples"].shape[0] == 1
    assert f"{fault}. 1 of 3 key frames" in caplog.text.replace("Cancelled", "cancelled")
    calls.clear()
    with pytest.raises((management.InterruptProcessingException, RuntimeError, TypeError)):
        run(model=model)


def test_a_part_is_not_taken_for_the_whole_when_the_graph_runs_again(run, node, sd15, monkeypatch):
    import comfy.model_management as management

    before, (model, calls) = node.fingerprint_inputs(), counted(sd15[1])
    run()
    assert node.fingerprint_inputs() == before  # the host may answer the next run from its cache

    def asked():
        if len(calls) > 5:
            raise management.InterruptProcessingException

    monkeypatch.setattr(management, "throw_exception_if_processing_interrupted", asked)
    run(model=model, on_cancel="keep finished frames")
    assert node.fingerprint_inputs() != before


def test_a_frame_of_nan_is_named_and_what_came_before_is_kept(run, sd15, caplog):
    model, calls = counted(sd15[1])
    evaluate = model.model_options["model_function_wrapper"]

    def overflowing(apply_model, arguments):
        result = evaluate(apply_model, arguments)
        return result * float("nan") if len(calls) > 5 else result

    model.set_model_unet_function_wrapper(overflowing)
    pictures = run(model=model, constraints=None, on_cancel="keep finished frames")[0]
    assert torch.equal(pictures, run(constraints=None)[0][:1])
    assert "Key frame 2 came out with NaN" in caplog.text and "--fp32-vae" in caplog.text


def spoiled(frames):
    frames[1, 0, 0, 0] = float("nan")
    return frames


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"key_frames": clip(1)}, "one frame"),
        ({"key_frames": clip(2)[:, :60]}, "64x60"),
        ({"key_frames": spoiled(clip(2))}, "NaN"),
        ({"key_numbers": "0, 20, 10"}, "from 20 back to 10"),
        ({"key_numbers": "0, 10, 10"}, "10 twice"),
        ({"key_numbers": "0, 10"}, "2 numbers"),
        ({"key_numbers": "0, ten, 20"}, "'ten'"),
        ({"anchor": {"anchor": "at", "numbers": "7"}}, "Frame 7"),
        ({"flow_model": None}, "Neither 'flow_model' nor 'flow'"),
        ({"mask": torch.ones(2, SIZE, SIZE)}, "2 masks"),
        ({"mask": torch.ones(9, SIZE, SIZE)}, "9 masks"),
        ({"mask": torch.ones(9, SIZE, SIZE), "key_numbers": "0, 4, 9"}, "9 masks"),
        ({"mask": torch.ones(SIZE, 32)}, "32x64"),
        ({"mask": torch.full((SIZE, SIZE), float("nan"))}, "NaN"),
        ({"key_numbers": ""}, "is empty"),
        ({"key_numbers": "-1, 0, 1"}, "'-1'"),
        ({"sigmas": torch.tensor([1.0, 2.0, 0.0])}, "noise schedule"),
        ({"sigmas": torch.tensor([])}, "one row of finite numbers"),
        ({"negative": [[torch.zeros(1, 77, 2048), {}]]}, r"'negative' has the shape \[1, 77, 2048\].*This model reads"),
        ({"positive": [[torch.zeros(1, 4, 1, 1), {}]]}, "CLIP of the same checkpoint"),
    ],
)
def test_mistakes_are_refused_before_a_model_is_loaded(run, changes, said, monkeypatch):
    import comfy.model_management as management

    monkeypatch.setattr(management, "load_models_gpu", lambda *args, **kwargs: pytest.fail("a model was loaded"))
    with pytest.raises(BetwixtError, match=said):
        run(**changes)


@pytest.mark.parametrize(
    ("pairs", "size", "said"), [([(0, 1)], SIZE, "lacks the pair 0-2"), ([(0, 1), (0, 2), (1, 2)], 32, "32x32")]
)
def test_flow_that_does_not_fit_is_refused(run, pairs, size, said):
    flow = estimate_flow(clip(3, size), pairs, DenseInverseSearch("ultrafast"))
    with pytest.raises(BetwixtError, match=said):
        run(flow=flow)


def test_frames_of_changing_size_are_no_batch(run):
    with pytest.raises(BetwixtError, match="shape"):
        run(key_frames=clip(1)[0])


@pytest.mark.parametrize("count", [1, 2, 5])
def test_hints_for_another_number_of_frames_are_refused(run, sd15, count):
    from support.models import tiny_sd15

    control = sd15[2].copy().set_cond_hint(torch.zeros(count, 3, SIZE, SIZE))
    positive = [[tiny_sd15.text()[0][0], {"control": control, "control_apply_to_uncond": False}]]
    with pytest.raises(BetwixtError, match=f"has {count} pictures for 3 key frames"):
        run(positive=positive)


def test_models_and_vaes_of_other_families_are_refused(run, other_models, other_vaes):
    for name, model in other_models.items():
        with pytest.raises(BetwixtError, match=f"The model on 'model' is {name}.*SD1.5 checkpoint"):
            run(model=model)
    for name, vae in other_vaes.items():
        with pytest.raises(BetwixtError, match=f"of another family .{name}.*8 pixels per cell"):
            run(vae=vae)


def test_a_constraint_that_cannot_act_is_named(run, caplog):
    run(strength=0.75, steps=20, key_frames=clip(2))
    assert "Shape-Aware Fusion has no effect: it acts at steps 0..2" in caplog.text
    assert "Pixel-Aware Fusion" not in caplog.text


def test_shots_are_independent_and_come_out_as_in_the_whole_run(run):
    frames, numbers = clip(4), "0, 10, 20, 30"
    anchor = {"anchor": "first of each shot", "numbers": "20"}
    whole, _, keys = run(key_frames=frames, anchor=anchor, key_numbers=numbers)
    assert keys.numbers == (0, 10, 20, 30)
    assert torch.equal(whole[:2], run(key_frames=frames[:2])[0])
    for text, part in (("1", slice(0, 2)), ("2", slice(2, 4)), ("1-2", slice(0, 4))):
        made, latent, own = run(key_frames=frames, anchor=anchor, key_numbers=numbers, shots=text)
        assert torch.equal(made, whole[part]) and own.numbers == keys.numbers[part]
        assert len(latent["samples"]) == len(made)
    masks = torch.rand(4, SIZE, SIZE, generator=torch.Generator().manual_seed(3))
    masked = run(key_frames=frames, anchor=anchor, key_numbers=numbers, mask=masks)[0]
    assert torch.equal(run(key_frames=frames, anchor=anchor, key_numbers=numbers, mask=masks, shots="2")[0], masked[2:])
    with pytest.raises(BetwixtError, match="'shots' is '2'.*the shots here are 1 to 1"):
        run(key_frames=frames, key_numbers=numbers, shots="2")
