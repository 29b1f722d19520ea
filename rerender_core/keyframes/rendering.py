"""Rendering the key frames of a clip one after the other, each held to the anchor and to its predecessor
(docs/methods/rerender.md, Sampler; Pixel-aware fusion; Savings)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...common.clips.recolour import recoloured
from ...common.pictures import to_uint8
from ..flow.warping import latent_flow, warp
from .clean_latent import AnchorTrace, ShapeFusion, constrained
from .constraints import KeyframeConstraints
from .cross_frame_attention import CrossFrameAttention, Role
from .fidelity_encoding import FidelityEncoding, fidelity_encode
from .pixel_fusion import flat_region, keep_mask, latent_mask, pixel_reference, softened
from .sampling import Injection, Noises, Pass, PixelTarget, State
from .step_windows import injection_step


class KeyframeHost(Protocol):
    """What the renderer needs from where it runs. Latents are in the model's scale.

    Attributes:
        device: where pictures of earlier frames are moved and joined; all else is wherever the host leaves it.
    """

    device: torch.device

    def encode(self, pictures: Tensor) -> Tensor:
        """[B, 3, H, W] around -1..1 to [B, C, h, w], the posterior's mean."""
        ...

    def decode(self, latents: Tensor) -> Tensor:
        """The reverse, not clamped."""
        ...

    def run(self, frame: int, plan: Pass, attention: CrossFrameAttention | None) -> tuple[Tensor, State | None]:
        """Sample one pass with the conditioning of ``frame``."""
        ...


@dataclass(frozen=True)
class Correspondence:
    """Motion between two key frames.

    Attributes:
        flow: [1, 2, H, W] pixels, lives on the later frame and points into the earlier one.
        occluded: bool [1, H, W], pixels of the later frame without a counterpart.
    """

    flow: Tensor
    occluded: Tensor


@dataclass(frozen=True)
class KeyframeSettings:
    """How the key frames of a run are rendered.

    Attributes:
        alphas: cumulative alpha of the T steps and of where the last one leads.
        nominal: number of steps that pixel-aware fusion counts its window in.
        strength: SDEdit amount.
        refresh: positions of key frames that take over as anchor once they are rendered.
        keep_colours: sample from the frames as they are; else from frames recoloured like a free first render.
        every_step: run all steps of all passes, as published, instead of leaving out what is thrown away or known.
    """

    alphas: tuple[float, ...]
    nominal: int
    strength: float
    constraints: KeyframeConstraints
    refresh: frozenset[int] = frozenset()
    keep_colours: bool = True
    every_step: bool = False

    @property
    def total(self) -> int:
        return len(self.alphas) - 1

    @property
    def injected(self) -> int | None:
        return injection_step(self.total, self.strength)

    @property
    def begin(self) -> int:
        """The first step worth running: what comes before the injection is thrown away."""
        return 0 if self.every_step or self.injected is None else self.injected

    @property
    def fusion_steps(self) -> list[int]:
        """Steps of pixel-aware fusion, without those before the first step."""
        if self.constraints.pixel_aware is None:
            return []
        steps = self.constraints.pixel_aware.active_steps(self.total, self.nominal)
        return [step for step in steps if step >= self.begin]

    def model_steps(self, frames: int) -> int:
        """Evaluations of the model that ``frames`` key frames take, the anchor included."""
        anchor = self.total - self.begin + (0 if self.keep_colours else self.total)
        each = self.total - self.begin
        if self.fusion_steps:  # a second pass
            each += self.total - (self.begin if self.every_step else self.fusion_steps[0])
        return anchor + (frames - 1) * each


@dataclass(frozen=True)
class PixelFusionTrace:
    """How the target of pixel-aware fusion came about: the rough render, the reference, its encoding."""

    rough_latent: Tensor
    rough_picture: Tensor
    reference: Tensor
    encoding: FidelityEncoding
    target: PixelTarget


@dataclass(frozen=True)
class RenderedFrame:
    """A finished key frame and, for those after the first, how it came about.

    Attributes:
        latent: [1, C, h, w] in the model's scale; picture: [1, 3, H, W] around -1..1, not clamped.
    """

    latent: Tensor
    picture: Tensor
    shape: ShapeFusion | None = None
    fusion: PixelFusionTrace | None = None


@dataclass
class _Earlier:
    """A finished frame that later ones are held to: its position, its picture, its clean latents per step."""

    position: int
    picture: Tensor
    trace: AnchorTrace


