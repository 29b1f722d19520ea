"""ToonCrafter and DynamiCrafter UNets as native MODELs: stock samplers, ControlNets, LoRA, previews, offloading."""

import comfy.conds
import comfy.ldm.modules.attention
import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.patcher_extension
import comfy.supported_models_base
import comfy.utils
import torch
from comfy_execution.utils import get_executing_context

from ....common.errors import BetwixtError
from ....common.files.checkpoints import describe_state_dict, load_strict, wrong_weights
from ....common.memory_model import TOONCRAFTER_FACTOR
from ....tooncrafter_core.checkpoint import PUBLISHED, Variant
from ....tooncrafter_core.keyframes import frame_tokens
from ....tooncrafter_core.schedule import Schedule
from ....tooncrafter_core.unet import Constants, VideoUNet
from ....tooncrafter_core.unet_config import UNetConfig
from ..conditioning_keys import CLIP_FRAMES, FS, IMAGE_TOKENS, KEY_LATENTS, MODEL_TAG
from ..services.clip_preview import ClipLatents
from ..services.notices import show_notice
from ..svd.model import WEIGHT_DTYPES
from .sampling import RescaledEps, RescaledV, rescales_frame_by_frame

KEY = "betwixt_tooncrafter"  # of the pack's entries in the host's per-key tables
WANTED, REMEDY = "a DynamiCrafter or ToonCrafter UNet", f"Choose {PUBLISHED}."
TEXT_TOKENS = 77  # the published text length; longer prompts are cut
WRAPPERS = comfy.patcher_extension.WrappersMP


def attention(q, k, v, heads):
    """The host's attention, whatever the user chose."""
    return comfy.ldm.modules.attention.optimized_attention(q, k, v, heads)


class NativeUNet(VideoUNet):
    """The UNet with the host's calling convention."""

    def __init__(self, config: UNetConfig, dtype=None, device=None, operations=None):
        super().__init__(config, attention=attention, operations=operations, device=device, dtype=dtype)

    def forward(self, x, timesteps, context=None, control=None, transformer_options=None, **extra):
        options = transformer_options or {}
        wrappers = comfy.patcher_extension.get_all_wrappers(WRAPPERS.DIFFUSION_MODEL, options)
        executor = comfy.patcher_extension.WrapperExecutor.new_class_executor(self._evaluate, self, wrappers)
        return executor.execute(x, timesteps, context, control, options, **extra)

    def _evaluate(self, x, timesteps, context, control, options, image_tokens, fs, num_video_frames, **_):
        constants = self._cached_constants(context, image_tokens, fs.flatten(), num_video_frames, options)
        return VideoUNet.forward(self, x, timesteps, constants, num_video_frames, control)

    def _cached_constants(self, context, image_tokens, fs, frames: int, options: dict) -> Constants:
        text = context[::frames, :TEXT_TOKENS]  # the host repeats it for every frame
        cache = options.get(KEY)
        if cache is None:
            return self.constants(text, image_tokens, fs)
        window = getattr(options.get("context_window"), "index_list", ())  # the host cuts tokens to its frames
        # Ids of the conditionings in this batch, new in every run; several devices may share one run.
        key = (context.device, *options.get("uuids", ()), *window)
        if key not in cache:
            cache[key] = self.constants(text, image_tokens, fs)
        return cache[key]


class ToonCrafterConfig(comfy.supported_models_base.BASE):
    """What the host asks of a model's configuration."""

    unet_extra_config = {}
    latent_format = ClipLatents
    memory_usage_factor = TOONCRAFTER_FACTOR
    supported_inference_dtypes = [torch.float16, torch.bfloat16, torch.float32]


