"""Runs of 'Rerender Key Frames' on a narrow SD1.5."""

import pytest
import torch
from betwixt.rerender_core.flow.estimation import DenseInverseSearch

from support.runs.rerender_runs import DEFAULTS, clip


@pytest.fixture(scope="session")
def sd15(host):
    """Weights, MODEL, CONTROL_NET and VAE."""
    from support.models import tiny_sd15

    weights = tiny_sd15.weights()
    return weights, tiny_sd15.model(weights), tiny_sd15.control_net(weights), tiny_sd15.vae(weights)


@pytest.fixture(scope="session")
def node(host):
    from betwixt.nodes.rerender.keyframes import RerenderKeyframes
    from comfy_api.latest import io

    RerenderKeyframes.hidden = io.HiddenHolder.from_dict({io.Hidden.unique_id: "7"})
    return RerenderKeyframes


@pytest.fixture
def run(node, sd15):
    """Runs the node on three moving frames; keywords replace its inputs."""
    from support.models import tiny_sd15

    def call(**changes):
        inputs = {"model": sd15[1], "vae": sd15[3], "positive": tiny_sd15.text(0), "negative": tiny_sd15.text(1)}
        inputs |= {"key_frames": clip(3), "flow_model": DenseInverseSearch("ultrafast"), **DEFAULTS, **changes}
        with torch.inference_mode():
            return node.execute(**inputs).args

    return call


@pytest.fixture(scope="session")
def other_models(host):
    """MODELs that are no picture models with Stable Diffusion's UNet, by the name of the host's class."""
    import comfy.ldm.flux.model
    import comfy.model_base
    import comfy.supported_models
    from betwixt.nodes.host.svd.model import model_from

    from support.models import tiny_svd

    flux = comfy.supported_models.Flux(
        {"image_model": "flux", "in_channels": 16, "out_channels": 16, "patch_size": 2, "vec_in_dim": 8}
        | {"context_in_dim": 8, "hidden_size": 16, "mlp_ratio": 1.0, "num_heads": 1, "depth": 1}
        | {
            "depth_single_blocks": 1,
            "axes_dim": [4, 6, 6],
            "theta": 10000,
            "qkv_bias": True,
            "guidance_embed": False,
            "txt_ids_dims": [],
        }
    )
    flux.set_inference_dtype(torch.float32, None)
    return {
        "SVD_img2vid": model_from(tiny_svd.unet_weights(), "unet")[0],
        "Flux": patcher(flux.get_model({}, device="cpu")),
    }


def patcher(network):
    import comfy.model_management as management
    import comfy.model_patcher

    devices = {"load_device": management.get_torch_device(), "offload_device": management.unet_offload_device()}
    return comfy.model_patcher.CoreModelPatcher(network, **devices)


@pytest.fixture(scope="session")
def other_vaes(host):
    """VAEs that do not belong to Stable Diffusion's pictures, by the name of the host's class."""
    import comfy.sd

    from support.models import tiny_svd, tiny_wan

    return {"AutoencodingEngine": tiny_svd.temporal_vae(), "WanVAE": comfy.sd.VAE(sd=tiny_wan.vae_weights())}
