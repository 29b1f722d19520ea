"""Weight files of Stable Video Diffusion to native MODELs."""

import pytest
import torch
from safetensors.torch import save_file

from support.models.random_svd import FULL_UNET, GOLDEN, REDUCED_UNET

BLOCK = "up_blocks.1.attentions.0.temporal_transformer_blocks.0.attn1.to_v.weight"
LDM_BLOCK = "diffusion_model.output_blocks.3.1.time_stack.0.attn1.to_v.weight"


@pytest.fixture(scope="module")
def weights(host):
    from support.models import tiny_svd

    return tiny_svd.unet_weights(torch.float16)


@pytest.fixture
def model_from(host):
    from betwixt.nodes.host.svd.model import model_from

    return model_from


@pytest.mark.parametrize("manifest, parameters", [(FULL_UNET, 1_524_623_082), (REDUCED_UNET, 362_055_402)])
def test_all_names_and_shapes_of_a_published_size_arrive(host, manifest, parameters):
    from betwixt.fcvg_core.sampling.parameter_names import to_ldm
    from betwixt.nodes.host.svd.model import SvdUnet, expected_shapes

    from support.models.synthetic_weights import load_manifest

    entries = load_manifest(GOLDEN / manifest)
    with torch.device("meta"):
        published = {key: torch.empty(entry["shape"]) for key, entry in entries.items()}
    renamed, unknown = to_ldm(published)
    shapes = expected_shapes(SvdUnet.of(published).config())
    assert unknown == [] and len(renamed) == 1428
    assert {key: value.shape for key, value in renamed.items()} == shapes
    assert sum(shape.numel() for shape in shapes.values()) == parameters


def test_a_half_precision_file_runs_in_float32_on_the_cpu(model_from, weights):
    import comfy.model_base

    model, report = model_from(weights, "unet.safetensors")
    assert type(model.model) is comfy.model_base.SVD_img2vid
    assert model.model_dtype() == torch.float32
    assert torch.equal(model.model.state_dict()[LDM_BLOCK], weights[BLOCK].float())
    assert "diffusers names" in report and "Missing: none" in report and "stored as float16" in report


@pytest.mark.parametrize("choice, dtype", [("fp16", torch.float16), ("bf16", torch.bfloat16), ("fp8_e4m3fn", None)])
def test_the_precision_can_be_chosen(model_from, weights, choice, dtype):
    model, _ = model_from(weights, "unet.safetensors", choice)
    assert model.model_dtype() == (dtype or torch.float8_e4m3fn)
    assert model.model.get_dtype_inference() == torch.float32 or dtype is not None


def test_a_whole_checkpoint_gives_its_unet(model_from, weights):
    from betwixt.fcvg_core.sampling.parameter_names import to_ldm

    checkpoint = {f"model.diffusion_model.{key}": value for key, value in to_ldm(weights)[0].items()}
    checkpoint["first_stage_model.decoder.conv_in.weight"] = torch.zeros(1)
    model, report = model_from(checkpoint, "svd.safetensors")
    assert torch.equal(model.model.state_dict()[LDM_BLOCK], weights[BLOCK].float())
    assert "Not part of the UNet: 1 (first_stage_model.decoder.conv_in.weight)" in report


def test_a_partial_file_replaces_weights_of_the_base(model_from, weights):
    import comfy.model_management

    base, _ = model_from(weights, "base")
    new = torch.randn(weights[BLOCK].shape)
    model, report = model_from({BLOCK: new}, "partial", base=base)
    assert "1 of 1424 tensors replaced" in report
    comfy.model_management.load_models_gpu([model])
    assert torch.equal(model.model.state_dict()[LDM_BLOCK], new)
    comfy.model_management.load_models_gpu([base])
    assert torch.equal(base.model.state_dict()[LDM_BLOCK], weights[BLOCK].float())


def test_weights_that_are_not_finite_are_in_the_report(model_from, weights):
    base, report = model_from(weights, "base")
    assert "NaN" not in report
    broken = torch.full_like(weights[BLOCK], float("nan"))
    _, report = model_from({BLOCK: broken}, "partial", base=base)
    assert f"NaN or infinite values in 1 tensors ({LDM_BLOCK.removeprefix('diffusion_model.')})" in report


def test_the_host_can_rebuild_a_loaded_file(host, weights, tmp_path):
    from betwixt.nodes.host.svd.model import load_model

    save_file(weights, tmp_path / "unet.safetensors")
    model, _ = load_model(str(tmp_path / "unet.safetensors"))
    loader, arguments = model.cached_patcher_init
    again = loader(*arguments, disable_dynamic=True)
    assert torch.equal(again.model.state_dict()[LDM_BLOCK], model.model.state_dict()[LDM_BLOCK])


def test_wrong_files_are_named(model_from, weights):
    from betwixt.common.errors import BetwixtError

    incomplete = {key: value for key, value in weights.items() if key != BLOCK}
    with pytest.raises(BetwixtError, match="lacks 1 of the UNet's 1424 tensors .*to_v.weight.*'base'"):
        model_from(incomplete, "unet.safetensors")
    with pytest.raises(BetwixtError, match="tensors of 'unet' have another shape"):
        model_from({**weights, BLOCK: torch.zeros(3, 3)}, "unet")
    image = {"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(1), "cond_stage_model.transformer.x": 0}
    image["cond_stage_model.transformer.x"] = torch.zeros(1)
    with pytest.raises(BetwixtError, match="holds a Stable Diffusion 1.5 checkpoint"):
        model_from(image, "v1-5.safetensors")
    base, _ = model_from(weights, "base")
    with pytest.raises(BetwixtError, match="nothing of the model on 'base'"):
        model_from({"x.lora_down.weight": torch.zeros(1)}, "lora", base=base)


def test_other_models_are_not_taken_for_svd(host):
    import comfy.model_base
    from betwixt.common.errors import BetwixtError
    from betwixt.nodes.host.svd.model import require_svd

    class Patcher:
        model = comfy.model_base.SV3D_p.__new__(comfy.model_base.SV3D_p)

    with pytest.raises(BetwixtError, match="The model on 'model' is SV3D_p"):
        require_svd(Patcher, "model")


def test_controlnext_files_are_read_strictly(host):
    from betwixt.common.errors import BetwixtError
    from betwixt.nodes.host.svd.controlnext_model import controlnext_from

    from support.models import tiny_svd

    weights = tiny_svd.controlnext_weights(torch.float16)
    patcher = controlnext_from({"state_dict": weights})
    assert patcher.model.config.output == tiny_svd.WIDTH
    assert patcher.model.mid_convs[1].weight.dtype == torch.float16
    with pytest.raises(BetwixtError, match="tensors are missing"):
        controlnext_from({key: value for key, value in weights.items() if key != "mid_convs.0.0.bias"})
    with pytest.raises(BetwixtError, match="Stable Video Diffusion UNet in diffusers layout.*ControlNeXt"):
        controlnext_from(tiny_svd.unet_weights())
