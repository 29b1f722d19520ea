"""The pack's nodes, collected in this process."""

import pytest
import torch
from safetensors.torch import save_file

from support import schemas
from support.models import tooncrafter_stand_ins as stand_ins


@pytest.fixture(scope="session")
def pack_nodes(host):
    """All node classes of all families."""
    nodes = schemas.pack_nodes()
    assert nodes
    return nodes


@pytest.fixture(scope="session")
def tooncrafter_files(host, tmp_path_factory):
    """The folder with a narrow ToonCrafter or DynamiCrafter file of each kind."""
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
    other = {"model.diffusion_model.input_blocks.0.0.weight": half["first_stage_model.quant_conv.bias"]}
    save_file({**other, "cond_stage_model.model.ln_final.weight": torch.zeros(64)}, folder / "sd21.safetensors")
    save_file({key: value for key, value in weights.items() if "image_proj" not in key}, folder / "no_resampler.sft")
    return folder


@pytest.fixture(scope="session")
def tooncrafter(tooncrafter_files):
    from betwixt.nodes.host.tooncrafter.files import load_checkpoint

    return load_checkpoint(str(tooncrafter_files / "model.ckpt"))


@pytest.fixture(scope="session")
def dynamicrafter(tooncrafter_files):
    from betwixt.nodes.host.tooncrafter.files import load_checkpoint

    return load_checkpoint(str(tooncrafter_files / "dynamicrafter.ckpt"), between_pictures=False)


@pytest.fixture(scope="session")
def sketch_encoder(tooncrafter_files):
    from betwixt.nodes.host.tooncrafter.sketch_guidance import load_sketch_encoder

    return load_sketch_encoder(str(tooncrafter_files / "sketch_encoder.ckpt"))
