"""The converted UNet against diffusers' own, at a reduced width: a second, independent implementation."""

import pytest
import torch

FRAMES, HEIGHT, WIDTH = 3, 8, 16


@pytest.fixture(scope="module")
def oracle(host):
    """diffusers' UNet with the weights of tiny_svd; its res blocks' epsilon set to the original 1e-5."""
    from diffusers import UNetSpatioTemporalConditionModel

    from support.models import tiny_svd

    unet = UNetSpatioTemporalConditionModel(
        block_out_channels=(tiny_svd.WIDTH,) * 4,
        num_attention_heads=(1, 1, 1, 1),
        cross_attention_dim=1024,
        num_frames=FRAMES,
    )
    weights = tiny_svd.unet_weights()
    unet.load_state_dict(weights)
    for name, module in unet.named_modules():
        if isinstance(module, torch.nn.GroupNorm) and "resnets" in name:
            module.eps = 1e-5
    return unet.eval(), weights


@pytest.mark.parametrize("batch", [1, 2])
def test_the_native_unet_computes_what_diffusers_computes(oracle, batch):
    from betwixt.nodes.host.svd.model import model_from

    theirs, weights = oracle
    ours = model_from(weights, "unet")[0].model
    generator = torch.Generator().manual_seed(batch)
    sample = torch.randn(batch, FRAMES, 8, HEIGHT, WIDTH, generator=generator)
    context = torch.randn(batch, 1, 1024, generator=generator)
    ids = torch.tensor([[6.0, 127.0, 0.02], [3.0, 30.0, 0.1]])[:batch]
    time = torch.tensor([1.3])
    with torch.inference_mode():
        expected = theirs(sample, time, context, ids, return_dict=False)[0]
        y = torch.cat(
            [
                ours.encode_adm(fps=row[0] + 1, motion_bucket_id=row[1], augmentation_level=row[2])
                for row in ids.tolist()
            ]
        )
        actual = ours.diffusion_model(
            sample.flatten(0, 1),
            time.expand(batch * FRAMES),
            context=context.repeat_interleave(FRAMES, 0),
            y=y.repeat_interleave(FRAMES, 0),
            num_video_frames=FRAMES,
        )
    assert expected.std() > 0.1
    assert (actual.view_as(expected) - expected).abs().max() < 2e-5
