import pytest
import torch
from betwixt.common.errors import BetwixtError
from betwixt.common.files.checkpoints import KINDS, describe_state_dict, load_strict, unwrap_state_dict

from support.golden import STORED
from support.models.synthetic_weights import load_manifest

ONE = torch.ones(1)


@pytest.mark.parametrize(
    "contents",
    [
        {"a.b": ONE},
        {"state_dict": {"a.b": ONE}, "epoch": 3},
        {"model": {"module.a.b": ONE, "step": 4}, "optimizer": {"state": {}}},
        {"module": {"state_dict": {"a.module.b": ONE}}},
        {"params_ema": {"a.b": ONE}, "a.c": ONE},
    ],
)
def test_wrapping_is_taken_off(contents):
    assert unwrap_state_dict(contents) == {"a.b": ONE}


def test_names_that_only_end_in_module_stay():
    assert list(unwrap_state_dict({"motion_module.w": ONE})) == ["motion_module.w"]


def test_published_networks_are_recognised():
    folder = STORED / "gluestick"
    assert describe_state_dict(load_manifest(folder / "superpoint_manifest.json")) == "SuperPoint"
    assert describe_state_dict(load_manifest(folder / "full_manifest.json.gz")) == "a GlueStick line matcher"


def a_clip_vision_model():
    import transformers

    return transformers.CLIPVisionModelWithProjection(transformers.CLIPVisionConfig(num_hidden_layers=1))


def a_clip_text_encoder():
    import transformers

    return transformers.CLIPTextModel(transformers.CLIPTextConfig(num_hidden_layers=1))


def raft():
    from torchvision.models.optical_flow import raft_large

    return raft_large(weights=None)


def of_diffusers(name, **settings):
    def build():
        import diffusers

        return getattr(diffusers, name)(**settings)

    return build


OTHERS = {
    "a Stable Video Diffusion UNet in diffusers layout": of_diffusers("UNetSpatioTemporalConditionModel"),
    "a Stable Diffusion UNet in diffusers layout": of_diffusers("UNet2DConditionModel", cross_attention_dim=768),
    "a ControlNet in diffusers layout": of_diffusers("ControlNetModel"),
    "a VAE in diffusers layout": of_diffusers("AutoencoderKL"),
    "a video VAE in diffusers layout": of_diffusers("AutoencoderKLTemporalDecoder"),
    "a CLIP vision model": a_clip_vision_model,
    "a CLIP text encoder": a_clip_text_encoder,
    "RAFT": raft,
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_libraries_networks_are_recognised(kind):
    with torch.device("meta"):
        network = OTHERS[kind]()
    assert describe_state_dict(network.state_dict()) == kind


def test_checkpoints_are_told_apart_by_their_text_encoder():
    unet = "model.diffusion_model.input_blocks.0.0.weight"
    clip = "cond_stage_model.transformer.text_model.embeddings.position_ids"
    assert describe_state_dict([unet, clip]) == "a Stable Diffusion 1.5 checkpoint"
    assert describe_state_dict([unet, "conditioner.embedders.1.model.ln_final.bias"]) == "an SDXL checkpoint"
    video = unet.replace("0.0.weight", "1.1.time_stack.0.norm1.bias")
    assert describe_state_dict([unet, video]) == "a Stable Video Diffusion checkpoint"
    assert describe_state_dict(["lora_unet_down.lora_down.weight", unet]) == "a LoRA"


def test_the_unknown_is_described_by_example():
    assert describe_state_dict({}) == "no tensors"
    assert describe_state_dict(["x.y", "z"]) == "2 tensors of an unknown kind ('x.y', ...)"


def test_kinds_read_as_a_sentence():
    assert all(kind[0].isupper() or kind.startswith(("a ", "an ")) for kind, _ in KINDS)


def network():
    return torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))


def test_loading_is_exact_and_complete():
    source, target = network(), network()
    state_dict = {name: value for name, value in source.state_dict().items() if "num_batches" not in name}
    load_strict(target, state_dict, "a toy", "Choose it.")
    assert all(torch.equal(value, source.state_dict()[name]) for name, value in target.state_dict().items())


def test_the_report_names_what_disagrees():
    state_dict = network().state_dict()
    del state_dict["1.running_mean"]
    state_dict.update({"0.bias": torch.zeros(4), "extra": ONE})
    with pytest.raises(BetwixtError) as caught:
        load_strict(network(), state_dict, "7 tensors of an unknown kind ('0.weight', ...)", "Choose a.pth.")
    assert caught.value.wrong.endswith(
        "1 of 7 tensors are missing (e.g. '1.running_mean'); 1 have another shape (e.g. '0.bias': [4] instead of [3]); "
        "1 are unknown (e.g. 'extra')."
    )
    assert caught.value.remedy == "Choose a.pth."


def test_another_network_is_named():
    lora = {"unet.lora_down.weight": ONE}
    with pytest.raises(BetwixtError, match="The file holds a LoRA. A toy is needed here. Choose it."):
        load_strict(network(), lora, "a toy", "Choose it.")
