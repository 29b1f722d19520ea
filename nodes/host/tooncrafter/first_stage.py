"""ToonCrafter's and DynamiCrafter's first stage and resampler behind the host's memory manager."""

from dataclasses import replace

import comfy.ldm.modules.attention
import comfy.model_management
import comfy.model_patcher
import comfy.ops
import torch
from comfy.ldm.modules.diffusionmodules.model import Decoder, Encoder
from comfy.ldm.modules.temporal_ae import VideoDecoder

from ....common.errors import BetwixtError
from ....common.files.checkpoints import describe_state_dict, load_strict
from ....common.finite import all_finite
from ....common.memory_model import (
    DECODER_CHANNELS,
    ENCODER_CHANNELS,
    MARGIN,
    most_at_once,
    piecewise_bytes,
    that_fit,
)
from ....tooncrafter_core.checkpoint import PUBLISHED, Variant
from ....tooncrafter_core.clip_decoder import decode_clip
from ....tooncrafter_core.dual_reference import (
    References,
    build_refinements,
    decode_in_two_passes,
    encode_with_references,
)
from ....tooncrafter_core.resampler import Resampler
from ..services.clip_decoding import affine, in_pieces

PRECISIONS = [torch.float16, torch.bfloat16, torch.float32]  # the published pipeline decodes in float16
REMEDY = f"Choose {PUBLISHED}."


def attention(q, k, v, heads):
    return comfy.ldm.modules.attention.optimized_attention(q, k, v, heads)


