"""Rerender's key frames with a random Stable Diffusion 1.5 and a ControlNet of the published shapes."""

import functools

import comfy.controlnet
import comfy.model_management as management
import comfy.sd
import torch
from betwixt.nodes.host.rerender.rendering import HostRendering
from betwixt.nodes.host.rerender.sampler import alphas, published_sigmas
from betwixt.nodes.host.rerender.unclamped_vae import UnclampedVAE
from betwixt.rerender_core.flow.estimation import DenseInverseSearch, estimate_flow
from betwixt.rerender_core.keyframes.constraints import (
    Adaptive,
    CrossFrame,
    KeyframeConstraints,
    PixelAware,
    ShapeAware,
)
from betwixt.rerender_core.keyframes.correspondence import correspondence_from, needed_pairs
from betwixt.rerender_core.keyframes.rendering import KeyframeSettings

from benchmarks.card.measuring import Card, Moments, counted, measured, shares
from support.golden import STORED
from support.models import random_svd, tiny_sd15
from support.models.synthetic_weights import load_manifest

STRENGTH, CONTEXT = 0.75, 768
CONSTRAINTS = KeyframeConstraints(CrossFrame(), ShapeAware(), PixelAware(), Adaptive())


@functools.lru_cache(maxsize=1)
def loaded(tiny: bool):
    """(MODEL, CONTROL_NET, VAE, width of the text context)."""
    if tiny:
        weights = tiny_sd15.weights()
        return tiny_sd15.model(weights), tiny_sd15.control_net(weights), tiny_sd15.vae(weights), 64
    manifest = load_manifest(STORED / "rerender" / "full_manifest.json.gz")
    shapes = {key: entry["shape"] for key, entry in manifest.items()}
    weights = random_svd.random_weights(shapes, torch.float16, management.get_torch_device())
    unet = tiny_sd15.part(weights, tiny_sd15.UNET)
    control = {key: value for key, value in weights.items() if key.startswith(tiny_sd15.CONTROL)}
    return (
        comfy.sd.load_diffusion_model_state_dict(unet),
        comfy.controlnet.load_controlnet_state_dict(control),
        comfy.sd.VAE(sd=tiny_sd15.part(weights, tiny_sd15.VAE)),
        CONTEXT,
    )


def moving_waves(height: int, width: int, frames: int) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(height + 0.0), torch.arange(width + 0.0), indexing="ij")
    waves = [torch.sin((x + 3 * t) / 9) * torch.cos(y / 12) for t in range(frames)]
    return torch.stack([(0.5 + 0.4 * wave)[..., None].expand(-1, -1, 3) for wave in waves])


def steps(tiny: bool) -> int:
    return 4 if tiny else 20


class Job:
    """Key frames of a clip, rendered one after the other."""

    def __init__(self, tiny: bool, height: int, width: int, frames: int, every_step: bool = False):
        model, control, vae, context = loaded(tiny)
        pictures = moving_waves(height, width, frames)
        control = control.copy().set_cond_hint(pictures.movedim(-1, 1), 0.7)
        options = {"control": control, "control_apply_to_uncond": False}
        texts = [[[tiny_sd15.text(seed, context)[0][0], options]] for seed in (0, 1)]
        sigmas = published_sigmas(model.get_model_object("model_sampling"), steps(tiny))
        host = HostRendering(model, UnclampedVAE(vae), *texts, 7.5, sigmas, 0, CONSTRAINTS.cross_frame)
        flow = estimate_flow(pictures, needed_pairs(frames, frozenset(), CONSTRAINTS), DenseInverseSearch("fast"))
        self.settings = KeyframeSettings(alphas(sigmas), steps(tiny), STRENGTH, CONSTRAINTS, every_step=every_step)
        self.renderer = host.renderer(pictures, correspondence_from(flow), self.settings)

    @property
    def evaluations(self) -> int:
        """Of the model per key frame after the anchor."""
        return self.settings.model_steps(2) - self.settings.model_steps(1)

    def stores_on(self) -> str:
        stores = (self.renderer.attention.first, self.renderer.attention.previous)
        return ", ".join(sorted({tokens.device.type for store in stores for tokens in store.values()}))


def key_frame_row(card: Card, job: str, height: int, width: int, frames: int, every_step: bool = False) -> None:
    """The anchor and the first key frame after it are not part of the median."""
    run = Job(card.tiny, height, width, frames, every_step)
    moments = Moments()

    def render():
        for _ in run.renderer.render():
            moments()

    _, taken = measured(render)
    seconds = moments.median(skip=2)
    note = f"{run.evaluations} evaluations, stores on {run.stores_on()}"
    values = {"seconds": seconds, "seconds_per_step": seconds / run.evaluations, "note": note, **taken.peaks()}
    card.row(job, **values, **shares(key_frame_flops(card, height, width), seconds))


@functools.lru_cache(maxsize=4)
def _flops(tiny: bool, height: int, width: int) -> float:
    both, anchor = (
        counted(lambda frames=frames: list(Job(tiny, height, width, frames).renderer.render())) for frames in (2, 1)
    )
    return both - anchor


def key_frame_flops(card: Card, height: int, width: int) -> float:
    """Arithmetic of one key frame after the anchor, with the savings."""
    return _flops(card.tiny, height, width)


def rerender(card: Card) -> None:
    height, width, frames = (64, 64, 3) if card.tiny else (512, 512, 5)
    key_frame_row(card, f"Rerender key frame {width}x{height}", height, width, frames)
    job = iter(Job(card.tiny, height, width, 3).renderer.render())
    next(job), next(job)
    card.profile("rerender", lambda: next(job))


def rerender_wide(card: Card) -> None:
    height, width, frames = (64, 96, 3) if card.tiny else (512, 768, 5)
    job = f"Rerender key frame {width}x{height}"
    key_frame_row(card, job, height, width, frames)
    key_frame_row(card, f"{job}, every step as published", height, width, frames - 1, True)


RUN = {"rerender": rerender, "rerender_wide": rerender_wide}
