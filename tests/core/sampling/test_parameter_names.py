import torch
from betwixt.fcvg_core.sampling.parameter_names import diffusers_to_ldm, is_diffusers, to_ldm

from support.golden import STORED
from support.models.synthetic_weights import load_manifest

GOLDEN_MAP = load_manifest(STORED / "fcvg" / "svd_diffusers_to_ldm_keys.json.gz")


def test_the_rules_give_the_golden_map():
    assert {key: diffusers_to_ldm(key) for key in GOLDEN_MAP} == GOLDEN_MAP
    assert len(set(GOLDEN_MAP.values())) == len(GOLDEN_MAP) == 1428


def test_names_of_other_networks_have_no_counterpart():
    strangers = [
        "down_blocks.0.resnets.0.conv1.weight",  # an image UNet has no spatial and temporal part
        "down_blocks.0.upsamplers.0.conv.weight",
        "mid_block.upsamplers.0.conv.weight",
        "down_blocks.0.motion_modules.0.proj_in.weight",
        "first_stage_model.decoder.conv_in.weight",
        "down_blocks.0.resnets.0.spatial_res_block.norm9.weight",
    ]
    assert [diffusers_to_ldm(key) for key in strangers] == [None] * len(strangers)


def test_a_checkpoint_gives_its_unet_alone():
    unet = {"input_blocks.0.0.weight": torch.zeros(1), "out.2.bias": torch.zeros(2)}
    whole = {f"model.diffusion_model.{key}": value for key, value in unet.items()}
    whole["first_stage_model.encoder.conv_in.weight"] = torch.zeros(3)
    renamed, others = to_ldm(whole)
    assert renamed.keys() == unet.keys() and others == ["first_stage_model.encoder.conv_in.weight"]
    assert to_ldm(unet) == (unet, [])


def test_a_partial_diffusers_file_is_recognised():
    partial = {"up_blocks.1.attentions.0.temporal_transformer_blocks.0.attn1.to_v.weight": torch.zeros(1)}
    assert is_diffusers(partial)
    assert list(to_ldm(partial)[0]) == ["output_blocks.3.1.time_stack.0.attn1.to_v.weight"]