class ToonCrafter(comfy.model_base.BaseModel):
    """Conditioned on text, image tokens, key-frame latents and a frame-rate number; the batch is one clip, or
    several of equal length one after the other."""

    def __init__(self, config: ToonCrafterConfig, schedule: Schedule, device=None):
        kind = comfy.model_base.ModelType.V_PREDICTION if schedule.zero_snr else comfy.model_base.ModelType.EPS
        super().__init__(config, kind, device=device, unet_model=NativeUNet)
        self.model_sampling = (RescaledV if schedule.zero_snr else RescaledEps)(schedule)
        self.variant: Variant | None = None

    def extra_conds(self, **kwargs):
        frames = clip_frames(kwargs)
        # What is given for one clip the host repeats for all of the batch; what is given for each has its length.
        text, rates = kwargs["cross_attn"][:, :TEXT_TOKENS], torch.as_tensor(kwargs[FS]).float().view(-1, 1)
        text = text if len(text) == 1 else text.repeat_interleave(frames, 0)
        tokens = torch.cat([frame_tokens(clip[None], frames) for clip in kwargs[IMAGE_TOKENS]])
        conditions = {
            "c_concat": comfy.conds.CONDNoiseShape(self.process_latent_in(kwargs[KEY_LATENTS])),
            "c_crossattn": comfy.conds.CONDCrossAttn(text),
            "image_tokens": comfy.conds.CONDRegular(tokens),
            "fs": comfy.conds.CONDRegular(rates.repeat_interleave(frames, 0)),
            "num_video_frames": comfy.conds.CONDConstant(frames),
        }
        if "cross_attn_controlnet" in kwargs:  # what ControlNets attend to instead of the text
            conditions["crossattn_controlnet"] = comfy.conds.CONDCrossAttn(kwargs["cross_attn_controlnet"])
        return conditions


def clip_frames(entry: dict) -> int:
    """Frames of each clip that a condition is for."""
    return entry.get(CLIP_FRAMES) or entry[KEY_LATENTS].shape[0]


def _clip(latents: torch.Tensor) -> str:
    return f"{latents.shape[0]} frames of {8 * latents.shape[-1]}x{8 * latents.shape[-2]}"


def check_conditioning(model: ToonCrafter, name: str, entry: dict, noise: torch.Tensor) -> None:
    """Refuse what the network cannot take, before it is loaded.

    Args:
        name: of the conditioning, as the guider calls it.
        entry: one of its conditions, as the host has them.

    Raises:
        BetwixtError: no key frames, those of another clip or model, a ControlNet of another family.
    """
    key_latents, made_for = entry.get(KEY_LATENTS), entry.get(MODEL_TAG)
    if key_latents is None:
        raise BetwixtError(
            f"The conditioning '{name}' holds no key frames.",
            "All conditionings of a ToonCrafter or DynamiCrafter model must carry them.",
            "Connect 'positive' and 'negative' of 'ToonCrafter Conditioning' to the sampler.",
        )
    if noise.shape[0] % key_latents.shape[0] or key_latents.shape[2:] != noise.shape[2:]:
        raise BetwixtError(
            f"The latent holds {_clip(noise)}, the conditioning was made for {_clip(key_latents)}.",
            "Both must agree; several clips of the same frames may follow one another.",
            "Connect the 'latent' of 'ToonCrafter Conditioning' to the sampler.",
        )
    if model.variant is not None and made_for not in (None, model.variant.name):
        raise BetwixtError(
            f"The conditioning was made for {made_for}, the model is {model.variant.name}.",
            "Image tokens and key frames belong to one model of the family.",
            "Connect 'model' and 'first_stage' of the same 'Load ToonCrafter'.",
        )
    _check_controls(entry.get("control"), entry.get("cross_attn_controlnet", entry["cross_attn"]).shape[-1])


def _check_controls(control, width: int) -> None:
    """The chain of ControlNets ``control`` must attend to tokens of ``width`` values, the model's text."""
    while control is not None:
        network = getattr(control, "control_model", None)
        parameters = () if network is None else network.named_parameters()
        wanted = next((value.shape[1] for name, value in parameters if name.endswith("attn2.to_k.weight")), width)
        if wanted != width:
            raise BetwixtError(
                f"A ControlNet in the conditioning attends to tokens of {wanted} values.",
                f"The model's text has tokens of {width} values, as Stable Diffusion 2 has.",
                "Use 'Load Sketch Encoder', or a ControlNet of Stable Diffusion 2.1.",
            )
        control = control.previous_controlnet


