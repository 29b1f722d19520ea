"""SuperPoint: interest points and dense descriptors (DeTone et al., CVPRW 2018; docs/methods/lines.md, SuperPoint)."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

CELL = 8  # a cell of the coarse grid covers 8x8 pixels
BORDER = 4  # points nearer than this to the border of the cell grid are dropped, px
LUMA = (0.299, 0.587, 0.114)
STAGES = ("conv1a", "conv2a", "conv3a", "conv4a", "convPa", "convDb")  # layers that set the network's widths
WIDTHS = (64, 64, 128, 128, 256, 256)  # as published


@dataclass(frozen=True)
class Keypoints:
    """n interest points of one picture.

    Attributes:
        positions: float32 (n, 2), pixel (x, y).
        scores: float32 (n,), 0..1.
        descriptors: float32 (c, h, w), the dense unit descriptors of the picture's 8x8 cells.
    """

    positions: torch.Tensor
    scores: torch.Tensor
    descriptors: torch.Tensor


class SuperPoint(nn.Module):
    """The network, with the parameter names of ``superpoint_v1.pth``.

    Args:
        widths: channels of the :data:`STAGES`: four of the trunk, the heads' hidden layers, the descriptor.
    """

    def __init__(self, widths=WIDTHS, operations=torch.nn, device=None, dtype=None):
        super().__init__()
        c1, c2, c3, c4, hidden, descriptor = widths
        factory = {"device": device, "dtype": dtype}

        def conv3(inputs, outputs):
            return operations.Conv2d(inputs, outputs, 3, padding=1, **factory)

        self.conv1a, self.conv1b = conv3(1, c1), conv3(c1, c1)
        self.conv2a, self.conv2b = conv3(c1, c2), conv3(c2, c2)
        self.conv3a, self.conv3b = conv3(c2, c3), conv3(c3, c3)
        self.conv4a, self.conv4b = conv3(c3, c4), conv3(c4, c4)
        self.convPa, self.convPb = conv3(c4, hidden), operations.Conv2d(hidden, CELL * CELL + 1, 1, **factory)
        self.convDa, self.convDb = conv3(c4, hidden), operations.Conv2d(hidden, descriptor, 1, **factory)

    @staticmethod
    def widths_of(state_dict: dict) -> tuple[int, ...]:
        """The constructor's ``widths`` of a checkpoint; the published ones where it has gaps."""
        weights = (state_dict.get(f"{name}.weight") for name in STAGES)
        return tuple(width if weight is None else len(weight) for weight, width in zip(weights, WIDTHS, strict=True))

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Dense scores and descriptors.

        Args:
            pictures: float [B, 1 or 3, H, W], 0..1, at least 8x8; what exceeds a multiple of 8 is left out.

        Returns:
            scores [B, 8h, 8w], 0..1, and unit descriptors [B, c, h, w], with h = H // 8, w = W // 8.
        """
        if pictures.shape[1] == 3:
            pictures = (pictures * pictures.new_tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
        x = pictures.clone(memory_format=torch.channels_last)  # halves the time on the CPU
        x = F.relu_(self.conv1b(F.relu_(self.conv1a(x))))
        x = F.relu_(self.conv2b(F.relu_(self.conv2a(F.max_pool2d(x, 2)))))
        x = F.relu_(self.conv3b(F.relu_(self.conv3a(F.max_pool2d(x, 2)))))
        x = F.relu_(self.conv4b(F.relu_(self.conv4a(F.max_pool2d(x, 2)))))
        cells = self.convPb(F.relu_(self.convPa(x))).softmax(1)[:, :-1]  # the last channel says "no point here"
        descriptors = self.convDb(F.relu_(self.convDa(x)))
        return F.pixel_shuffle(cells, CELL)[:, 0], F.normalize(descriptors, dim=1)

    def detect(
        self, picture: torch.Tensor, max_points: int | None, threshold: float = 0.005, radius: int = 4
    ) -> Keypoints:
        """Interest points of one picture.

        Args:
            picture: float [1 or 3, H, W], 0..1, of any size; below 8x8 there are no cells and no points.
            max_points: keep the best by score, best first; None keeps all, in row-major order.
            threshold: points must score more than this.
            radius: of the non-maximum suppression, px.
        """
        if min(picture.shape[-2:]) < CELL:
            channels = self.convDb.weight.shape[0]
            height, width = (size // CELL for size in picture.shape[-2:])
            return Keypoints(picture.new_zeros(0, 2), picture.new_zeros(0), picture.new_zeros(channels, height, width))
        scores, descriptors = self(picture[None])
        scores = suppress_non_maxima(scores, radius)[0]
        return Keypoints(*select_keypoints(scores, max_points, threshold), descriptors[0])


def suppress_non_maxima(scores: torch.Tensor, radius: int) -> torch.Tensor:
    """Scores with everything set to 0 that is not the maximum of its (2 radius + 1) window; equal neighbours all stay.

    Two further rounds bring back points whose only better neighbours were themselves suppressed.

    Args:
        scores: [B, H, W], >= 0.
    """

    def window_maximum(x):
        return F.max_pool2d(x, 2 * radius + 1, stride=1, padding=radius)

    maxima = scores == window_maximum(scores)
    for _ in range(2):
        suppressed = window_maximum(maxima.float()) > 0
        rest = scores.masked_fill(suppressed, 0)
        maxima |= (rest == window_maximum(rest)) & ~suppressed
    return scores.masked_fill(~maxima, 0)


def select_keypoints(
    scores: torch.Tensor, max_points: int | None, threshold: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Positions float32 (n, 2) as (x, y) and scores (n,) of the suppressed scores [H, W] that exceed ``threshold``.

    Row-major order; when there are more than ``max_points``, the best of them in falling order.
    """
    inside = scores[BORDER : scores.shape[0] - BORDER, BORDER : scores.shape[1] - BORDER]
    rows, columns = torch.nonzero(inside > threshold, as_tuple=True)
    values = inside[rows, columns]
    positions = torch.stack([columns, rows], dim=-1).float() + BORDER
    if max_points is not None and len(values) > max_points:
        values, best = values.topk(max_points)
        positions = positions[best]
    return positions, values


def sample_descriptors(positions: torch.Tensor, descriptors: torch.Tensor) -> torch.Tensor:
    """Unit descriptors (c, n) at pixel positions (n, 2), bilinear in the cell grid (c, h, w); zero far outside it.

    The published weights go with this mapping of pixels to the grid, which is not the half-pixel convention.
    """
    channels, height, width = descriptors.shape
    if len(positions) == 0 or height == 0 or width == 0:
        return descriptors.new_zeros(channels, len(positions))
    extent = positions.new_tensor([width, height]) * CELL - CELL / 2 - 0.5
    grid = (positions - CELL / 2 + 0.5) / extent * 2 - 1
    sampled = F.grid_sample(descriptors[None], grid[None, None], mode="bilinear", align_corners=True)
    return F.normalize(sampled[0, :, 0], dim=0)