class FirstStageNetwork(torch.nn.Module):
    """Encoder and decoder with the published parameter names, on the meta device until loaded."""

    def __init__(self, state_dict: dict[str, torch.Tensor]):
        super().__init__()
        ch = self.width = state_dict["encoder.conv_in.weight"].shape[0]
        shape = {"double_z": True, "resolution": 256, "in_channels": 3, "out_ch": 3, "ch": ch, "num_res_blocks": 2}
        shape |= {"z_channels": state_dict["decoder.conv_in.weight"].shape[1], "attn_resolutions": [], "dropout": 0.0}
        levels = 1 + max(int(key.split(".")[2]) for key in state_dict if key.startswith("encoder.down."))
        widths = [state_dict[f"encoder.down.{level}.block.0.conv1.weight"].shape[0] for level in range(levels)]
        shape["ch_mult"] = [width // ch for width in widths]
        layers = comfy.ops.disable_weight_init
        prefix = "decoder.attn_refinement."
        refinements = {key.removeprefix(prefix): value for key, value in state_dict.items() if key.startswith(prefix)}
        with torch.device("meta"):
            self.encoder = Encoder(**shape)
            if refinements:
                self.decoder = VideoDecoder(video_kernel_size=[3, 1, 1], alpha=0.0, **shape)
                self.decoder.attn_refinement = build_refinements(refinements, attention, layers)
            else:
                self.decoder = Decoder(**shape)
            for name in ("quant_conv", "post_quant_conv"):
                outputs, inputs = state_dict[f"{name}.weight"].shape[:2]
                self.add_module(name, layers.Conv2d(inputs, outputs, 1))


def _loaded(network: torch.nn.Module, state_dict: dict, file: str, dtype, device, offload_device):
    """A patcher of ``network`` (on the meta device) that owns the tensors of ``state_dict``, which is emptied."""
    tensors = {key: state_dict.pop(key).to(dtype) for key in list(state_dict)}
    load_strict(network, tensors, describe_state_dict(tensors), REMEDY, file, assign=True)
    network.eval().requires_grad_(False)
    return comfy.model_patcher.CoreModelPatcher(network, load_device=device, offload_device=offload_device)


class FirstStage:
    """Encoder, decoder and resampler of one file.

    Attributes:
        variant: which model of the family the file held.
        patcher, resampler: ModelPatchers, kept here because the host holds them only weakly.
        token_width: of the text tokens the UNet expects.
        image_width: of the image tokens the resampler takes.
        unconditional: (CLIP_VISION, tokens) of the unconditional picture, filled at first use.
    """

    def __init__(self, variant: Variant, first_stage: dict, resampler: dict, head_width: int, file: str):
        management = comfy.model_management
        self.variant, self.unconditional = variant, None
        device = management.vae_device()
        self.dtype = management.vae_dtype(device, PRECISIONS)
        try:
            network = FirstStageNetwork(first_stage)
            heads = resampler["layers.0.0.to_q.weight"].shape[0] // head_width
            tokens = Resampler.of(
                resampler, heads, attention=attention, operations=comfy.ops.manual_cast, device="meta"
            )
        except KeyError as error:
            raise BetwixtError(
                f"{file} lacks the tensor {error} of its first stage or of its resampler.",
                "Both are needed and must be complete.",
                REMEDY,
            ) from error
        self.patcher = _loaded(network, first_stage, file, self.dtype, device, management.vae_offload_device())
        device = management.get_torch_device()
        stored = torch.float16 if management.should_use_fp16(device) else torch.float32
        self.resampler = _loaded(tokens, resampler, file, stored, device, management.unet_offload_device())
        self.image_width, self.token_width = tokens.proj_in.in_features, tokens.proj_out.out_features

    def get_models(self) -> list:
        return [self.patcher, self.resampler]

    def image_tokens(self, vision_tokens: torch.Tensor) -> torch.Tensor:
        """CLIP's tokens [B, 257, width] -> [B, 256, token_width], float32."""
        comfy.model_management.load_models_gpu([self.resampler])
        tokens = vision_tokens.to(self.resampler.load_device, torch.float32)
        return self.resampler.model(tokens).to(comfy.model_management.intermediate_device(), torch.float32)

    def encode(self, pictures: torch.Tensor) -> tuple[torch.Tensor, References]:
        """Unscaled latents (the posterior's mode) [2, 4, H/8, W/8] and references of pictures [2, H, W, 3], 0..1."""
        element = comfy.model_management.dtype_size(self.dtype)
        self._load(int(MARGIN * ENCODER_CHANNELS * element * pictures[..., 0].numel()))
        network = self.patcher.model
        x = pictures.movedim(-1, 1).to(self.patcher.load_device, self.dtype) * 2 - 1
        moments, references = encode_with_references(network.encoder, network.quant_conv, x)
        home = comfy.model_management.intermediate_device()
        latents = moments.chunk(2, dim=1)[0].to(home, torch.float32)
        references = replace(references.to(home, self.dtype), pictures=pictures.to(home), model=self.variant.name)
        return latents, references

    def decode(self, latents, references: References | None, two_passes: bool, progress) -> torch.Tensor:
        """Pictures [T, 8h, 8w, 3], 0..1, on the CPU, of unscaled latents [T, 4, h, w].

        Raises:
            BetwixtError: not even one frame at a time fits into memory.
        """
        frames, pixels = len(latents), 64 * latents.shape[-1] * latents.shape[-2]
        most = most_at_once(frames, pixels)
        self._load(self.decode_bytes(frames, most, pixels))
        free = comfy.model_management.get_free_memory(self.patcher.load_device)
        at_once = that_fit(most, lambda count: self.decode_bytes(frames, count, pixels), free)
        try:
            return in_pieces(at_once, lambda count: self._decode(latents, references, two_passes, count, progress))
        except Exception as error:
            comfy.model_management.raise_non_oom(error)
            raise BetwixtError(
                f"There is not enough memory to decode {frames} frames of "
                f"{8 * latents.shape[-1]}x{8 * latents.shape[-2]}.",
                "The whole clip is decoded together.",
                "Lower the size or the number of frames, or start ComfyUI with --cpu-vae.",
            ) from error

    def decode_bytes(self, frames: int, at_once: int, pixels: int) -> int:
        """Memory that decoding frames of ``pixels`` pixels takes, so many at a time."""
        element, width = comfy.model_management.dtype_size(self.dtype), self.patcher.model.width
        if self.variant.dual_reference:
            return piecewise_bytes(frames, at_once, pixels, element, width)
        return int(MARGIN * DECODER_CHANNELS * element * pixels * at_once)

    def _decode(self, latents, references, two_passes, at_once, progress) -> torch.Tensor:
        network, device = self.patcher.model, self.patcher.load_device
        latents = latents.to(device, self.dtype)
        if not self.variant.dual_reference:
            pieces = []
            for start in range(0, len(latents), at_once):
                part = network.post_quant_conv(latents[start : start + at_once])
                pieces.append(_as_pictures(network.decoder(part)))
                progress(min(1.0, (start + at_once) / len(latents)))
            return torch.cat(pieces)
        references = None if references is None else references.to(device, self.dtype)
        passes = 2 if two_passes else 1
        done = [0]

        def one_pass(z):
            frames = decode_clip(
                network.decoder,
                network.decoder.attn_refinement,
                z,
                references,
                at_once,
                affine,
                lambda share: progress((done[0] + share) / passes),
            )
            done[0] += 1
            return _as_pictures(frames)

        return decode_in_two_passes(one_pass, latents) if two_passes else one_pass(latents)

    def _load(self, memory: int) -> None:
        # As a whole: of a part, the host leaves the temporal convolutions' own weights beside the processor, and fails.
        comfy.model_management.load_models_gpu([self.patcher], memory_required=memory, force_full_load=True)


def _as_pictures(decoded: torch.Tensor) -> torch.Tensor:
    """[n, 3, H, W] about -1..1 -> [n, H, W, 3] 0..1 where node outputs live."""
    home = comfy.model_management.intermediate_device()
    return ((decoded.to(home, torch.float32) + 1) / 2).clamp_(0, 1).movedim(1, -1)


def latents_of(samples: dict) -> torch.Tensor:
    """The samples of a LATENT [T, 4, h, w]; the host's LATENT is unscaled, as the decoder wants it.

    Raises:
        BetwixtError: another kind of latent, or NaN.
    """
    latents = samples["samples"]
    if latents.ndim != 4 or latents.shape[1] != 4:
        raise BetwixtError(
            f"The latent has the shape {list(latents.shape)}.",
            "A clip [frames, 4, height, width] of a ToonCrafter or DynamiCrafter model is needed.",
            "Connect the sampler that ran with 'ToonCrafter Conditioning'.",
        )
    if not all_finite(latents):
        raise BetwixtError(
            "The latent contains NaN or infinite values.",
            "All values must be finite.",
            "Sample again, e.g. with 'Reference DDIM' or in fp32; half precision on some cards is the usual cause.",
        )
    return latents
