"""The host's model, VAE and conditionings as the services the key-frame renderer asks for."""

from collections.abc import Callable

import comfy.model_base
import comfy.model_management as management
import comfy.samplers
import torch
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

from ....common.errors import BetwixtError
from ....rerender_core.keyframes.constraints import CrossFrame
from ....rerender_core.keyframes.cross_frame_attention import CrossFrameAttention
from ....rerender_core.keyframes.rendering import Correspondence, KeyframeRenderer, KeyframeSettings
from ....rerender_core.keyframes.sampling import Noises, Pass, State, draw_noises
from ...picture_size import CELL
from .cross_frame_patch import CrossFramePatch, decoder_layers
from .feature_memory import FeatureMemory
from .frame_conditioning import of_frame
from .sampler import KeyframePass
from .unclamped_vae import UnclampedVAE


def require_model(model) -> None:
    """Refuse, by a BetwixtError, all but picture models with the UNet of Stable Diffusion."""
    inner = model.model
    video = isinstance(inner, comfy.model_base.SVD_img2vid)
    if video or not isinstance(inner.diffusion_model, UNetModel) or inner.latent_format.latent_channels != 4:
        raise BetwixtError(
            f"The model on 'model' is {type(inner).__name__}.",
            "A Stable Diffusion 1.x or 2.x model is needed (any checkpoint, LoRA, inpainting); SDXL works, untested by "
            "the authors of the method.",
            "Connect such a MODEL, e.g. from 'Load Checkpoint' with an SD1.5 checkpoint.",
        )


def is_xl(model) -> bool:
    return isinstance(model.model, comfy.model_base.SDXL)


class HostRendering:
    """:class:`.KeyframeHost` over MODEL, VAE and conditionings.

    Args:
        positive, negative: with the hints of all frames.
        sigmas: [T + 1].
        cross_frame: the constraint the model is patched for, or None.
        report: called with (frame, step, clean latent) after each evaluation; may raise to cancel.
        first: position of the renderer's first frame among those that the conditionings have hints for.
    """

    def __init__(
        self,
        model,
        vae: UnclampedVAE,
        positive: list,
        negative: list,
        cfg: float,
        sigmas: torch.Tensor,
        seed: int,
        cross_frame: CrossFrame | None = None,
        report: Callable[[int, int, torch.Tensor], None] = lambda frame, step, clean: None,
        first: int = 0,
    ):
        self._vae, self._conditioning = vae, (positive, negative)
        self._cfg, self._sigmas, self._seed, self._report, self._first = cfg, sigmas, seed, report, first
        self._patch = None
        if cross_frame is not None:
            self._patch = CrossFramePatch(decoder_layers(model.model.diffusion_model, cross_frame.loose))
            model = self._patch.attach(model)
        self._model = model
        self.device = model.load_device
        self._memory = FeatureMemory(model.load_device, model.offload_device)

    def renderer(
        self,
        frames: torch.Tensor,
        correspondence: Callable[[int, int], Correspondence] | None,
        settings: KeyframeSettings,
        region: torch.Tensor | None = None,
        noises: Noises | None = None,
    ) -> KeyframeRenderer:
        """The renderer of key frames that runs here; see there for the arguments.

        Args:
            noises: None draws them from the seed.
        """
        attention, cross = None, settings.constraints.cross_frame
        if cross is not None:
            attention = CrossFrameAttention(cross, settings.total, self._memory)
        if noises is None:
            cells = (side // CELL for side in frames.shape[1:3])
            noises = draw_noises(
                (1, self._model.model.latent_format.latent_channels, *cells), settings.total, self._seed
            )
        return KeyframeRenderer(frames, correspondence, settings, noises, self, attention, region)

    def encode(self, pictures: torch.Tensor) -> torch.Tensor:
        return self._model.model.process_latent_in(self._vae.encode(pictures))

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        return self._vae.decode(self._model.model.process_latent_out(latents))

    def run(self, frame: int, plan: Pass, attention: CrossFrameAttention | None) -> tuple[torch.Tensor, State | None]:
        shape = plan.start.x.shape
        frame += self._first
        self._memory.needed = self._model.memory_required([2 * shape[0], *shape[1:]])
        guider, controls = comfy.samplers.CFGGuider(self._model), {}
        guider.set_conds(*(of_frame(conditioning, frame, controls) for conditioning in self._conditioning))
        guider.set_cfg(self._cfg)
        if self._patch is not None:
            self._patch.attention = attention
        sampler = KeyframePass(plan, self._patch, lambda step, clean: self._report(frame, step, clean))
        source = plan.injection.latent if plan.injection is not None else torch.zeros(shape)
        latent = guider.sample(
            torch.zeros(shape),
            self._model.model.process_latent_out(source).cpu(),
            sampler,
            self._sigmas,
            disable_pbar=True,
            seed=self._seed,
        )
        latent = self._model.model.process_latent_in(latent)  # undo the host's scaling
        return latent.to(management.intermediate_device()), sampler.kept
