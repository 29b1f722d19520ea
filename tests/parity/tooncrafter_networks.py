"""Parity of single evaluations: UNet, first stage, sketch encoder."""

import torch
from betwixt.tooncrafter_core.dual_reference import LAST, SCALE, References, encode_with_references
from betwixt.tooncrafter_core.keyframes import frame_tokens, key_latents

from support.golden import Case, Check, max_error
from support.models.tooncrafter_checkpoints import checkpoint, sketch_encoder

TOLERANCE = 5e-5
TEXT = 77


def folded(clip: torch.Tensor) -> torch.Tensor:
    """(b c t h w) -> (b t) c h w."""
    return clip.transpose(1, 2).flatten(0, 1)


def unfolded(frames: torch.Tensor, batch: int = 1) -> torch.Tensor:
    """(b t) c h w -> (b c t h w)."""
    return frames.unflatten(0, (batch, -1)).transpose(1, 2)


def image_tokens(context: torch.Tensor, frames: int) -> torch.Tensor:
    """(b*t, k, C) of a golden context [b, 77 + n, C]."""
    return torch.cat([frame_tokens(row[None], frames) for row in context[:, TEXT:]])


def on_device(*patchers) -> None:
    """Let the host bring models to its device as a whole, where their networks are called by themselves."""
    import comfy.model_management as management

    management.load_models_gpu([*patchers], force_full_load=True)


def run_unet(loaded, case: Case, x: torch.Tensor, control=None) -> torch.Tensor:
    """The native UNet with the host's calling convention, on x (b 8 t h w)."""
    batch, _, frames = x.shape[:3]
    fs = case["fs"] if "fs" in case else torch.full((batch,), case.config["unet"]["default_fs"])
    context, home = case["context"].to(x), x.device
    on_device(loaded.model)
    out = loaded.model.model.diffusion_model(
        folded(x),
        case["timesteps"].float().repeat_interleave(frames).to(home),
        context=context[:, :TEXT].repeat_interleave(frames, 0),
        image_tokens=image_tokens(context, frames),
        fs=fs.float().repeat_interleave(frames)[:, None].to(home),
        num_video_frames=frames,
        control=control,
        transformer_options={},
    )
    return unfolded(out, batch)


