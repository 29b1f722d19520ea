"""What ToonCrafter is told: key drawings, prompts, several gaps."""

import pytest
import torch
from betwixt.common.errors import BetwixtError

from support.runs.tooncrafter_graph import SIZE, conditioned, run, text


def test_conditioning_holds_what_the_model_wants(tooncrafter):
    positive, negative, pictures_only, latent, references = conditioned(tooncrafter, fs=0, frame_count=16)
    assert latent["samples"].shape == (16, 4, 8, 8) and not latent["samples"].any()
    assert references.pictures.shape == (2, SIZE, SIZE, 3)
    entries = [conditioning[0][1] for conditioning in (positive, negative, pictures_only)]
    assert [entry["betwixt_fs"] for entry in entries] == [10, 10, 10]
    tokens = [entry["betwixt_image_tokens"] for entry in entries]
    assert torch.equal(tokens[0], tokens[2]) and not torch.allclose(tokens[0], tokens[1])
    assert torch.equal(negative[0][0], pictures_only[0][0])
    keys = entries[0]["betwixt_key_latents"]
    assert keys[0].any() and keys[-1].any() and not keys[1:-1].any()


def test_key_drawings_of_different_sizes_are_both_fitted(tooncrafter):
    one, other = torch.rand(1, 48, 80, 3), torch.rand(1, 100, 70, 3)
    pictures = conditioned(tooncrafter, start_image=one, end_image=other)[4].pictures
    for index, picture in enumerate((one, other)):
        alone = conditioned(tooncrafter, start_image=picture, end_image=picture)[4].pictures
        assert torch.equal(alone[index], pictures[index])


def test_unconditional_tokens_are_computed_once(tooncrafter, monkeypatch):
    conditioned(tooncrafter)
    calls = []
    original = type(tooncrafter.first_stage).image_tokens
    monkeypatch.setattr(
        type(tooncrafter.first_stage), "image_tokens", lambda *inputs: calls.append(1) or original(*inputs)
    )
    conditioned(tooncrafter)
    assert len(calls) == 1  # the key drawing's


def test_long_prompts_are_cut_and_said_once(tooncrafter, caplog):
    positive = conditioned(tooncrafter, positive=text(tooncrafter, "a very long prompt that goes on " * 20))[0]
    assert positive[0][0].shape[1] == 77
    assert caplog.text.count("first 77") == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"end_image": None}, "'end_image' is not connected"),
        ({"start_image": torch.zeros(2, 48, 80, 3)}, "'start_image'.* 2 "),
        ({"end_image": torch.zeros(0, 48, 80, 3)}, "'end_image'"),
        ({"start_image": torch.full((1, 48, 80, 3), float("nan"))}, "NaN"),
        ({"width": 500}, "512 and 64"),
        ({"clip_vision": None}, "CLIP-ViT-H-14"),
        ({"positive": [[torch.zeros(1, 77, 768), {}]]}, "Stable Diffusion 2's CLIP"),
    ],
)
def test_mistakes_in_the_conditioning_are_named(tooncrafter, changes, said):
    with pytest.raises(BetwixtError, match=said):
        conditioned(tooncrafter, **changes)


def test_another_image_encoder_is_refused(tooncrafter):
    import comfy.clip_vision

    config = {**tooncrafter.clip_vision.config, "hidden_size": 32, "num_hidden_layers": 1, "projection_dim": 8}
    with pytest.raises(BetwixtError, match="tokens of 32 values"):
        conditioned(tooncrafter, clip_vision=comfy.clip_vision.ClipVisionModel(config))


def test_tasks_of_dynamicrafter(dynamicrafter):
    for task, expected in (("as the model was trained", [1, 1, 1, 1]), ("loop", [1, 0, 0, 1])):
        positive = conditioned(dynamicrafter, end_image=None, task=task)[0]
        latents = positive[0][1]["betwixt_key_latents"]
        assert [float(bool(frame.any())) for frame in latents] == expected
        assert positive[0][1]["betwixt_fs"] == 24


def test_prompt_frame_rate_and_length_per_gap():
    from betwixt.nodes.tooncrafter.conditioning import PerGapPrompts

    pictures = torch.zeros(3, 8, 8, 3)
    two = run(PerGapPrompts, key_frames=pictures, prompts="a\nb", fs="5 20", lengths="24, 12")
    assert two == (["a", "b"], [5, 20], [24, 12])
    assert run(PerGapPrompts, key_frames=pictures, prompts=["a", "b"], fs=[5, 20.0], lengths=[24, 12]) == two
    assert run(PerGapPrompts, key_frames=pictures, loop=True, prompts="a") == (["a"] * 3, [0] * 3, [0] * 3)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"prompts": "a\nb\nc"}, "'prompts' has 3 entries, and there are 2 gaps"),
        ({"lengths": "24, 12, 8"}, "'lengths' has 3 entries"),
        ({"lengths": "1"}, "'lengths' has the value 1.*from 2 to 10000, or 0"),
        ({"lengths": "8.5"}, "'8.5' in 'lengths' is not a whole number"),
        ({"fs": "61"}, "'fs' has the value 61.*from 1 to 60"),
        ({"fs": "fast"}, "'fast' in 'fs' is not a whole number"),
    ],
)
def test_mistakes_in_the_gaps_are_named(changes, said):
    from betwixt.nodes.tooncrafter.conditioning import PerGapPrompts

    with pytest.raises(BetwixtError, match=said):
        run(PerGapPrompts, key_frames=torch.zeros(3, 8, 8, 3), **changes)


def test_gaps_of_different_length_join_without_a_doubled_key_frame():
    from betwixt.nodes.clips.segments import JoinSegments, KeyframePairs
    from betwixt.nodes.tooncrafter.conditioning import PerGapPrompts
    from betwixt.nodes.tooncrafter.decode import RetimeClip

    keys = torch.tensor([0.0, 0.5, 1.0]).view(3, 1, 1, 1).expand(-1, 8, 8, 3)
    starts, ends, made, _ = run(KeyframePairs, key_frames=keys, frame_count=16)
    lengths = run(PerGapPrompts, key_frames=keys, lengths="24, 8")[2]
    clips = [
        torch.lerp(start, end, torch.linspace(0, 1, frames).view(-1, 1, 1, 1))
        for start, end, frames in zip(starts, ends, made, strict=True)
    ]
    retimed = [run(RetimeClip, images=c, frame_count=n)[0] for c, n in zip(clips, lengths, strict=True)]
    (joined,) = run(JoinSegments, segments=retimed, loop=[False], published_timing=[False])
    assert len(joined) == 24 + 8 - 1
    values = joined[:, 0, 0, 0]
    assert values[[0, 23, 30]].tolist() == [0.0, 0.5, 1.0] and (values[24:] > 0.5).all() and (values[:23] < 0.5).all()


def test_several_prompts_on_one_line_are_pointed_out(caplog):
    from betwixt.nodes.tooncrafter.conditioning import PerGapPrompts

    assert run(PerGapPrompts, key_frames=torch.zeros(3, 8, 8, 3), prompts="a | b")[0] == ["a | b"] * 2
    assert "a line of its own" in caplog.text


def test_prompts_need_a_gap():
    from betwixt.nodes.tooncrafter.conditioning import PerGapPrompts

    with pytest.raises(BetwixtError, match="'key_frames' holds one key frame"):
        run(PerGapPrompts, key_frames=torch.zeros(1, 8, 8, 3), prompts="a")
