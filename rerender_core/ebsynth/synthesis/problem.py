"""What patch synthesis is given: pictures, guides, masks and settings, and what is refused."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ....common.errors import BetwixtError
from .pyramid import level_count
from .voting import WIDEST_PATCH, Voting


@dataclass(frozen=True)
class SynthesisProblem:
    """B independent syntheses of equal size, on one device.

    Attributes:
        style: uint8 [B, Hs, Ws, NS], the painted key frames.
        source_guides, target_guides: uint8 [B, Hs, Ws, NG] and [B, Ht, Wt, NG], see
            :class:`.packed_guides.PackedGuides`.
        guide_weights: float32 [NG], >= 0.
        style_weights: float32 [NS], >= 0; None = one in all, shared by the channels.
        modulation: uint8 [B, Ht, Wt, NG], scales the guides' weights at each target pixel by its value / 255, e.g. 0
            for guides that were carried along by flow where the flow is occluded; None = 255 everywhere.
        source_mask: bool [B, Hs, Ws], parts of the style that may be used, by whole patches; None = all.
        target_mask: bool [B, Ht, Wt], pixels that are wanted; the others, half a patch beyond the mask, cost nothing
            and come out 0, unmatched. None = all. May be empty.
        start: int [B, Ht, Wt, 2], (x, y) in the style where each target pixel is expected to come from, e.g. pixel
            plus accumulated flow; x < 0 = unknown. For the schedule "hybrid".
    """

    style: Tensor
    source_guides: Tensor
    target_guides: Tensor
    guide_weights: Tensor
    style_weights: Tensor | None = None
    modulation: Tensor | None = None
    source_mask: Tensor | None = None
    target_mask: Tensor | None = None
    start: Tensor | None = None

    @property
    def source_size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.style.shape[1], self.style.shape[2]

    @property
    def target_size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.target_guides.shape[1], self.target_guides.shape[2]


@dataclass(frozen=True)
class SynthesisOptions:
    """Settings; the defaults are EbSynth's.

    Attributes:
        patch: side of the square patch, odd, 3..15. Large patches keep larger features of the style and cost more.
        uniformity: what using a part of the style more often than others costs; 0 = nothing.
        levels: of the pyramid, at most; None = as many as the sizes allow.
        vote_iterations, match_iterations: searches per level, each followed by a vote, and PatchMatch iterations in
            each. Rerender uses 12 and 6.
        extra_pass: finish with 3x3 patches, no uniformity: crisper, less like the style in the large.
        voting: "plain", "clamped" or "weighted", see :func:`.voting.vote`.
        stop_threshold: grey levels; where a patch changed less in the last vote, random search rests. 0 = never, as
            in the reference; 3 saves a quarter of the time at about the same result.
        schedule: "reference" searches every level alike. "hybrid" needs the problem's ``start``: it searches the
            finest level for half as many votes, the others for two thirds, and at the finest takes ``start`` wherever
            it fits the guides better than what the coarse levels found. Quicker, and better if most of it is right.
        seed: of the random search; equal seeds give equal results on a device type.
    """

    patch: int = 5
    uniformity: float = 3500.0
    levels: int | None = None
    vote_iterations: int = 6
    match_iterations: int = 4
    extra_pass: bool = False
    voting: Voting = "plain"
    stop_threshold: int = 0
    schedule: Literal["reference", "hybrid"] = "reference"
    seed: int = 0

    @property
    def last_patch(self) -> int:
        """Side of the patches that the finished picture is voted from."""
        return 3 if self.extra_pass else self.patch


def check(problem: SynthesisProblem, options: SynthesisOptions) -> None:
    """Refuse what cannot be synthesised.

    Raises:
        BetwixtError: a patch that is even, out of range or too large for the pictures; weights that are negative, not
            finite or all zero; the schedule "hybrid" without a start.
        ValueError: tensors whose shapes or types do not fit together.
    """
    _check_shapes(problem)
    if options.patch % 2 == 0 or not 3 <= options.patch <= WIDEST_PATCH:
        raise BetwixtError(
            f"The patch size is {options.patch}.",
            f"It must be odd and between 3 and {WIDEST_PATCH}.",
            "Set 'patch_size' to 5, 7 or another odd number.",
        )
    if level_count(problem.source_size, problem.target_size, options.patch) == 0:
        smallest = min(*problem.source_size, *problem.target_size)
        raise BetwixtError(
            f"The shortest side of the pictures is {smallest} px, the patch size {options.patch}.",
            f"With this patch every side must have at least {2 * options.patch + 1} px.",
            "Use larger pictures or a smaller 'patch_size'.",
        )
    weights = torch.cat([problem.guide_weights.float().cpu(), all_style_weights(problem)])
    if not bool(torch.isfinite(weights).all()) or bool((weights < 0).any()) or float(weights.sum()) == 0.0:
        raise BetwixtError(
            f"The weights are {[round(float(weight), 4) for weight in weights]} per channel.",
            "Weights must be finite and not negative, and at least one above 0.",
            "Raise one of the guides' weights.",
        )
    if options.schedule == "hybrid" and problem.start is None:
        raise BetwixtError(
            "The schedule 'hybrid' has no matches to start from.",
            "It needs optical flow between the key frame and the frame.",
            "Connect a flow, or set 'schedule' to 'reference'.",
        )


def all_style_weights(problem: SynthesisProblem) -> Tensor:
    """float32 [NS] on the CPU: as given, or one shared by the channels."""
    channels = problem.style.shape[-1]
    if problem.style_weights is None:
        return torch.full((channels,), 1.0 / channels)
    return problem.style_weights.float().cpu()


def _check_shapes(problem: SynthesisProblem) -> None:
    source, target = problem.style.shape[:3], problem.target_guides.shape[:3]
    guides = problem.guide_weights.shape[0]
    fits = {
        "source_guides": problem.source_guides.shape == (*source, guides),
        "target_guides": problem.target_guides.shape == (source[0], *target[1:], guides),
        "style_weights": problem.style_weights is None or problem.style_weights.shape == problem.style.shape[-1:],
        "modulation": problem.modulation is None or problem.modulation.shape == problem.target_guides.shape,
        "source_mask": problem.source_mask is None or problem.source_mask.shape == source,
        "target_mask": problem.target_mask is None or problem.target_mask.shape == target,
        "start": problem.start is None or problem.start.shape == (*target, 2),
    }
    wrong = [name for name, fit in fits.items() if not fit]
    if wrong:
        raise ValueError(f"the shape of {', '.join(wrong)} does not fit the style's, {list(problem.style.shape)}")
    for name in ("style", "source_guides", "target_guides", "modulation"):
        value = getattr(problem, name)
        if value is not None and value.dtype != torch.uint8:
            raise ValueError(f"{name} is {value.dtype}, not uint8")
