"""FCVG's models with random weights, and a clip they sample and decode; the host must be importable."""

import dataclasses
import functools

import comfy.model_management as management
import comfy.samplers
import comfy.sd
import torch
from betwixt.fcvg_core.sampling import decode as svd_decode
from betwixt.fcvg_core.sampling.fusion import Fusion
from betwixt.fcvg_core.sampling.noise_levels import karras_sigmas
from betwixt.nodes.host.svd.bidirectional_guider import BidirectionalGuider, BidirectionalSettings
from betwixt.nodes.host.svd.controlnext_model import controlnext_from
from betwixt.nodes.host.svd.controlnext_patch import ConditionVideo, ControlNeXtPatch
from betwixt.nodes.host.svd.model import model_from
from betwixt.nodes.host.svd.vae import decode_frames

from support.models import random_svd, tiny_svd

STEPS, CHUNK, OVERLAP = 25, 8, 2  # the decode node's defaults


@dataclasses.dataclass(frozen=True)
class Loaded:
    """A clip's size, and all models."""

    frames: int
    height: int
    width: int
    weights: dict
    model: object
    encoder: object
    vae: object

    @property
    def latent(self) -> tuple[int, int]:
        return self.height // 8, self.width // 8

    @functools.cached_property
    def pictures(self) -> torch.Tensor:
        return torch.rand(self.frames, self.height, self.width, 3)

    @functools.cached_property
    def controlled(self):
        return ControlNeXtPatch(self.encoder, ConditionVideo(self.pictures)).attach(self.model)

    def conditioning(self) -> list:
        settings = {"motion_bucket_id": 127, "fps": 7, "augmentation_level": 0.02}
        embed, latent = torch.randn(1, 1, 1024), torch.randn(1, 4, *self.latent)
        return [[[embed * on, {**settings, "concat_latent_image": latent * on}]] for on in (1, 0)]

    def sampled(
        self, model, steps: int, fusion: Fusion | None = None, moments=None, published_context_order: bool = False
    ) -> torch.Tensor:
        """Latents after ``steps`` of Euler; ``moments`` is called after each."""
        settings = BidirectionalSettings(fusion or Fusion(), published_context_order=published_context_order)
        guider = BidirectionalGuider(model, settings)
        guider.set_conds(*self.conditioning(), *self.conditioning())
        noise = torch.randn(self.frames, 4, *self.latent)
        sampler, sigmas = comfy.samplers.sampler_object("euler"), karras_sigmas(STEPS)[: steps + 1]
        return guider.sample(
            noise, torch.zeros_like(noise), sampler, sigmas, callback=moments, disable_pbar=True, seed=0
        )

    def decoded(self, latents: torch.Tensor, chunk: int = CHUNK, overlap: int = OVERLAP) -> torch.Tensor:
        return svd_decode.decode(
            lambda part: decode_frames(self.vae, part), latents, min(chunk, self.frames), min(overlap, chunk - 1)
        )


@functools.lru_cache(maxsize=1)
def loaded(tiny: bool) -> Loaded:
    if tiny:
        weights, encoder = tiny_svd.unet_weights(torch.float16), controlnext_from(tiny_svd.controlnext_weights())
        return Loaded(3, 64, 128, weights, model_from(weights, "unet", "fp32")[0], encoder, tiny_svd.temporal_vae())
    device = management.get_torch_device()
    weights = random_svd.from_manifest(random_svd.FULL_UNET, torch.float16, device)
    encoder = controlnext_from(random_svd.from_manifest(random_svd.CONTROLNEXT, torch.float32, device))
    vae = comfy.sd.VAE(sd=random_svd.temporal_vae(torch.float16, device))
    return Loaded(25, 576, 1024, weights, model_from(weights, "unet", "fp16")[0], encoder, vae)
