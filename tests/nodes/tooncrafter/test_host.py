"""What the host does with ToonCrafter's models as with its own: precision, offloading, LoRA, ControlNets, previews."""

import pytest
import torch
from betwixt.common.errors import BetwixtError

from support.models import tooncrafter_stand_ins as stand_ins
from support.runs.tooncrafter_graph import FRAMES, SIZE, conditioned, decode, random_latent, sample, sketched

LAYERS = {  # LoRA name -> parameter, one of each kind of layer
    "input_blocks_1_1_transformer_blocks_0_attn2_to_k_ip": "input_blocks.1.1.transformer_blocks.0.attn2.to_k_ip",
    "input_blocks_4_0_temopral_conv_conv1_2": "input_blocks.4.0.temopral_conv.conv1.2",
    "init_attn_0_proj_in": "init_attn.0.proj_in",
    "output_blocks_5_3_conv": "output_blocks.5.3.conv",
}


@pytest.fixture
def fresh(tooncrafter_files):
    """Loads the complete file with the UNet in a precision; nothing is shared with other tests."""
    from betwixt.nodes.host.tooncrafter.files import load_checkpoint

    return lambda weight_dtype="default": load_checkpoint(str(tooncrafter_files / "model.ckpt"), weight_dtype)


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).abs().mean() / expected.std())


@pytest.mark.parametrize(("weight_dtype", "tolerance"), [("fp16", 0.005), ("bf16", 0.04), ("fp8_e4m3fn", 0.4)])
def test_stored_precision_is_cast_layer_by_layer(tooncrafter, fresh, weight_dtype, tolerance):
    positive, negative, _, latent, _ = conditioned(tooncrafter)
    from betwixt.nodes.host.svd.model import WEIGHT_DTYPES

    small = fresh(weight_dtype).model
    assert small.model.diffusion_model.dtype == WEIGHT_DTYPES[weight_dtype]
    expected = sample(tooncrafter.model, positive, negative, latent)
    found = sample(small, positive, negative, latent)
    assert found.dtype == torch.float32
    assert 0 < relative_error(found, expected) < tolerance


def lora_of(model, rank: int = 2) -> dict[str, torch.Tensor]:
    """A random LoRA on :data:`LAYERS`."""
    generator = torch.Generator().manual_seed(0)
    weights, found = model.model.diffusion_model.state_dict(), {}
    for name, parameter in LAYERS.items():
        shape = weights[f"{parameter}.weight"].shape
        down, up = (rank, *shape[1:]), (shape[0], rank, *[1] * (len(shape) - 2))
        for part, size in (("lora_down", down), ("lora_up", up)):
            found[f"lora_unet_{name}.{part}.weight"] = 0.1 * torch.randn(size, generator=generator)
    return found


def low_memory(monkeypatch):
    """The host keeps the weights of all layers that it can cast away from the device."""
    import comfy.model_management

    host = comfy.model_management.LoadedModel
    original = host.model_load
    monkeypatch.setattr(host, "model_load", lambda self, memory=0, **options: original(self, 1, **options))


def test_lora_and_offloading_change_the_weights_as_they_should(tooncrafter, fresh, monkeypatch):
    import comfy.sd

    positive, negative, _, latent, _ = conditioned(tooncrafter)
    model = fresh().model
    plain = sample(model, positive, negative, latent)
    lora = lora_of(model)
    tuned, _ = comfy.sd.load_lora_for_models(model, None, lora, 1.0, 0.0)
    assert len(tuned.patches) == len(LAYERS)
    with_lora = sample(tuned, positive, negative, latent)
    tuned.detach()

    by_hand = fresh().model
    weights = by_hand.model.diffusion_model.state_dict()
    for name, parameter in LAYERS.items():
        down, up = (lora[f"lora_unet_{name}.{part}.weight"].flatten(1) for part in ("lora_down", "lora_up"))
        weights[f"{parameter}.weight"] += (up @ down).view_as(weights[f"{parameter}.weight"])
    assert relative_error(sample(by_hand, positive, negative, latent), with_lora) < 1e-5
    assert relative_error(plain, with_lora) > 1e-3

    low_memory(monkeypatch)
    offloaded = sample(tuned, positive, negative, latent)
    away = [module for module in tuned.model.modules() if hasattr(module, "prev_comfy_cast_weights")]
    assert len(away) > 500
    assert relative_error(offloaded, with_lora) < 1e-5


def test_lora_hooks_that_change_over_the_steps_reach_every_layer(tooncrafter, fresh):
    """Keys and values must not be kept then: the host hands a copy of the store to every evaluation with hooks."""
    import comfy.hooks
    from betwixt.nodes.host.tooncrafter import model as tooncrafter_model

    positive, negative, _, latent, _ = conditioned(tooncrafter)
    model = fresh().model

    def hooked(strength_at_last: float) -> list:
        hooks = comfy.hooks.create_hook_lora(lora_of(model), 1.0, 0.0)
        keyframes = comfy.hooks.HookKeyframeGroup()
        keyframes.add(comfy.hooks.HookKeyframe(0.0, 0.0))
        keyframes.add(comfy.hooks.HookKeyframe(strength_at_last, 0.3))
        hooks.set_keyframes_on_hooks(keyframes)
        return comfy.hooks.set_hooks_for_conditioning(positive, hooks)

    kept = sample(model, hooked(1.0), negative, latent, steps=3)
    plain = model.clone()
    plain.remove_wrappers_with_key(tooncrafter_model.WRAPPERS.OUTER_SAMPLE, tooncrafter_model.KEY)
    assert torch.equal(sample(plain, hooked(1.0), negative, latent, steps=3), kept)
    assert relative_error(sample(model, hooked(0.0), negative, latent, steps=3), kept) > 1e-3


