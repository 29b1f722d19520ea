"""How good a patch synthesis is: its energy, and its distance from the truth where that is known."""

import math
from typing import NamedTuple

import torch
from betwixt.rerender_core.ebsynth.synthesis.occupancy import covered
from betwixt.rerender_core.ebsynth.synthesis.patch_error import patch_error
from betwixt.rerender_core.ebsynth.synthesis.problem import SynthesisOptions, SynthesisProblem, all_style_weights
from betwixt.rerender_core.ebsynth.synthesis.search_level import Solution


class Energy(NamedTuple):
    """Means over all pixels: patch error of the final matches against the final picture, occupancy at the matches, and
    ``error + uniformity * occupancy``."""

    error: float
    occupancy: float
    total: float


def energy(problem: SynthesisProblem, options: SynthesisOptions, result: Solution) -> Energy:
    """Energy of a synthesis without masks; after an extra pass that of its 3x3 patches, without uniformity."""
    patch, uniformity = (3, 0.0) if options.extra_pass else (options.patch, options.uniformity)
    source = torch.cat([problem.style, problem.source_guides], dim=-1)
    target = torch.cat([result.image, problem.target_guides], dim=-1)
    weights = torch.cat([all_style_weights(problem), problem.guide_weights])
    error = float(patch_error(source, target, weights, result.nnf, patch).mean())
    occupied = float(at_matches(occupancy(result.nnf, tuple(problem.style.shape[1:3]), patch), result.nnf).mean())
    return Energy(error, occupied, error + uniformity * occupied)


def match_count(nnf: torch.Tensor, source_size: tuple[int, int]) -> torch.Tensor:
    """How many target pixels are matched to each source pixel.

    Args:
        nnf: integer [B, Ht, Wt, 2], (x, y); negative = no match, not counted.
        source_size: (Hs, Ws).

    Returns:
        int64 [B, Hs, Ws].
    """
    b, area = nnf.shape[0], source_size[0] * source_size[1]
    flat = nnf[..., 1].long() * source_size[1] + nnf[..., 0].long()
    flat = flat + torch.arange(b, device=nnf.device).view(b, 1, 1) * area
    return torch.bincount(flat[nnf[..., 0] >= 0], minlength=b * area).view(b, *source_size)


def occupancy(nnf: torch.Tensor, source_size: tuple[int, int], patch: int) -> torch.Tensor:
    """Occupancy of the patch around every source pixel: 1 = used as often as all others, on average.

    Returns:
        float32 [B, Hs, Ws]. The mean at the target's matches, ``total``'s occupancy term, is
        ``at_matches(occupancy(...), nnf).mean()``.
    """
    count = match_count(nnf, source_size).double()
    matches = (nnf[..., 0] >= 0).sum(dim=(1, 2)).clamp(min=1).view(-1, 1, 1)
    area = source_size[0] * source_size[1]
    return (covered(covered(count, patch), patch) / patch**4 * area / matches).float()


def at_matches(field: torch.Tensor, nnf: torch.Tensor) -> torch.Tensor:
    """Values of a source field [B, Hs, Ws] at the matches [B, Ht, Wt, 2]: [B, Ht, Wt]; all must be matched."""
    b = torch.arange(nnf.shape[0], device=nnf.device).view(-1, 1, 1)
    return field[b, nnf[..., 1].long(), nnf[..., 0].long()]


def psnr(picture: torch.Tensor, truth: torch.Tensor) -> float:
    """Peak signal-to-noise ratio of uint8 pictures in dB, over all pixels and channels."""
    return 10 * math.log10(255**2 / float(((picture.double() - truth.double()) ** 2).mean()))
