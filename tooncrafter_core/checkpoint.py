"""What a ToonCrafter or DynamiCrafter file holds, told from its tensors
(docs/methods/tooncrafter.md, Telling files apart)."""

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass

from torch import Tensor

from ..common.errors import BetwixtError
from ..common.files.checkpoints import describe_state_dict
from .schedule import Schedule

UNET = "model.diffusion_model."
FIRST_STAGE = "first_stage_model."
TEXT = "cond_stage_model."
VISION = "embedder.model.visual."
RESAMPLER = "image_proj_model."
DEEPSPEED = "_forward_module."
PUBLISHED = "ToonCrafter (Hugging Face Doubiiu/ToonCrafter, model.ckpt) or a DynamiCrafter file of the same author"


@dataclass(frozen=True)
class Variant:
    """Which model of the family a file holds.

    Attributes:
        name: "ToonCrafter", "DynamiCrafter 512", "DynamiCrafter 512 interp", "DynamiCrafter 1024" or "DynamiCrafter
            256".
        schedule: noise levels and dynamic rescale.
        size: published picture size, (height, width).
        default_fs: published value of the frame-rate number.
        dual_reference: the decoder copies detail from both key frames (ToonCrafter only).
        frame_stride: that number means a stride, larger = more motion (256); else frames per second, larger = less.
        between_pictures: trained to go from one picture to another; else from one picture on.
    """

    name: str
    schedule: Schedule
    size: tuple[int, int]
    default_fs: int
    dual_reference: bool = False
    frame_stride: bool = False
    between_pictures: bool = False

    @property
    def steps_spacing(self) -> str:
        """Published spacing of the sampling steps, "trailing" or "uniform"."""
        return "trailing" if self.schedule.zero_snr else "uniform"

    @property
    def described(self) -> str:
        """One line for reports."""
        height, width = self.size
        task = "between two pictures" if self.between_pictures else "from one picture"
        meaning = "frame stride" if self.frame_stride else "frames per second"
        return f"{self.name}, {task}, trained at {width}x{height}, fs = {meaning}, published {self.default_fs}"


DYNAMICRAFTER_256 = Variant(
    "DynamiCrafter 256", Schedule(zero_snr=False, final_scale=1.0), (256, 256), 3, frame_stride=True
)
TOONCRAFTER = Variant("ToonCrafter", Schedule(), (320, 512), 10, dual_reference=True, between_pictures=True)
DYNAMICRAFTER_512 = Variant("DynamiCrafter 512", Schedule(), (320, 512), 24)
DYNAMICRAFTER_512_INTERP = Variant("DynamiCrafter 512 interp", Schedule(), (320, 512), 5, between_pictures=True)
DYNAMICRAFTER_1024 = Variant("DynamiCrafter 1024", Schedule(final_scale=0.3), (576, 1024), 10)
RESCALES = (0.7, 0.3)  # last value of the dynamic rescale: 512 and 1024 pixels


def detect_variant(state_dict: Mapping[str, Tensor], file: str = "The file", between_pictures: bool = True) -> Variant:
    """The variant of a whole checkpoint's state dict.

    Args:
        file: what to call the file in the error.
        between_pictures: which of the two DynamiCrafter 512 it is; their tensors do not tell.

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
        return DYNAMICRAFTER_256
    if any(key.startswith(f"{FIRST_STAGE}decoder.attn_refinement.") for key in names):
        return TOONCRAFTER
    scales = state_dict.get(names.get("scale_arr", ""))  # rounded, because repackaged files hold it in half precision
    final = RESCALES[0] if scales is None else round(float(scales.flatten()[-1]), 2)
    if final not in RESCALES:
        raise BetwixtError(
            f"{file} rescales its latents to {final}.",
            "0.7 (512 pixels) and 0.3 (1024 pixels) are known.",
            f"Choose {PUBLISHED}.",
        )
    if final == RESCALES[1]:
        return DYNAMICRAFTER_1024
    return DYNAMICRAFTER_512_INTERP if between_pictures else DYNAMICRAFTER_512


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
    homes = {UNET: parts.unet, FIRST_STAGE: parts.first_stage, RESAMPLER: parts.resampler}
    homes |= {TEXT: parts.text, VISION: parts.vision}
    for name in list(state_dict):
        tensor = state_dict.pop(name)
        key = name.removeprefix(DEEPSPEED)
        for prefix, home in homes.items():
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