def _check_lengths(conds: dict) -> None:
    """Refuse, by a BetwixtError, conditionings of clips of different length, which could be taken for several clips."""
    lengths = {name: clip_frames(entry) for name, entries in conds.items() for entry in entries}
    if len(set(lengths.values())) > 1:
        raise BetwixtError(
            f"The conditionings are of clips of {' and '.join(f'{n} ({name})' for name, n in lengths.items())} frames.",
            "All must be of the same number of frames.",
            "Connect 'positive' and 'negative' of the same 'ToonCrafter Conditioning'.",
        )


def _run_of_a_clip(executor, noise, *args, **kwargs):
    """Checks what a run was given and gives it a store of the keys and values that do not change over its steps."""
    guider = executor.class_obj
    for name, entries in guider.conds.items():
        for entry in entries:
            check_conditioning(guider.model_patcher.model, name, entry, noise)
    _check_lengths(guider.conds)
    options = guider.model_options.setdefault("transformer_options", {})
    options[KEY] = {}
    _warn_of_framewise_rescale(guider.model_options)
    try:
        return executor(noise, *args, **kwargs)
    finally:
        options.pop(KEY)


def _warn_of_framewise_rescale(model_options: dict) -> None:
    """The host's RescaleCFG takes the deviation of single frames and knows nothing of the dynamic rescale."""
    if rescales_frame_by_frame(model_options.get("sampler_cfg_function")):
        context = get_executing_context()
        show_notice(
            getattr(context, "node_id", None),
            "The stock 'RescaleCFG' works frame by frame and makes this model's clips flicker. "
            "Replace it by 'Rescale Guidance (Whole Clip)'.",
        )


def require_tooncrafter(model, name: str) -> None:
    """Refuse, by a BetwixtError, a MODEL of another family on input ``name``."""
    if not isinstance(model.model, ToonCrafter):
        raise BetwixtError(
            f"The model on '{name}' is {type(model.model).__name__}.",
            "A ToonCrafter or DynamiCrafter model is needed.",
            "Connect the MODEL of 'Load ToonCrafter'.",
        )


def build_model(
    state_dict: dict[str, torch.Tensor],
    schedule: Schedule,
    file: str = "The file",
    weight_dtype: str = "default",
    disable_dynamic: bool = False,
):
    """A MODEL from UNet weights (keys without prefix); ``state_dict`` is emptied, nothing exists twice.

    Args:
        file: what to call the file in errors.
        weight_dtype: key of :data:`..svd.model.WEIGHT_DTYPES`; "default" lets the host choose.
        disable_dynamic: build for the host without its dynamic loading.

    Raises:
        BetwixtError: tensors are missing, left over or of another shape.
    """
    try:
        config = ToonCrafterConfig({"config": UNetConfig.of(state_dict)})
    except KeyError as error:
        raise wrong_weights(state_dict, WANTED, REMEDY, file) from error
    management, device = comfy.model_management, comfy.model_management.get_torch_device()
    target = WEIGHT_DTYPES[weight_dtype] or management.unet_dtype(
        model_params=comfy.utils.calculate_parameters(state_dict),
        supported_dtypes=config.supported_inference_dtypes,
        weight_dtype=comfy.utils.weight_dtype(state_dict),
    )
    config.set_inference_dtype(target, management.unet_manual_cast(target, device, config.supported_inference_dtypes))
    if weight_dtype.endswith("_fast"):
        config.optimizations = {**config.optimizations, "fp8": True}
    model = ToonCrafter(config, schedule, device="meta")
    model.device = offload_device = management.unet_offload_device()
    tensors = {key: state_dict.pop(key).to(target) for key in list(state_dict)}
    # The file was recognised: what is wrong with it now is told in detail, whatever it looks like in part.
    load_strict(model.diffusion_model, tensors, describe_state_dict(tensors), REMEDY, file, assign=True)
    model.diffusion_model.requires_grad_(False)
    patcher_class = comfy.model_patcher.ModelPatcher if disable_dynamic else comfy.model_patcher.CoreModelPatcher
    patcher = patcher_class(model, load_device=device, offload_device=offload_device)
    patcher.add_wrapper_with_key(WRAPPERS.OUTER_SAMPLE, KEY, _run_of_a_clip)
    return patcher
