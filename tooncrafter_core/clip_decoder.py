"""SVD's temporal decoder evaluated piecewise, so that a whole clip fits into little memory.

The decoder's spatial parts see one frame at a time, its convolutions over time (3, 1, 1) one pixel at a time; only the
group normalisations before the latter see everything, and of everything only a mean and a variance. So every layer can
be evaluated in pieces without an approximation: never more than two activations of the whole clip exist, instead of
the six of a plain evaluation. The pieces' number changes nothing but the order of floating-point sums.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..common.progress import Progress, silent
from .dual_reference import LAST, References

WORK = (0.95, 0.45, 0.15, 0.05)  # share of the work done after level 0, 1, 2, 3

# affine(norm, x) -> (weight, bias) of a normalisation on x's device, in float32.
Affine = Callable[[Any, Tensor], tuple[Tensor, Tensor]]


def stored_affine(norm: nn.GroupNorm, x: Tensor) -> tuple[Tensor, Tensor]:
    """Weight and bias of a layer whose parameters are where they are used."""
    return norm.weight.float(), norm.bias.float()


def frame_parts(frames: int, at_once: int) -> list[slice]:
    return [slice(begin, min(begin + at_once, frames)) for begin in range(0, frames, at_once)]


def clip_statistics(x: Tensor, groups: int) -> tuple[Tensor, Tensor]:
    """Mean and variance of each channel group over time and space, float32 [groups]; ``x`` [T, C, h, w]."""
    moments = [torch.var_mean(frame.float().view(groups, -1), dim=1, correction=0) for frame in x]
    variances, means = (torch.stack(values) for values in zip(*moments, strict=True))
    mean = means.mean(dim=0)
    return mean, variances.mean(dim=0) + ((means - mean) ** 2).mean(dim=0)


def _normalisation(norm: nn.GroupNorm, x: Tensor, affine: Affine) -> tuple[Tensor, Tensor]:
    """Group normalisation of the clip ``x`` as a gain and an offset per channel, each [C, 1, 1]."""
    mean, variance = clip_statistics(x, norm.num_groups)
    weight, bias = affine(norm, x)
    width = len(weight) // norm.num_groups
    gain = weight * torch.rsqrt(variance + norm.eps).repeat_interleave(width)
    return gain[:, None, None], (bias - mean.repeat_interleave(width) * gain)[:, None, None]


def _convolved(x: Tensor, normalisation: tuple[Tensor, Tensor], convolution: nn.Module) -> Tensor:
    """Normalise, SiLU, convolve over time; ``x`` [T, C, rows, w] is a slab of the clip."""
    gain, offset = normalisation
    active = F.silu(x.float() * gain + offset, inplace=True)
    return convolution(active.to(x.dtype).transpose(0, 1)[None])[0].transpose(0, 1)


def temporal_part(block: Any, x: Tensor, rows: int, affine: Affine) -> Tensor:
    """The time stack of a VideoResBlock; replaces ``x`` [T, C, h, w], in slabs of ``rows`` rows, and returns it."""
    stack = block.time_stack
    alpha = block.get_alpha(1).to(x)
    slabs = frame_parts(x.shape[2], rows)
    first = _normalisation(stack.in_layers[0], x, affine)
    hidden = torch.empty_like(x)
    for slab in slabs:
        hidden[:, :, slab] = _convolved(x[:, :, slab], first, stack.in_layers[2])
    second = _normalisation(stack.out_layers[0], hidden, affine)
    for slab in slabs:  # alpha * (x + h) + (1 - alpha) * x
        x[:, :, slab] += alpha * _convolved(hidden[:, :, slab], second, stack.out_layers[3])
    return x


def spatial_part(
    block: Callable[[Tensor], Tensor], x: Tensor, frames_at_once: int, report: Callable[[], None] = lambda: None
) -> Tensor:
    """``block`` evaluated on a few frames at a time, with a ``report`` before each; ``x`` is replaced where the shape
    stays."""
    out = x
    for part in frame_parts(len(x), frames_at_once):
        report()
        piece = block(x[part])
        if part.start == 0 and piece.shape[1:] != x.shape[1:]:
            out = piece.new_empty(len(x), *piece.shape[1:])
        out[part] = piece
    return out


def decode_clip(
    decoder: Any,
    refinements: nn.ModuleList | None,
    latents: Tensor,
    references: References | None,
    frames_at_once: int = 1,
    affine: Affine = stored_affine,
    progress: Progress = silent,
) -> Tensor:
    """Decode a whole clip; it must not be split in time, since its first and last frames receive the references.

    Args:
        decoder: SVD's temporal decoder with time mode "conv-only" (``conv_in``, ``mid``, ``up``, ``norm_out``,
            ``conv_out``).
        refinements: of :func:`.dual_reference.build_refinements`.
        latents: [T, 4, h, w], unscaled (already divided by 0.18215).
        references: of both key frames; None decodes without them.
        frames_at_once: how much is evaluated at a time; memory grows with it, the result does not change.
        progress: called often with the share done; raises to cancel.

    Returns:
        [T, 3, 8h, 8w], about -1..1, not clamped.
    """

    done = 0.0

    def report() -> None:
        progress(done)

    def temporal(block: Callable[..., Tensor], h: Tensor) -> Tensor:
        report()
        rows = max(1, h.shape[2] * frames_at_once // len(h))
        return temporal_part(block, h, rows, affine)

    def video_block(block: Callable[..., Tensor], h: Tensor) -> Tensor:
        return temporal(block, spatial_part(lambda part: block(part, None, skip_video=True), h, frames_at_once, report))

    h = video_block(decoder.mid.block_1, decoder.conv_in(latents))
    h = video_block(decoder.mid.block_2, spatial_part(decoder.mid.attn_1, h, frames_at_once))
    upsample: Callable[[Tensor], Tensor] = nn.Identity()
    for level in reversed(range(len(decoder.up))):
        first, *others = decoder.up[level].block
        # Enlarged and narrowed frame by frame: the wide, large activation between never exists for the whole clip.
        h = spatial_part(partial(_enlarged, upsample, first), h, frames_at_once, report)
        h = temporal(first, h)
        for block in others:
            h = video_block(block, h)
        if references is not None and refinements is not None:
            h = refinements[level](h, references.levels[level], frames_at_once)
        upsample = decoder.up[level].upsample if level else nn.Identity()
        done = WORK[min(level, len(WORK) - 1)]
    pictures = _finished(decoder, refinements, h, references, frames_at_once)
    progress(1.0)
    return pictures


def _enlarged(upsample: Callable[[Tensor], Tensor], block: Callable[..., Tensor], part: Tensor) -> Tensor:
    return block(upsample(part), None, skip_video=True)


def _finished(decoder, refinements, h: Tensor, references: References | None, frames_at_once: int) -> Tensor:
    """Last norm, last residuals of the end frames, and the output convolutions in space and time."""
    pieces = []
    for part in frame_parts(len(h), frames_at_once):
        active = F.silu(decoder.norm_out(h[part]), inplace=True)
        if references is not None:
            refinement, reference = refinements[LAST], references.levels[LAST]
            if part.start == 0:
                active[:1] += refinement.conv(reference[:1])
            if part.stop == len(h):
                active[-1:] += refinement.conv(reference[1:])
        pieces.append(decoder.conv_out(active, skip_video=True))
    pictures = torch.cat(pieces).transpose(0, 1)[None]
    return decoder.conv_out.time_mix_conv(pictures)[0].transpose(0, 1).contiguous()
