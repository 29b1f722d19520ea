"""'Add LTX Guides': the same as the host's chain of single guides, with sentences where that fails inside."""

import pytest
import torch
from betwixt.common.errors import BetwixtError

from support.run_node import run

FRAMES, SIZE = 25, 64
NUMBERS = [0, 12, 24]
VIDEO = torch.zeros(1, 128, 4, 2, 2)


@pytest.fixture(scope="module")
def node(host):
    from betwixt.nodes.inbetween.ltx_guides import AddLTXGuides

    return AddLTXGuides


@pytest.fixture(scope="module")
def vae(host):
    from support.models import tiny_ltx

    return tiny_ltx.vae()


def given(vae, **changed) -> dict:
    """Inputs as the host hands them over: each one a list."""
    generator = torch.Generator().manual_seed(0)
    guides = [torch.rand(1, SIZE, SIZE, 3, generator=generator) for _ in NUMBERS]
    conditioning = [[torch.zeros(1, 4, 32), {}]]
    latent = {"samples": torch.zeros(1, 128, (FRAMES - 1) // 8 + 1, SIZE // 32, SIZE // 32)}
    inputs = {"positive": [conditioning], "negative": [conditioning], "vae": [vae], "latent": [latent]}
    return inputs | {"guide_images": guides, "guide_numbers": NUMBERS, "strength": [1.0]} | changed


def test_guides_are_added_like_by_a_chain_of_the_hosts_nodes(node, vae):
    from comfy_extras.nodes_lt import LTXVAddGuide, LTXVCropGuides

    inputs, strengths = given(vae), [1.0, 0.5, 0.75]
    positive, negative, latent = run(node, **inputs | {"strength": strengths})
    chain = [inputs[name][0] for name in ("positive", "negative", "latent")]
    for guide, number, strength in zip(inputs["guide_images"], NUMBERS, strengths, strict=True):
        chain = LTXVAddGuide.execute(*chain[:2], vae, chain[2], guide, number, strength).args
    assert torch.equal(latent["samples"], chain[2]["samples"])
    assert torch.equal(latent["noise_mask"], chain[2]["noise_mask"])
    assert torch.equal(positive[0][1]["keyframe_idxs"], chain[0][0][1]["keyframe_idxs"])
    assert latent["noise_mask"][0, 0, -3:, 0, 0].tolist() == [0, 0.5, 0.25]
    assert latent["samples"].shape[2] == (FRAMES - 1) // 8 + 1 + len(NUMBERS)
    cropped = LTXVCropGuides.execute(positive, negative, latent).args[2]["samples"]
    assert torch.equal(cropped, inputs["latent"][0]["samples"])


def test_a_batch_counts_as_several_guides_and_further_ones_may_follow(node, vae):
    inputs = given(vae)
    one_by_one = run(node, **inputs)[2]["samples"]
    batch = [torch.cat(inputs["guide_images"][:2])]
    positive, negative, latent = run(node, **inputs | {"guide_images": batch, "guide_numbers": NUMBERS[:2]})
    more = {"positive": [positive], "negative": [negative], "latent": [latent]}
    last = {"guide_images": inputs["guide_images"][2:], "guide_numbers": NUMBERS[2:]}
    assert torch.equal(run(node, **inputs | more | last)[2]["samples"], one_by_one)
    with pytest.raises(BetwixtError, match="frame 25, the video has 25 frames"):  # its guides are no frames of it
        run(node, **inputs | more | last | {"guide_numbers": [25]})


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"guide_numbers": [0, 12]}, "'guide_numbers' has 2 entries, 'guide_images' 3 pictures"),
        ({"strength": [1.0, 0.5]}, "'strength' has 2 entries, 'guide_images' 3 pictures"),
        ({"guide_images": [torch.zeros(3, 1, 100, 3)]}, "a picture of 100x1"),
        ({"guide_numbers": [0, 12, 25]}, "frame 25, the video has 25 frames"),
        ({"latent": [{"samples": torch.zeros(1, 16, 4, 8, 8)}]}, r"'latent' has the shape \[1, 16, 4, 8, 8\]"),
        ({"latent": [{"samples": torch.zeros(1, 128, 8, 8)}]}, r"'latent' has the shape \[1, 128, 8, 8\]"),
        ({"latent": [{"samples": torch.zeros(2, 128, 4, 2, 2)}]}, "'latent' holds 2 videos"),
        ({"latent": [{"samples": VIDEO, "noise_mask": torch.full((1, 64, 64), torch.nan)}]}, "has the noise mask"),
        ({"latent": [{"samples": VIDEO, "noise_mask": [1.0]}]}, "has the noise mask"),
        ({"positive": [[[torch.zeros(1, 4, 32), {"keyframe_idxs": torch.zeros(1, 3)}]]]}, "'positive' brings guides"),
        ({"negative": [[[torch.zeros(1, 4, 32), {"keyframe_idxs": "1"}]]]}, "'negative' brings guides"),
    ],
)
def test_what_does_not_fit_is_refused(node, vae, changed, message):
    with pytest.raises(BetwixtError, match=message):
        run(node, **given(vae, **changed))


@pytest.mark.parametrize("shape", [(64, 64), (1, 64, 64), (4, 1, 64, 64), (1, 1, 4, 2, 2), (1, 1, 9, 64, 64)])
def test_a_noise_mask_of_any_shape_goes_on_before_that_of_the_guides(node, vae, shape):
    latent = {"samples": VIDEO, "noise_mask": torch.full(shape, 0.25)}
    mask = run(node, **given(vae, latent=[latent]))[2]["noise_mask"]
    assert mask.shape == (1, 1, 4 + len(NUMBERS), 2, 2)
    assert (mask[:, :, :4] == 0.25).all() and not mask[:, :, 4:].any()


def test_the_vae_of_another_model_is_refused(node, vae):
    from support.models import tiny_svd

    with pytest.raises(BetwixtError, match="'vae' works on 4 channels"):
        run(node, **given(tiny_svd.temporal_vae()))
