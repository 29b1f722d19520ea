"""ControlNeXt on a MODEL: encodes the condition pictures once per noise level and adds them to the UNet's trunk."""

import logging
import uuid
from dataclasses import dataclass

import comfy.model_management
import comfy.patcher_extension
import torch
import torch.nn.functional as F

from ....common.errors import BetwixtError
from ....fcvg_core.sampling.cross_normalisation import ControlMap, inject
from ....fcvg_core.sampling.noise_levels import timestep
from .temporal_attention import DIRECTION

logger = logging.getLogger(__name__)

INJECTED_AFTER = ("input", 3)  # the downsampler that ends the UNet's first level (docs/methods/svd.md, Host hooks)
MEMORY_SHARE = 0.25  # of the free memory, for the activations of one chunk of frames; the same for keeping the stem


@dataclass(frozen=True)
class ConditionVideo:
    """What the encoder is to be fed with, and how strongly.

    Attributes:
        pictures: float [F, H, W, 3], 0..1, in forward order.
        strength: factor on the published scale; or one per frame, float [F].
        sigmas: (low, high) noise levels between which the control acts.
        mask: None, or float [1 or F, H, W], 0..1: where it acts.
        stretch: pick pictures by time where the clip has another number of frames, instead of refusing it.
    """

    pictures: torch.Tensor
    strength: float | torch.Tensor = 1.0
    sigmas: tuple[float, float] = (0.0, float("inf"))
    mask: torch.Tensor | None = None
    stretch: bool = False


class ControlNeXtPatch:
    """One application of a condition video; attach it with :meth:`attach`.

    Args:
        encoder: ModelPatcher of the ControlNeXt encoder.
    """

    def __init__(self, encoder, video: ConditionVideo):
        self.encoder, self.video = encoder, video
        self.key = f"betwixt_controlnext_{uuid.uuid4()}"  # several applications to one model add up

    def attach(self, model):
        patched = model.clone()
        patched.set_additional_models(self.key, [self.encoder])
        patched.set_model_input_block_patch_after_skip(self)
        wrappers = comfy.patcher_extension.WrappersMP
        patched.add_wrapper_with_key(wrappers.OUTER_SAMPLE, self.key, self._outer_sample)
        return patched

    def _outer_sample(self, executor, noise, *args, **kwargs):
        """Checks the clip before anything is loaded; keeps what one sampling run shares in that run's options."""
        run = ControlRun(self.encoder, fitted(self.video, noise.shape))
        executor.class_obj.model_options["transformer_options"][self.key] = run
        return executor(noise, *args, **kwargs)

    def __call__(self, h: torch.Tensor, options: dict) -> torch.Tensor:
        """After-skip patch: ``h`` [chunks * F, C, h, w]; only the conditional chunks are controlled."""
        if options["block"] != INJECTED_AFTER:
            return h
        direction = options.get(DIRECTION)
        sigma = None if direction is None else direction.sigma
        sigma = float(options["sigmas"].flatten()[0]) if sigma is None else sigma
        low, high = self.video.sigmas
        if not low <= sigma <= high:
            return h
        kinds = options["cond_or_uncond"]
        if 0 not in kinds:
            return h
        run = options.get(self.key) or ControlRun(self.encoder, self.video)
        control, weight = run.control(sigma, h), run.weight(h)
        if direction is not None and direction.backward:
            control = control.reversed()
            weight = weight.flip(0) if torch.is_tensor(weight) else weight
        chunks = zip(h.chunk(len(kinds)), kinds, strict=True)
        return torch.cat([inject(chunk, control, weight) if kind == 0 else chunk for chunk, kind in chunks])