class KeyframeRenderer:
    """Renders key frames in order; iterate :meth:`render`.

    Args:
        frames: float32 [N, H, W, 3], 0..1; the first one is the anchor.
        correspondence: (earlier, later position) -> flow between two input frames; called only if constraints need it.
        noises: see :class:`Noises`.
        attention: the stores of cross-frame attention, or None.
        region: [N or 1, H, W], 0..1: where the style may act; the rest stays as in the input.
    """

    def __init__(
        self,
        frames: Tensor,
        correspondence: Callable[[int, int], Correspondence],
        settings: KeyframeSettings,
        noises: Noises,
        host: KeyframeHost,
        attention: CrossFrameAttention | None = None,
        region: Tensor | None = None,
    ):
        self.frames, self.correspondence, self.settings = frames, correspondence, settings
        self.noises, self.host, self.attention = noises, host, attention
        self.region = None if region is None else region.expand(frames.shape[0], -1, -1)[:, None]
        self.latents = frames.new_empty(0)  # until render() encodes the frames

    def render(self, count: int | None = None) -> Iterator[RenderedFrame]:
        """The first ``count`` frames (default all), each as soon as it is finished."""
        count = self.frames.shape[0] if count is None else count
        self.latents = self._encoded(range(count))
        trace = AnchorTrace()
        latent, _ = self._run(0, self._first_pass(0, self._recording(trace)), Role.RECORD)
        picture = self._composed(0, self.host.decode(latent))
        yield RenderedFrame(latent, picture)
        anchor = previous = _Earlier(0, picture, trace)
        for position in range(1, count):
            refresh = position in self.settings.refresh
            trace = AnchorTrace()
            frame = self._keyframe(position, anchor, previous, trace if refresh else None)
            yield frame
            previous = _Earlier(position, frame.picture, trace)
            if refresh:
                anchor = previous
                if self.attention is not None:
                    self.attention.make_previous_first()

    def _source(self, position: int) -> Tensor:
        """An input frame as the VAE takes it, [1, 3, H, W] in -1..1."""
        return self.frames[position : position + 1].movedim(-1, 1) * 2 - 1

    def _encoded(self, positions: range) -> Tensor:
        """Latents of the input frames, recoloured if asked for, before anything is sampled.

        One by one: a batch would round differently, and its size depends on free memory.
        """
        sources = (self._source(position) for position in positions)
        if not self.settings.keep_colours:
            wanted = self._free_render()
            sources = (self._recoloured(position, wanted) for position in positions)
        return torch.cat([self.host.encode(source) for source in sources])

    def _free_render(self) -> np.ndarray:
        """The first frame from pure noise, uint8 [H, W, 3]: its colours are what the prompt asks for."""
        self.latents = self.host.encode(self._source(0))
        free = Pass(self._noise_start(), self._within_region(0, lambda step, clean: clean))
        latent, _ = self.host.run(0, free, None)
        picture = self.host.decode(latent)[0] * 127.5 + 127.5
        return picture.clamp(0, 255).to(torch.uint8).permute(1, 2, 0).cpu().numpy()  # truncated as published

    def _recoloured(self, position: int, wanted: np.ndarray) -> Tensor:
        picture = torch.from_numpy(recoloured(to_uint8(self.frames[position]), wanted))
        return picture.permute(2, 0, 1)[None].float() / 127.5 - 1

    def _keyframe(self, position: int, anchor: _Earlier, previous: _Earlier, trace: AnchorTrace | None):
        constraints, steps = self.settings.constraints, self.settings.fusion_steps
        shape = seen = None
        if constraints.shape_aware is not None or steps:
            seen = self._seen(anchor.position, position)
        if constraints.shape_aware is not None and seen is not None:
            mask = latent_mask(1 - softened(seen.occluded))
            shape = ShapeFusion(constraints.shape_aware, latent_flow(seen.flow), mask)
        control = self._controlled(anchor, shape, trace)
        cross_frame, fused = constraints.cross_frame, constraints.pixel_aware is not None
        update = trace is not None or (cross_frame is not None and cross_frame.replaces(position - 1, fused))
        last = Role.UPDATE if update else Role.READ
        if not steps or seen is None:
            latent, _ = self._run(position, self._first_pass(position, control), last)
            return RenderedFrame(latent, self._composed(position, self.host.decode(latent)), shape)
        share = not self.settings.every_step
        first = self._first_pass(position, control, keep_before=steps[0] if share else None)
        rough, kept = self._run(position, first, last if share else Role.READ, update_before=steps[0])
        fusion = self._fusion(position, anchor, previous, rough, seen)
        second = Pass(kept, first.control, target=fusion.target) if share else _with_target(first, fusion.target)
        latent, _ = self._run(position, second, last)
        return RenderedFrame(latent, self._composed(position, self.host.decode(latent)), shape, fusion)

    def _fusion(
        self, position: int, anchor: _Earlier, previous: _Earlier, rough: Tensor, from_anchor: Correspondence
    ) -> PixelFusionTrace:
        """Steps 3 to 6 of docs/methods/rerender.md, Pixel-aware fusion."""
        options, device = self.settings.constraints.pixel_aware, self.host.device
        assert options is not None, "only this constraint fuses pixels"

        def encode(picture: Tensor) -> Tensor:
            return self.host.encode(picture).to(device)

        def decode(latent: Tensor) -> Tensor:
            return self.host.decode(latent).to(device)

        from_previous = from_anchor if previous is anchor else self._seen(previous.position, position)
        rough_picture = self._composed(position, decode(rough))
        reference = pixel_reference(
            warp(anchor.picture.to(device), from_anchor.flow),
            warp(previous.picture.to(device), from_previous.flow),
            rough_picture,
            softened(from_anchor.occluded),
            softened(from_previous.occluded),
        )
        encoding = fidelity_encode(reference, encode, decode, options.compensation, options.error_threshold)
        keep = keep_mask(from_anchor.occluded, from_previous.occluded)
        flat = flat_region(keep) if options.smooth_boundary else torch.ones_like(keep)
        target = PixelTarget(
            latent=encoding.latent * keep[:, None],
            weight=(keep * options.mask_strength)[:, None],
            flat=flat[:, None],
            noises={step: self.noises.fusion[step] for step in self.settings.fusion_steps},
            inner=options.inner_strength,
        )
        return PixelFusionTrace(rough, rough_picture, reference, encoding, target)

    def _seen(self, earlier: int, later: int) -> Correspondence:
        found = self.correspondence(earlier, later)
        return Correspondence(found.flow.to(self.host.device), found.occluded.to(self.host.device))

    def _run(self, position: int, plan: Pass, role: Role, update_before: int | None = None):
        if self.attention is None:
            return self.host.run(position, plan, None)
        self.attention.begin_pass(role, update_before)
        result = self.host.run(position, plan, self.attention)
        self.attention.finish_pass()
        return result

    def _noise_start(self) -> State:
        return State(0, self.noises.start, torch.zeros_like(self.noises.start))

    def _first_pass(self, position: int, control, keep_before: int | None = None) -> Pass:
        settings, start, injection = self.settings, self._noise_start(), None
        if settings.injected is not None:
            latent = self.latents[position : position + 1]
            injection = Injection(settings.injected, latent, self.noises.injection)
        if settings.begin:  # as if the injected frame had come from a step with this noise
            direction = (1 - settings.alphas[settings.begin]) ** 0.5 * self.noises.injection
            start = State(settings.begin, self.noises.start, direction)
        return Pass(start, self._within_region(position, control), injection, keep_before=keep_before)

    def _recording(self, trace: AnchorTrace):
        def control(step: int, clean: Tensor) -> Tensor:
            trace.record(step, clean)
            return clean

        return control

    def _controlled(self, anchor: _Earlier, shape: ShapeFusion | None, trace: AnchorTrace | None):
        adaptive, total = self.settings.constraints.adaptive, self.settings.total

        def control(step: int, clean: Tensor) -> Tensor:
            clean = constrained(clean, step, total, anchor.trace, adaptive, shape)
            if trace is not None:
                trace.record(step, clean)
            return clean

        return control

    def _within_region(self, position: int, control):
        """Outside the region the predicted clean latent is that of the input frame."""
        if self.region is None:
            return control
        inside, source = F.avg_pool2d(self.region[position : position + 1], 8), self.latents[position : position + 1]

        def masked(step: int, clean: Tensor) -> Tensor:
            clean = control(step, clean)
            return source.to(clean) + inside.to(clean) * (clean - source.to(clean))

        return masked

    def _composed(self, position: int, picture: Tensor) -> Tensor:
        if self.region is None:
            return picture
        inside, source = self.region[position : position + 1].to(picture), self._source(position).to(picture)
        return source + inside * (picture - source)


def _with_target(plan: Pass, target: PixelTarget) -> Pass:
    return Pass(plan.start, plan.control, plan.injection, target)
