"""'Fidelity-Oriented Encode' and 'Compare Round Trips' on a narrow VAE: batches, no clamping, nothing left changed."""

import pytest
import torch
from betwixt.common.errors import BetwixtError

from support.runs.rerender_runs import SIZE, clip


@pytest.fixture
def nodes(host):
    from betwixt.nodes.rerender import encode as rerender_encode
    from comfy_api.latest import io

    rerender_encode.CompareRoundTrips.hidden = io.HiddenHolder.from_dict({io.Hidden.unique_id: "4"})
    return rerender_encode


@pytest.fixture
def encode(nodes, sd15):
    def call(pixels, compensation=1.0, error_threshold=2.0):
        with torch.inference_mode():
            return nodes.FidelityEncode.execute(pixels, sd15[3], compensation, error_threshold).args

    return call


def test_a_batch_is_encoded_like_its_pictures(encode):
    latent, left_out = encode(clip(3))
    assert latent["samples"].shape == (3, 4, SIZE // 8, SIZE // 8) and left_out.shape == (3, SIZE // 8, SIZE // 8)
    for number in range(3):
        alone = encode(clip(3)[number : number + 1])[0]["samples"]
        assert (latent["samples"][number] - alone[0]).abs().max() < 1e-4


def test_the_loss_of_one_trip_is_added_in_advance(encode, sd15):
    from betwixt.nodes.host.rerender.unclamped_vae import UnclampedVAE

    pictures = clip(1)
    with torch.inference_mode():
        vae = UnclampedVAE(sd15[3])
        first = vae.encode(pictures.movedim(-1, 1) * 2 - 1)
        recoded = vae.encode(vae.decode(first))
    assert torch.allclose(encode(pictures)[0]["samples"], 2 * first - recoded, atol=1e-5)
    assert torch.allclose(encode(pictures, compensation=0.5)[0]["samples"], 1.5 * first - 0.5 * recoded, atol=1e-5)
    latent, left_out = encode(pictures, error_threshold=0.0)
    assert left_out.all() and torch.allclose(latent["samples"], first, atol=1e-6)


def test_decoded_pictures_are_not_clamped_and_the_connected_vae_still_clamps(sd15):
    from betwixt.nodes.host.rerender.unclamped_vae import UnclampedVAE

    from support.models import tiny_sd15

    last = f"{tiny_sd15.VAE}decoder.conv_out.weight"
    vae = tiny_sd15.vae(sd15[0] | {last: 20 * sd15[0][last]})
    latent = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        free, clamped = UnclampedVAE(vae).decode(latent), vae.decode(latent)
    assert free.abs().max() > 1.1
    assert clamped.min() >= 0 and clamped.max() <= 1
    assert torch.allclose(((free + 1) / 2).clamp(0, 1).movedim(1, -1), clamped.float(), atol=1e-6)


def test_a_vae_in_half_precision_is_evaluated_in_float32(sd15):
    from betwixt.nodes.host.rerender.unclamped_vae import UnclampedVAE

    from support.models import tiny_sd15

    rounded = {key: value.bfloat16() for key, value in sd15[0].items() if key.startswith(tiny_sd15.VAE)}
    half, whole = tiny_sd15.vae(rounded, torch.bfloat16), tiny_sd15.vae({k: v.float() for k, v in rounded.items()})
    pictures = clip(1).movedim(-1, 1) * 2 - 1
    with torch.inference_mode():
        expected = UnclampedVAE(whole).encode(pictures)
        assert torch.equal(UnclampedVAE(half).encode(pictures), expected)
        assert (half.encode(clip(1)) - expected).abs().max() > 1e-3  # the VAE on the wire keeps its precision
    assert {value.dtype for value in half.get_sd().values()} == {torch.bfloat16}


def test_round_trips_are_compared(nodes, sd15):
    with torch.inference_mode():
        plot, plain, faithful = nodes.CompareRoundTrips.execute(clip(1), sd15[3], 3, 1.0, 0.25).args
        expected = sd15[3].decode(sd15[3].encode(clip(1)))
    assert plot.shape == (1, 480, 720, 3) and plain.shape == faithful.shape == (3, SIZE, SIZE, 3)
    assert torch.allclose(plain[0], expected[0].float(), atol=1e-5)
    assert plain.min() >= 0 and plain.max() <= 1


def test_sides_that_are_no_multiples_of_8_are_refused(encode):
    with pytest.raises(BetwixtError, match="64x60.*nearest size is 64x64.*Fit Frames"):
        encode(clip(1)[:, :60])