class ControlRun:
    """The encoder over one sampling run: the stem is kept, and the maps of the present noise level."""

    def __init__(self, encoder, video: ConditionVideo):
        self._encoder, self._video = encoder, video
        self._stem: list[torch.Tensor] | None = None
        self._made_for: tuple | None = None
        self._control: ControlMap | None = None
        self._weight: float | torch.Tensor = video.strength
        self._weighs: tuple | None = None

    def control(self, sigma: float, h: torch.Tensor) -> ControlMap:
        """The control maps of all frames for trunk tensors like ``h``, in forward order."""
        wanted = (sigma, h.shape[-2:], h.dtype, h.device)
        if wanted != self._made_for:
            self._control, self._made_for = self._encode(sigma, h), wanted
        return self._control

    def weight(self, h: torch.Tensor) -> float | torch.Tensor:
        """Strength, times the mask at the trunk's size where there is one."""
        mask, strength = self._video.mask, self._video.strength
        if mask is None and not torch.is_tensor(strength):
            return strength
        if self._weighs != (h.shape[-2:], h.device):  # once per run: resized, and brought to the device
            if torch.is_tensor(strength):
                strength = strength.to(h.device).view(-1, 1, 1, 1)
            if mask is not None:
                strength = F.interpolate(mask[:, None].float(), h.shape[-2:], mode="area").to(h.device) * strength
            self._weight, self._weighs = strength, (h.shape[-2:], h.device)
        return self._weight

    def _encode(self, sigma: float, h: torch.Tensor) -> ControlMap:
        time = timestep(torch.full((1,), sigma, device=h.device))
        parts = []
        for features in self._features(h):
            control = self._encoder.model.encode(features, time)
            parts.append(ControlMap.of(control, h.shape[-2:]))
        return ControlMap.joined(parts)

    def _features(self, h: torch.Tensor):
        """The stem's output chunk by chunk: kept from the first noise level on where there is room for it."""
        if self._stem is not None and self._stem[0].device == h.device and self._stem[0].dtype == h.dtype:
            yield from self._stem
            return
        pictures, network = self._video.pictures, self._encoder.model
        frames, height, width = pictures.shape[:3]
        budget = MEMORY_SHARE * comfy.model_management.get_free_memory(h.device)
        per_frame = network.bytes_per_frame(height, width, h.element_size())
        chunk = max(1, min(frames, int(budget / per_frame)))
        kept = [] if frames * per_frame / 4 < budget else None  # the stem's output is a quarter of the peak
        for start in range(0, frames, chunk):
            batch = pictures[start : start + chunk].to(h.device, h.dtype).movedim(-1, 1).contiguous()
            features = network.stem(batch)
            if kept is not None:
                kept.append(features)
            yield features
        self._stem = kept


def fitted(video: ConditionVideo, latent_shape) -> ConditionVideo:
    """The condition video at the size and length of the clip to be sampled.

    Raises:
        BetwixtError: another number of frames, unless ``stretch``.
    """
    frames, height, width = latent_shape[0], 8 * latent_shape[-2], 8 * latent_shape[-1]
    pictures, mask, strength = video.pictures, video.mask, video.strength
    count = pictures.shape[0]
    if count != frames:
        if not video.stretch:
            raise BetwixtError(
                f"There are {count} condition pictures and {frames} frames in the latent.",
                "Both must have the same number of frames.",
                f"Set the frame count of 'Interpolate Conditions' to {frames}, or 'timing' of 'Apply ControlNeXt' to "
                "'stretch to the clip'.",
            )
        nearest = torch.linspace(0, count - 1, frames).round().long()
        pictures = pictures[nearest]
        mask = mask[nearest] if mask is not None and mask.shape[0] == count else mask
        strength = strength[nearest] if torch.is_tensor(strength) else strength
    if tuple(pictures.shape[1:3]) != (height, width):
        logger.warning(
            "Apply ControlNeXt: the condition pictures are resized from %dx%d to the clip's %dx%d; draw them at that "
            "size for sharp lines.",
            *(pictures.shape[2], pictures.shape[1], width, height),
        )
        resized = F.interpolate(pictures.movedim(-1, 1), (height, width), mode="bilinear", antialias=True)
        pictures = resized.movedim(1, -1)
    return ConditionVideo(pictures, strength, video.sigmas, mask, video.stretch)