def test_first_stage_and_resampler_work_offloaded(tooncrafter, fresh, monkeypatch):
    """Some parameters are read outside of their layers' calls: the decoder's norms', the resampler's latents."""
    positive, *_, references = conditioned(tooncrafter)
    low_memory(monkeypatch)
    other = fresh()
    again, *_, others = conditioned(other)
    key, tokens = "betwixt_key_latents", "betwixt_image_tokens"
    assert float((again[0][1][key] - positive[0][1][key]).abs().max()) < 1e-5
    assert float((again[0][1][tokens] - positive[0][1][tokens]).abs().max()) < 1e-4
    latent = random_latent("ToonCrafter")
    expected, found = (decode(c, latent, references=r) for c, r in ((tooncrafter, references), (other, others)))
    assert float((found - expected).abs().max()) < 1e-5


def control_net(context: int | None = None):
    """A narrow ControlNet of Stable Diffusion 2.1 for coloured hints, or one with another text width."""
    import comfy.controlnet
    from betwixt.nodes.host.tooncrafter.sketch_guidance import HINT, sketch_network

    weights = stand_ins.sketch_encoder()
    weights[HINT] = weights[HINT].expand(-1, 3, -1, -1).clone() / 3
    if context:
        weights = {
            key: torch.zeros(value.shape[0], context)
            if key.endswith(("attn2.to_k.weight", "attn2.to_v.weight"))
            else value
            for key, value in weights.items()
        }
    network = sketch_network(weights, torch.float32, None)
    network.load_state_dict(weights, assign=True)
    return comfy.controlnet.ControlNet(network.requires_grad_(False), load_device=torch.device("cpu"))


def controlled(net, positive, negative, pictures):
    """Both conditionings as the host's 'Apply ControlNet' returns them."""
    both = []
    for conditioning in (positive, negative):
        tokens, entry = conditioning[0]
        control = net.copy().set_cond_hint(pictures.movedim(-1, 1), 1.0, (0.0, 1.0))
        control.set_previous_controlnet(entry.get("control"))
        both.append([[tokens, {**entry, "control": control, "control_apply_to_uncond": False}]])
    return both


def test_stock_controlnets_of_stable_diffusion_2_guide_the_model(tooncrafter, sketch_encoder):
    positive, negative, _, latent, _ = conditioned(tooncrafter)
    pictures = torch.rand(FRAMES, SIZE, SIZE, 3, generator=torch.Generator().manual_seed(2))
    guided = controlled(control_net(), positive, negative, pictures)
    free, found = (sample(tooncrafter.model, *both, latent) for both in ((positive, negative), guided))
    assert relative_error(found, free) > 1e-3
    # Hints that are equal in all channels are what the sketch encoder takes, and guide as much.
    grey = pictures.mean(dim=-1, keepdim=True).expand(-1, -1, -1, 3)
    coloured, one = (
        sample(tooncrafter.model, *controlled(net, positive, negative, grey), latent)
        for net in (control_net(), sketch_encoder)
    )
    assert relative_error(one, coloured) < 1e-4


def test_controlnets_of_another_family_are_refused(tooncrafter, sketch_encoder):
    positive, negative, latent = sketched(tooncrafter, sketch_encoder)
    chained = controlled(control_net(context=48), positive, negative, torch.zeros(1, SIZE, SIZE, 3))
    with pytest.raises(BetwixtError, match=r"tokens of 48 values.*tokens of 64 values.*Stable Diffusion 2\.1"):
        sample(tooncrafter.model, *chained, latent, steps=1)


@pytest.mark.parametrize("frames", [16, 2, 1])
def test_previews_of_stock_samplers_show_several_frames(tooncrafter, monkeypatch, frames):
    import latent_preview
    from comfy.cli_args import LatentPreviewMethod, args

    monkeypatch.setattr(args, "preview_method", LatentPreviewMethod.Latent2RGB)
    model = tooncrafter.model
    previewer = latent_preview.get_previewer(model.load_device, model.model.latent_format)
    latents = torch.linspace(-1, 1, frames).view(-1, 1, 1, 1).expand(-1, 4, 4, 6)
    _, picture, _ = previewer.decode_latent_to_preview_image("JPEG", latents)
    shown = min(frames, 4)
    assert picture.size == (6 * shown, 4)
    alone = [latent_preview.preview_to_image(latents[i].movedim(0, -1) @ previewer.latent_rgb_factors.T)
             for i in (0, frames - 1)]  # fmt: skip
    assert picture.getpixel((0, 0)) == alone[0].getpixel((0, 0))
    assert picture.getpixel((6 * shown - 1, 3)) == alone[1].getpixel((5, 3))