def _on_frames(value: torch.Tensor, expected: torch.Tensor, frames: int) -> torch.Tensor:
    """Frames 0, middle and last of a tap, or the whole of an embedding."""
    if value.ndim == 2:
        return value[:: len(value) // len(expected)]
    return value[[0, frames // 2, frames - 1]]


def manifest_of(case: Case) -> str:
    """Of the variant that the case's name begins with, where there is one (``dc256_...``)."""
    variant = f"manifest_{case.name.split('_')[0]}.json.gz"
    return variant if case.beside(variant).exists() else "manifest.json.gz"


def unet_case(case: Case) -> list[Check]:
    loaded = checkpoint(case, manifest_of(case))
    network, taps = loaded.model.model.diffusion_model, {}
    hooks = []
    for key in (key for key in case.tensors if key.startswith("tap/")):
        path = key.removeprefix("tap/")
        module = network.get_submodule(path)
        module = module[-1] if isinstance(module, torch.nn.ModuleList) else module
        hooks.append(module.register_forward_hook(lambda _, __, out, key=key: taps.__setitem__(key, out)))
    out = run_unet(loaded, case, case["x"])
    for hook in hooks:
        hook.remove()
    checks = [Check("out", max_error(out, case["out"]), TOLERANCE)]
    frames = case["x"].shape[2]
    for key, value in taps.items():
        checks.append(Check(key, max_error(_on_frames(value, case[key], frames), case[key]), TOLERANCE))
    return checks


def vae_encode_case(case: Case) -> list[Check]:
    patcher = checkpoint(case).first_stage.patcher
    on_device(patcher)
    network = patcher.model
    moments, references = encode_with_references(network.encoder, network.quant_conv, case["images"])
    mean, log_variance = moments.chunk(2, dim=1)
    found = {"moments": moments, "mode_scaled": mean * SCALE}
    found |= {f"hidden{index}": level for index, level in enumerate(references.levels)}
    found["sample_scaled"] = (mean + (log_variance / 2).exp() * case["eps"]) * SCALE
    checks = [Check(name, max_error(value, case[name]), TOLERANCE) for name, value in found.items()]
    latents, _ = checkpoint(case).first_stage.encode((case["images"].movedim(1, -1) + 1) / 2)
    return [*checks, Check("mode through FirstStage", max_error(latents * SCALE, case["mode_scaled"]), TOLERANCE)]


def as_pictures(decoded: torch.Tensor) -> torch.Tensor:
    """(1 3 t h w) of the decoder -> IMAGE, as the nodes put it out."""
    return ((decoded[0].permute(1, 2, 3, 0) + 1) / 2).clamp(0, 1)


def vae_decode_case(case: Case) -> list[Check]:
    from betwixt.tooncrafter_core.clip_decoder import decode_clip

    first_stage = checkpoint(case).first_stage
    on_device(first_stage.patcher)
    network = first_stage.patcher.model
    encoded = Case(case.beside("vae_encode.safetensors"), case.device)
    references = References(tuple(encoded[f"hidden{level}"] for level in range(5)))
    checks, clips = [], sorted(key for key in case.tensors if key.startswith("z"))
    longest = max(clips, key=lambda key: case[key].shape[2])  # whose layers are noted
    for key in clips:
        latents, expected = folded(case[key]) / SCALE, case[f"out{key[1:]}"]
        if key == longest:
            checks += _decoder_tap_checks(case, network.decoder, latents, references)
        for at_once in sorted({1, 3, len(latents)}):
            out = decode_clip(network.decoder, network.decoder.attn_refinement, latents, references, at_once)
            checks.append(Check(f"out{key[1:]} by {at_once}", max_error(unfolded(out), expected), TOLERANCE))
        pictures = first_stage.decode(latents, references, False, lambda share: None)
        checks.append(Check(f"{key} as pictures", max_error(pictures, as_pictures(expected)), TOLERANCE))
    if "out_noref" in case:
        frames = case["out_noref"].shape[2]
        out = decode_clip(network.decoder, None, folded(case[f"z{frames}"]) / SCALE, None)
        checks.append(Check("out_noref", max_error(unfolded(out), case["out_noref"]), TOLERANCE))
    return checks


def _decoder_tap_checks(case: Case, decoder, latents, references) -> list[Check]:
    """What comes out of the first convolution, of the middle block and of each injection of the references."""
    from betwixt.tooncrafter_core.clip_decoder import decode_clip

    taps = {}

    def note(key: str, value: torch.Tensor) -> None:
        taps.setdefault(f"tap/{key}", value.clone())  # later layers replace it

    hooks = [decoder.conv_in.register_forward_hook(lambda module, given, out: note("conv_in", out))]
    # Two of them are no module's output here; they are what the next module is given.
    for key, module in (("mid", decoder.up[-1].block[0]), (f"refine{LAST}", decoder.conv_out)):
        hooks.append(module.register_forward_pre_hook(lambda module, given, key=key: note(key, given[0])))
    for level in range(LAST):
        module = decoder.attn_refinement[level]
        hooks.append(module.register_forward_hook(lambda module, given, out, key=f"refine{level}": note(key, out)))
    decode_clip(decoder, decoder.attn_refinement, latents, references, len(latents))
    for hook in hooks:
        hook.remove()
    shown = {key: value[[0, 1, -1], :8] for key, value in taps.items()}
    return [Check(key, max_error(shown[key], case[key]), TOLERANCE) for key in shown if key in case]


def plain_decode_case(case: Case) -> list[Check]:
    """DynamiCrafter's decoder, frame by frame; pictures are compared, half the decoder's range."""
    first_stage = checkpoint(case, "manifest_dc256.json.gz").first_stage
    pictures = first_stage.decode(folded(case["z"]) / SCALE, None, False, lambda share: None)
    network = first_stage.patcher.model
    out = network.decoder(network.post_quant_conv(folded(case["z"]) / SCALE))
    return [
        Check("out", max_error(unfolded(out), case["out"]), TOLERANCE),
        Check("pictures", max_error(pictures, as_pictures(case["out"])), TOLERANCE),
    ]


def sketch_case(case: Case) -> list[Check]:
    """Control residuals and the guided UNet, through the host's ControlNet with the model's own sampling."""
    loaded = checkpoint(case)
    from betwixt.nodes.host.tooncrafter.sketch_guidance import with_sketches
    from betwixt.tooncrafter_core.sketches import hints

    _, _, frames, *size = case["x"].shape
    sampling = loaded.model.model.model_sampling
    sigma = sampling.sigmas.to(case.device)[case["timesteps"].long()]
    scale = sampling.scale_of(sigma, 0)
    # x of the golden is the model's input: y = x sqrt(1 + (sigma s)^2) / s
    y = folded(case["x"]) * torch.sqrt(1 + (sigma * scale) ** 2) / scale
    white = 255 if case["hint"].max() > 1 else 1  # the golden stores lines as 0 and 1
    pictures = case["hint"].cpu().movedim(1, -1).float().expand(-1, -1, -1, 3) / white
    hint = hints(pictures, case["hint_frames"].tolist(), frames)
    concat = key_latents(case["z_first"][0], case["z_last"][0], frames, "between two pictures")
    x = torch.cat([case["x"], unfolded(concat)], dim=1)
    context = case["context"]
    entry = {"betwixt_image_tokens": context[:, TEXT:]}
    checks = [Check("unet_out_nocontrol", max_error(run_unet(loaded, case, x), case["unet_out_nocontrol"]), TOLERANCE)]
    for name, all_tokens in (("unet_out_text77", False), ("unet_out_all333", True)):
        strength = case.scalar("control_scale")
        text = context[:, :TEXT]
        ((_, guided),) = with_sketches([[text, entry]], sketch_encoder(case), hint, strength, (0.0, 1.0), all_tokens)
        control_net = guided["control"]
        on_device(*control_net.get_models())
        control_net.pre_run(loaded.model.model, lambda percent: 1e9 if percent == 0 else 0.0)
        conditions = {"c_crossattn": text.repeat_interleave(frames, 0)}
        if all_tokens:
            conditions["crossattn_controlnet"] = guided["cross_attn_controlnet"].repeat_interleave(frames, 0)
        control = control_net.get_control(y, sigma.expand(frames), conditions, 1, {})
        if not all_tokens:
            checks += _residual_checks(case, control, strength)
        checks.append(Check(name, max_error(run_unet(loaded, case, x, control), case[name]), TOLERANCE))
    return checks


def _residual_checks(case: Case, control: dict, strength: float) -> list[Check]:
    """The golden holds unscaled residuals; 12 is the middle one."""
    checks = []
    for key in (key for key in case.tensors if key.startswith("control") and "_frames" in key):
        index = int(key.removeprefix("control").split("_")[0])
        frames = [int(number) for number in key.split("_frames")[1].split("_")]
        residual = control["middle"][0] if index == len(control["output"]) else control["output"][index]
        checks.append(Check(key, max_error(residual[frames] / strength, case[key]), TOLERANCE))
    return checks


KINDS = {
    "unet": unet_case,
    "vae_encode": vae_encode_case,
    "vae_decode": vae_decode_case,
    "dc_plain_vae_decode": plain_decode_case,
    "sketch_control": sketch_case,
}
