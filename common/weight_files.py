"""Which kind of model a weight file holds, told from its tensor names: for errors about wrong files."""

# (what the file looks like, names that occur in it); the first whose names all occur wins.
_SIGNATURES = (
    ("a ControlNeXt condition encoder", ("mid_convs.1.weight", "down_res.0.conv1.weight")),
    ("a whole Stable Video Diffusion checkpoint", ("first_stage_model.decoder.", ".time_stack.0.attn1.")),
    ("a Stable Video Diffusion UNet in diffusers names", ("temporal_transformer_blocks.", "spatial_res_block.")),
    ("a Stable Video Diffusion UNet", ("input_blocks.1.1.time_stack.0.attn1.",)),
    ("a DynamiCrafter or ToonCrafter UNet", ("temopral_conv.",)),
    ("a Wan video model", ("blocks.0.self_attn.q.weight", "patch_embedding.weight")),
    ("a Hunyuan video or Flux model", ("double_blocks.0.",)),
    ("an AnimateDiff motion module", ("motion_modules.",)),
    ("a LoRA", ("lora_up",)),
    ("a LoRA", ("lora_B",)),
    ("an SDXL checkpoint", ("conditioner.embedders.1.model.", "model.diffusion_model.")),
    ("a Stable Diffusion 1.5 checkpoint", ("cond_stage_model.transformer.", "model.diffusion_model.")),
    ("a Stable Diffusion 2 checkpoint", ("cond_stage_model.model.", "model.diffusion_model.")),
    ("a ControlNet", ("controlnet_cond_embedding.",)),
    ("a ControlNet", ("input_hint_block.",)),
    ("an image UNet in diffusers names", ("down_blocks.0.resnets.0.", "time_embedding.linear_1.")),
    ("a temporal VAE", ("decoder.", ".time_mix")),
    ("a VAE", ("decoder.conv_in.", "encoder.conv_in.")),
    ("a CLIP image encoder", ("vision_model.encoder.layers.0.",)),
    ("a CLIP image encoder", ("visual.transformer.resblocks.0.",)),
    ("a CLIP text encoder", ("text_model.encoder.layers.0.",)),
    ("an optical flow network", ("transformer.layers.0.self_attn.", "feature_flow_attn.")),
    ("a line or point matcher", ("kenc.encoder.", "superpoint.")),
)


def describe_weights(state_dict: dict) -> str:
    """What a state dict looks like, as the middle of a sentence: "an SDXL checkpoint", "an unknown model (...)"."""
    for kind, names in _SIGNATURES:
        if all(any(name in key for key in state_dict) for name in names):
            return kind
    first = next(iter(state_dict), None)
    return "an empty file" if first is None else f"an unknown model ({len(state_dict)} entries, first '{first}')"
