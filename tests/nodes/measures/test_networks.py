"""The measures that need networks: LPIPS from files of the user's, Tem-Con and Fram-Acc with the host's CLIP."""

import importlib.util
from dataclasses import replace

import pytest
import torch
from betwixt.common.errors import BetwixtError

from support.models.perceptual_stand_ins import backbone_weights, head_weights


def clip_of(frames: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(frames, 64, 96, 3, generator=generator)


@pytest.fixture
def folder(host, tmp_path, monkeypatch):
    """models/betwixt, empty."""
    import folder_paths

    monkeypatch.setattr(
        folder_paths, "folder_names_and_paths", {"betwixt": ([str(tmp_path)], {".pth"})} | {"x": ([], set())}
    )
    monkeypatch.setattr(folder_paths, "filename_list_cache", {})
    return tmp_path


@pytest.fixture
def compare(folder):
    from betwixt.nodes.measures.comparison import CompareClips

    return lambda first, second: CompareClips.execute(first, second, "LPIPS (AlexNet)").args


def test_a_missing_backbone_is_named_with_its_folder(compare, folder):
    with pytest.raises(BetwixtError) as error:
        compare(clip_of(), clip_of())
    assert "'alexnet-owt-7be5be79.pth' was not found" in str(error.value) and str(folder) in str(error.value)
    assert "download.pytorch.org/models/alexnet-owt-7be5be79.pth" in str(error.value)


def test_lpips_from_the_model_folder(compare, folder, monkeypatch):
    from betwixt.common.measures.perceptual import ALEXNET
    from betwixt.nodes.measures import comparison

    own = replace(ALEXNET, file=replace(ALEXNET.file, name="alexnet.pth"))  # the published name holds a checksum
    monkeypatch.setitem(comparison.PERCEPTUAL, "LPIPS (AlexNet)", own)
    torch.save(backbone_weights(ALEXNET), folder / "alexnet.pth")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BetwixtError, match="(?s)head of LPIPS for AlexNet was not found.*lpips_alex.pth"):
        compare(clip_of(), clip_of())
    torch.save(head_weights(ALEXNET), folder / "lpips_alex.pth")
    value, per_frame, plot, heat, summary = compare(clip_of(), clip_of().flip(2))
    assert value > 0.01 and len(per_frame) == 3 and heat.shape == (1, 64, 96, 3)
    assert summary.startswith("LPIPS: ") and summary.endswith("(lower is better)")
    assert compare(clip_of(), clip_of())[0] == 0


def test_the_head_of_an_installed_package_is_used(folder, monkeypatch):
    from betwixt.common.measures.perceptual import VGG16
    from betwixt.nodes.host.services.perceptual import head_path

    place = folder / "lpips" / "weights" / "v0.1"
    place.mkdir(parents=True)
    (place / "vgg.pth").touch()
    spec = importlib.util.spec_from_file_location(
        "lpips", folder / "x.py", submodule_search_locations=[str(folder / "lpips")]
    )
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec if name == "lpips" else None)
    assert head_path(VGG16) == str(place / "vgg.pth")


@pytest.fixture(scope="module")
def encoders(host):
    from support.miniature_nodes import tooncrafter

    return tooncrafter.text_encoder(), tooncrafter.image_encoder()


def fit(encoders, frames, measure="Fram-Acc", **inputs):
    from betwixt.nodes.measures.prompt_fit import MeasurePromptFit

    text, image = encoders
    clone = MeasurePromptFit.PREPARE_CLASS_CLONE({"hidden_inputs": {}})
    with torch.inference_mode():
        return clone.EXECUTE_NORMALIZED(
            frames=frames, clip_vision=image, measure={"measure": measure, "clip": text, **inputs}
        ).args


def test_tem_con_is_the_cosine_of_neighbours(encoders):
    still = clip_of(1).expand(20, -1, -1, -1)  # more than go through the encoder at once
    value, per_frame, *_ = fit(encoders, still, "Tem-Con")
    assert value == pytest.approx(1, abs=1e-5) and len(per_frame) == 19
    frames = clip_of(3)
    with torch.inference_mode():
        one, two, three = encoders[1].encode_image(frames)["image_embeds"]
    wanted = [float(torch.cosine_similarity(*pair, dim=0)) for pair in ((one, two), (two, three))]
    assert fit(encoders, frames, "Tem-Con")[1] == pytest.approx(wanted, abs=1e-5)


def test_fram_acc_takes_the_nearer_prompt(encoders):
    text, image = encoders
    frames, prompts = clip_of(4), ("a cat on a mat", "storm over the sea")
    with torch.inference_mode():
        towards, away = (text.encode_from_tokens(text.tokenize(prompt), return_pooled=True)[1] for prompt in prompts)
        found = image.encode_image(frames)["image_embeds"]
    margins = torch.cosine_similarity(found, towards) - torch.cosine_similarity(found, away)
    value, per_frame, *_ = fit(encoders, frames, prompt=prompts[0], source_prompt=prompts[1])
    assert per_frame == pytest.approx(margins.tolist(), abs=1e-4) and value == float((margins > 0).float().mean())
    opposite = fit(encoders, frames, prompt=prompts[1], source_prompt=prompts[0])
    assert opposite[0] == pytest.approx(1 - value)


def test_what_cannot_be_measured_is_refused(encoders):
    with pytest.raises(BetwixtError, match="'frames' holds 1 frame"):
        fit(encoders, clip_of(1), "Tem-Con")
    with pytest.raises(BetwixtError, match="'source_prompt' is empty"):
        fit(encoders, clip_of(), prompt="a cat", source_prompt=" ")


@pytest.mark.parametrize("weight", [torch.zeros(64, 64), torch.eye(64), None], ids=["zeros", "identity", "nothing"])
def test_a_text_encoder_without_projection_is_refused(encoders, weight):
    text = encoders[0]
    (linear,) = [part.text_projection for part in text.cond_stage_model.modules() if hasattr(part, "text_projection")]
    kept = linear.weight
    linear.weight = None if weight is None else torch.nn.Parameter(weight, requires_grad=False)
    try:
        with pytest.raises(BetwixtError, match="no projected embedding.*clip-vit-large-patch14-text.safetensors"):
            fit(encoders, clip_of(), prompt="a cat", source_prompt="a dog")
    finally:
        linear.weight = kept
