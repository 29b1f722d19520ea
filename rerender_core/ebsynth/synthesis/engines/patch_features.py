"""A few numbers per patch whose distance bounds the patch error from below
(docs/methods/ebsynth.md, Vectorised engine)."""

import torch
from torch import Tensor

from .....common.helpers import Buffers
from ..patch_error import replicate
from ..search_level import Level

DIRECTIONS = 16  # one 32-byte gather per patch
SAMPLES = 2048  # source patches that the directions are fitted to
SUBSPACE_ITERATIONS = 4  # the directions need not be exact, only orthonormal
SLACK = 1.01  # rounding to int16 moves a bound by less than this


class PatchFeatures:
    """Weighted patches of a level's source and target, projected on their principal directions, as int16.

    The directions are orthonormal, so distances can only shrink: the squared distance of two projections is at most
    the patch error. Bounds do not know modulation.
    """

    def __init__(self, level: Level, patch: int, most: int):
        """``most``: how many candidates will be asked about at once, at most."""
        self.patch, self.style_channels, self.most = patch, level.style_channels, most
        channels = level.source.shape[-1]
        self.gathered = Buffers((2, most, DIRECTIONS), torch.int16)
        self.differences = Buffers((most, DIRECTIONS), torch.float32)
        roots = level.weights.sqrt()
        # No projection exceeds the longest patch; one bit is left for differences.
        self.resolution = 16000.0 / (255.0 * patch * float(level.weights.sum().sqrt()))
        directions = self._directions(level.source, roots).view(DIRECTIONS, patch, patch, channels)
        self.kernel = directions * (roots * self.resolution)
        self.source = self._projected(level.source, self.kernel)
        self.guides = self._projected(level.target, self.kernel[..., self.style_channels :], torch.float32)
        self.ones = torch.full((DIRECTIONS,), 1.0 / (SLACK * self.resolution**2))

    def _directions(self, source: Tensor, roots: Tensor) -> Tensor:
        """[DIRECTIONS, patch * patch * C], orthonormal rows; zeros where patches have fewer dimensions."""
        every = source.unfold(1, self.patch, 1).unfold(2, self.patch, 1)  # [B, h, w, C, patch, patch]
        generator = torch.Generator().manual_seed(0)
        limits = (len(source), *every.shape[1:3])
        b, y, x = (torch.randint(limit, (SAMPLES,), generator=generator) for limit in limits)
        patches = (every[b, y, x].float() * roots[:, None, None]).permute(0, 2, 3, 1).flatten(1)
        patches -= patches.mean(dim=0)
        scatter = patches.T @ patches
        directions = torch.randn(scatter.shape[0], DIRECTIONS, generator=generator)
        for _ in range(SUBSPACE_ITERATIONS):
            directions, _ = torch.linalg.qr(scatter @ directions)
        result = torch.zeros(DIRECTIONS, scatter.shape[0])
        result[: directions.shape[1]] = directions.T
        return result

    def _projected(
        self, pictures: Tensor, kernel: Tensor, kind: torch.dtype = torch.int16, base: Tensor | None = None
    ) -> Tensor:
        """Projections [B * H * W, DIRECTIONS] of the patches of uint8 [B, H, W, c], ``base`` added.

        By matrix products of patch rows: a convolution might round to a shorter format on the way.
        """
        b, height, width, channels = pictures.shape
        padded = replicate(pictures, self.patch // 2)
        length = self.patch * channels
        rows = padded.as_strided((*padded.shape[:2], width, length), (*padded.stride()[:2], channels, 1))
        kernels = kernel.permute(1, 2, 3, 0).reshape(self.patch, length, DIRECTIONS)
        result = torch.empty(b, height, width, DIRECTIONS, dtype=kind)
        lines = max(self.most * DIRECTIONS // (width * length), 1)
        for problem in range(b):
            for top in range(0, height, lines):
                bottom = min(top + lines, height)
                total = torch.zeros((bottom - top) * width, DIRECTIONS)
                if base is not None:
                    total += base.view(result.shape)[problem, top:bottom].flatten(0, 1)
                for down, row_kernel in enumerate(kernels):
                    total.addmm_(rows[problem, top + down : bottom + down].float().flatten(0, 1), row_kernel)
                if not kind.is_floating_point:
                    total.round_()
                result[problem, top:bottom] = total.view(-1, width, DIRECTIONS)
        return result.flatten(0, 2)

    def set_target_style(self, image: Tensor) -> None:
        """``image``: uint8 [B, Ht, Wt, NS], what the target's style is now."""
        self.target = self._projected(image, self.kernel[..., : self.style_channels], base=self.guides)

    def lower_bound(self, pixels: Tensor | slice, candidates: Tensor) -> Tensor:
        """float32 [K], at most the patch error of flat target ``pixels`` against flat source ``candidates``; positions
        behind the last source pixel are read as the last."""
        ours, theirs = self.gathered.mine[:, : len(candidates)]
        difference = self.differences.mine[: len(candidates)]
        torch.index_select(self.source, 0, candidates.clamp(max=len(self.source) - 1), out=ours)
        if isinstance(pixels, slice):
            theirs = self.target[pixels]
        else:
            torch.index_select(self.target, 0, pixels, out=theirs)
        difference.copy_(ours.sub_(theirs))
        return torch.mv(difference.mul_(difference), self.ones)
