"""What a ToonCrafter or DynamiCrafter file holds, told from its tensors (spec tooncrafter.md 3.3 and 8)."""

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass

from torch import Tensor

from ..common.checkpoints import describe_state_dict
from ..common.errors import BetwixtError
from .schedule import Schedule

UNET = "model.diffusion_model."
FIRST_STAGE = "first_stage_model."
TEXT = "cond_stage_model."
VISION = "embedder.model.visual."
RESAMPLER = "image_proj_model."
DEEPSPEED = "_forward_module."
SCALES = {0.7: "512", 0.3: "1024"}  # last value of the dynamic rescale -> the model's picture height class
PUBLISHED = "ToonCrafter (Hugging Face Doubiiu/ToonCrafter, model.ckpt) or a DynamiCrafter file of the same author"


@dataclass(frozen=True)
class Variant:
    """Which model of the family a file holds.

    Attributes:
        name: "ToonCrafter", "DynamiCrafter 512", "DynamiCrafter 1024" or "DynamiCrafter 256". The two 512-pixel
            DynamiCrafters, from one picture and between two, cannot be told apart by their tensors.
        schedule: noise levels and dynamic rescale.
        dual_reference: the decoder copies detail from both key frames (ToonCrafter only).
        frame_stride: the frame-rate number means a stride, larger = more motion (256); else frames per second.
        default_fs: published value of that number.
    """

    name: str
    schedule: Schedule
    dual_reference: bool
    frame_stride: bool
    default_fs: int

    @property
    def steps_spacing(self) -> str:
        """Published spacing of the sampling steps, "trailing" or "uniform"."""
        return "trailing" if self.schedule.zero_snr else "uniform"


def detect_variant(state_dict: Mapping[str, Tensor], file: str = "The file") -> Variant:
    """The variant of a whole checkpoint's state dict.

    Raises:
        BetwixtError: another kind of file; says what it is instead.
    """
    names = {name.removeprefix(DEEPSPEED): name for name in state_dict}
    if f"{UNET}init_attn.0.norm.weight" not in names:
        raise BetwixtError(
            f"{file} holds {describe_state_dict(names)}.",
            "A ToonCrafter or DynamiCrafter checkpoint is needed here.",
            f"Choose {PUBLISHED}.",
        )
    if any(key.startswith(f"{UNET}framestride_embed.") or key.endswith(".attn2.alpha") for key in names):
        return Variant("DynamiCrafter 256", Schedule(zero_snr=False, final_scale=1.0), False, True, 3)
    if any(key.startswith(f"{FIRST_STAGE}decoder.attn_refinement.") for key in names):
        return Variant("ToonCrafter", Schedule(), True, False, 10)
    scales = state_dict.get(names.get("scale_arr", ""))  # rounded, because repackaged files hold it in half precision
    final = 0.7 if scales is None else round(float(scales[-1]), 2)
    if final not in SCALES:
        raise BetwixtError(
            f"{file} rescales its latents to {final}.",
            "0.7 (512 pixels) and 0.3 (1024 pixels) are known.",
            f"Choose {PUBLISHED}.",
        )
    size = SCALES[final]
    return Variant(f"DynamiCrafter {size}", Schedule(final_scale=final), False, False, 24 if size == "512" else 10)


@dataclass
class Parts:
    """A checkpoint taken apart; keys without their prefixes. Parts a pruned file lacks are empty."""

    unet: dict[str, Tensor]
    first_stage: dict[str, Tensor]
    resampler: dict[str, Tensor]
    text: dict[str, Tensor]
    vision: dict[str, Tensor]
    unknown: list[str]


def take_apart(state_dict: MutableMapping[str, Tensor]) -> Parts:
    """Split a checkpoint by prefix; ``state_dict`` is emptied, so that nothing is held twice.

    Schedule tables are dropped: they are computed, see :class:`.schedule.Schedule`.
    """
    parts = Parts({}, {}, {}, {}, {}, [])
    homes = ((UNET, parts.unet), (FIRST_STAGE, parts.first_stage), (RESAMPLER, parts.resampler))
    homes += ((TEXT, parts.text), (VISION, parts.vision))
    for name in list(state_dict):
        tensor = state_dict.pop(name)
        key = name.removeprefix(DEEPSPEED)
        for prefix, home in homes:
            if key.startswith(prefix):
                inner = key.removeprefix(prefix)
                if prefix == UNET:
                    inner = inner.replace("framestride_embed.", "fps_embedding.")
                home[inner] = tensor
                break
        else:
            if "." in key and not key.startswith("embedder."):  # buffers have no dot; CLIP's text leftovers are unused
                parts.unknown.append(name)
    return parts
