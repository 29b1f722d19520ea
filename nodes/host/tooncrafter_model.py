"""ToonCrafter and DynamiCrafter UNets as native MODELs: stock samplers, ControlNets, LoRA, previews, offloading."""

import comfy.conds
import comfy.latent_formats
import comfy.ldm.modules.attention
import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.patcher_extension
import comfy.supported_models_base
import comfy.utils
import torch

from ...tooncrafter_core.schedule import Schedule
from ...tooncrafter_core.unet import Constants, VideoUNet
from ...tooncrafter_core.unet_config import UNetConfig
from .tooncrafter_sampling import RescaledEps, RescaledV

KEY = "betwixt_tooncrafter"  # of the pack's entries in the host's per-key tables
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
        key = (*options.get("uuids", ()), *window)  # ids of the conditionings in this batch, new in every run
        if key not in cache:
            cache[key] = self.constants(text, image_tokens, fs)
        return cache[key]


class ToonCrafterConfig(comfy.supported_models_base.BASE):
    """What the host asks of a model's configuration."""

    unet_extra_config = {}
    latent_format = comfy.latent_formats.SD15
    memory_usage_factor = 1.5
    supported_inference_dtypes = [torch.float16, torch.bfloat16, torch.float32]


class ToonCrafter(comfy.model_base.BaseModel):
    """Conditioned on text, image tokens, key-frame latents and a frame-rate number; a clip is the batch."""

    def __init__(self, config: ToonCrafterConfig, schedule: Schedule, device=None):
        kind = comfy.model_base.ModelType.V_PREDICTION if schedule.zero_snr else comfy.model_base.ModelType.EPS
        super().__init__(config, kind, device=device, unet_model=NativeUNet)
        self.model_sampling = (RescaledV if schedule.zero_snr else RescaledEps)(schedule)

    def extra_conds(self, **kwargs):
        noise = kwargs["noise"]
        frames = noise.shape[0]
        latents = kwargs["betwixt_key_latents"]
        if latents.shape[-2:] != noise.shape[-2:]:
            latents = comfy.utils.common_upscale(latents, noise.shape[-1], noise.shape[-2], "bilinear", "center")
        conditions = {
            "c_concat": comfy.conds.CONDNoiseShape(self.process_latent_in(latents)),
            "c_crossattn": comfy.conds.CONDCrossAttn(kwargs["cross_attn"][:, :TEXT_TOKENS]),
            "image_tokens": comfy.conds.CONDRegular(kwargs["betwixt_image_tokens"]),
            "fs": comfy.conds.CONDRegular(torch.full((frames, 1), float(kwargs["betwixt_fs"]))),
            "num_video_frames": comfy.conds.CONDConstant(frames),
        }
        return conditions


def _with_fresh_cache(executor, *args, **kwargs):
    """Gives each run its own store of the keys and values that do not change over its steps."""
    options = executor.class_obj.model_options.setdefault("transformer_options", {})
    options[KEY] = {}
    try:
        return executor(*args, **kwargs)
    finally:
        options.pop(KEY)


def build_model(state_dict: dict, schedule: Schedule):
    """A MODEL from UNet weights (keys without prefix), in the precision the host chooses; not yet strict-checked."""
    unet_config = UNetConfig.of(state_dict)
    parameters = comfy.utils.calculate_parameters(state_dict)
    device = comfy.model_management.get_torch_device()
    config = ToonCrafterConfig({"config": unet_config})
    dtype = comfy.model_management.unet_dtype(
        model_params=parameters,
        supported_dtypes=config.supported_inference_dtypes,
        weight_dtype=comfy.utils.weight_dtype(state_dict),
    )
    manual_cast = comfy.model_management.unet_manual_cast(dtype, device, config.supported_inference_dtypes)
    config.set_inference_dtype(dtype, manual_cast)
    model = ToonCrafter(config, schedule)
    patcher = comfy.model_patcher.CoreModelPatcher(
        model, load_device=device, offload_device=comfy.model_management.unet_offload_device()
    )
    model.load_model_weights(dict(state_dict), "", assign=patcher.is_dynamic())
    patcher.add_wrapper_with_key(WRAPPERS.OUTER_SAMPLE, KEY, _with_fresh_cache)
    return patcher
