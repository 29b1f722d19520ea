"""A few numbers per patch whose distance bounds the patch error from below (spec ebsynth.md 8.2, step 2)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .patch_error import replicate
from .patch_match import Level

DIRECTIONS = 16  # one 32-byte gather per patch
SAMPLES = 2048  # source patches that the directions are fitted to
SUBSPACE_ITERATIONS = 4  # the directions need not be exact, only orthonormal
SLACK = 1.01  # rounding to int16 moves a bound by less than this


class PatchFeatures:
    """Weighted patches of a level's source and target, projected on their principal directions, as int16.

    The directions are orthonormal, so distances can only shrink: the squared distance of two projections is at most
    the patch error. Bounds do not know modulation.
    """

    def __init__(self, level: Level, patch: int):
        self.patch, self.style_channels = patch, level.style_channels
        channels = level.source.shape[-1]
        roots = level.weights.sqrt().to(level.source.device)
        kernel = self._directions(level.source, roots)
        # No projection exceeds the longest patch; one bit is left for differences.
        longest = 255.0 * patch * float(level.weights.sum().sqrt())
        self.resolution = 16000.0 / longest
        kernel = kernel.view(DIRECTIONS, patch, patch, channels) * roots * self.resolution
        self.kernel = kernel.permute(0, 3, 1, 2).contiguous()
        self.source = self._project(level.source, self.kernel).round().to(torch.int16).view(torch.int64)
        self.source = self.source.flatten(0, 2)
        self.guides = self._project(level.target, self.kernel[:, self.style_channels :])
        self.ones = torch.full((DIRECTIONS,), 1.0 / (SLACK * self.resolution**2), device=level.source.device)

    def _directions(self, source: Tensor, roots: Tensor) -> Tensor:
        """[DIRECTIONS, patch * patch * C], orthonormal rows; zeros where patches have fewer dimensions."""
        b, h, w, c = source.shape
        every = source.unfold(1, self.patch, 1).unfold(2, self.patch, 1)  # [B, h', w', C, p, p]
        generator = torch.Generator().manual_seed(0)
        y, x, n = (torch.randint(limit, (SAMPLES,), generator=generator) for limit in (*every.shape[1:3], b))
        patches = (every[n, y, x].float() * roots[:, None, None]).permute(0, 2, 3, 1).flatten(1).cpu()
        patches -= patches.mean(dim=0)
        scatter = patches.T @ patches
        directions = torch.randn(scatter.shape[0], DIRECTIONS, generator=generator)
        for _ in range(SUBSPACE_ITERATIONS):
            directions, _ = torch.linalg.qr(scatter @ directions)
        result = torch.zeros(DIRECTIONS, scatter.shape[0])
        result[: directions.shape[1]] = directions.T
        return result.to(source.device)

    def _project(self, pictures: Tensor, kernel: Tensor) -> Tensor:
        """float32 [B, H, W, DIRECTIONS] of uint8 [B, H, W, c]."""
        padded = replicate(pictures, self.patch // 2).movedim(-1, 1).float()
        return F.conv2d(padded, kernel).movedim(1, -1)

    def set_target_style(self, image: Tensor) -> None:
        """``image``: uint8 [B, Ht, Wt, NS], what the target's style is now."""
        target = self.guides + self._project(image, self.kernel[:, : self.style_channels])
        self.target = target.round().to(torch.int16).contiguous().view(torch.int64).flatten(0, 2)

    def lower_bound(self, pixels: Tensor | slice, candidates: Tensor) -> Tensor:
        """float32 [K], at most the patch error of flat target ``pixels`` against flat source ``candidates``; positions
        behind the last source pixel are read as the last."""
        ours = self.source.index_select(0, candidates.clamp(max=len(self.source) - 1)).view(torch.int16)
        theirs = self.target[pixels] if isinstance(pixels, slice) else self.target.index_select(0, pixels)
        difference = ours.sub_(theirs.view(torch.int16)).float()
        return torch.mv(difference.mul_(difference), self.ones)
