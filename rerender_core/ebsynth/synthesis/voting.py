"""Voting: the picture that a field of matches makes, and where it still changes
(docs/methods/ebsynth.md, Voting; Stop mask)."""

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

Voting = Literal["plain", "clamped", "weighted"]
VOTINGS: tuple[Voting, ...] = get_args(Voting)

FIELD_BITS = 16  # of a vote's sum: 255 * patch^2 fits up to patch 15
WIDEST_PATCH = 15
VOTES = 1 << 26  # read at once on an accelerator


def vote(style: Tensor, nnf: Tensor, patch: int, voting: Voting = "plain", error: Tensor | None = None) -> Tensor:
    """Average, at every target pixel, what the patches that cover it say.

    Args:
        style: uint8 [B, Hs, Ws, NS], NS any.
        nnf: integer [B, Ht, Wt, 2], (x, y) of the matched patch's centre; negative = no match, does not vote.
        patch: side of the square patch, odd, at most 15.
        voting: "plain" leaves out what lies outside the target or the source; "clamped" and "weighted" read the
            nearest pixel there instead; "weighted" weights a patch by 1 / (1 + error / (patch^2 NS)).
        error: float [B, Ht, Wt], the patch error of each match; for "weighted" only.

    Returns:
        uint8 [B, Ht, Wt, NS], truncated; 0 where nothing votes.
    """
    radius = patch // 2
    matched = nnf[..., 0] >= 0
    if voting == "plain":
        # A border of pixels that count as no vote, and behind the pictures room for pixels without a match.
        channels = torch.cat([style, torch.ones_like(style[..., :1])], dim=-1)
        channels = F.pad(channels, (0, 0, radius, radius, radius, radius))
    else:
        channels = F.pad(style.movedim(-1, 1).float(), (radius,) * 4, mode="replicate").to(torch.uint8).movedim(1, -1)
        channels = torch.cat([channels, torch.ones_like(channels[..., :1])], dim=-1)
    b, hs, ws, _ = channels.shape
    reach = radius * ws + radius
    batch = torch.arange(b, device=nnf.device).view(b, 1, 1) * (hs * ws)
    match = batch + (nnf[..., 1].long() + radius) * ws + nnf[..., 0].long() + radius
    match = torch.where(matched, match, b * hs * ws + reach)
    if voting == "weighted":
        if error is None:
            raise ValueError("weighted votes need the patch errors")
        weight = 1.0 / (1.0 + error / (patch * patch * style.shape[-1]))
        return _weighted_vote(channels, match, weight, patch)
    outside = None if voting == "plain" else "replicate"
    sums = packed_votes(pack_channels(channels, 2 * reach + 1), match, ws, patch, outside)
    return unpack_mean(sums, style.shape[-1] + 1)


def pack_channels(channels: Tensor, room: int) -> list[Tensor]:
    """uint8 [B, H, W, C] to flat int64 [B * H * W + room], four channels in each so that one gather reads them, and
    zeros behind."""
    flat = channels.flatten(0, 2).long()
    packed = []
    for start in range(0, flat.shape[1], 4):
        word = flat[:, start].clone()
        for place, channel in enumerate(flat[:, start + 1 : start + 4].unbind(1), 1):
            word |= channel << (FIELD_BITS * place)
        packed.append(F.pad(word, (0, room)))
    return packed


def packed_votes(packed: list[Tensor], match: Tensor, row: int, patch: int, outside: str | None = None) -> list[Tensor]:
    """Sums over the patches that cover each target pixel.

    Args:
        packed: from :func:`pack_channels`.
        match: int64 [B, Ht, Wt], flat positions in ``packed``.
        row: flat distance of vertical neighbours in ``packed``.
        patch: side of the patch.
        outside: None: patches centred outside the target do not exist; "replicate": they match as the nearest inside.

    Returns:
        int64 [B, Ht, Wt] for each of ``packed``.
    """
    radius = patch // 2
    b, h, w = match.shape
    if outside == "replicate":
        y = torch.arange(-radius, h + radius, device=match.device).clamp(0, h - 1)
        x = torch.arange(-radius, w + radius, device=match.device).clamp(0, w - 1)
        match = match[:, y][:, :, x]
    else:  # as pixels without a match: in the middle of the room behind the pictures
        match = F.pad(match, (radius,) * 4, value=len(packed[0]) - 1 - radius * row - radius)
    reach = torch.arange(-radius, radius + 1, device=match.device)
    shifts = (reach[:, None] * row + reach)[:, :, None, None]
    windows = match.unfold(1, h, 1).unfold(2, w, 1)  # [B, patch, patch, Ht, Wt], a view
    down, across = _neighbours_at_once(match, patch)
    sums = [torch.zeros(b, h, w, dtype=torch.int64, device=match.device) for _ in packed]
    for top in range(0, patch, down):
        for left in range(0, patch, across):
            rows, columns = slice(top, top + down), slice(left, left + across)
            position = windows[:, rows, columns] - shifts[rows, columns]
            for total, words in zip(sums, packed, strict=True):
                votes = words.index_select(0, position.flatten()).view(position.shape)
                total += votes[:, 0, 0] if down * across == 1 else votes.sum(dim=(1, 2))
    return sums


def _neighbours_at_once(match: Tensor, patch: int) -> tuple[int, int]:
    """Rows and columns of a patch whose votes are read together: what is in the cache on the processor, what launches
    least elsewhere."""
    if match.device.type == "cpu":
        return 1, 1
    rows = VOTES // (match.numel() * patch)
    return max(1, min(patch, rows)), patch if rows else 1


def unpack_mean(sums: list[Tensor], channels: int) -> Tensor:
    """Truncated means: the last of the ``channels`` fields is the number of votes. uint8 [B, H, W, channels - 1]."""
    mask = (1 << FIELD_BITS) - 1
    fields = [(sums[i // 4] >> (FIELD_BITS * (i % 4))) & mask for i in range(channels)]
    votes = fields.pop().clamp(min=1)
    return torch.stack([field // votes for field in fields], dim=-1).to(torch.uint8)


def _weighted_vote(channels: Tensor, match: Tensor, weight: Tensor, patch: int) -> Tensor:
    radius = patch // 2
    b, h, w = match.shape
    y = torch.arange(-radius, h + radius, device=match.device).clamp(0, h - 1)
    x = torch.arange(-radius, w + radius, device=match.device).clamp(0, w - 1)
    match, weight = match[:, y][:, :, x], weight[:, y][:, :, x]
    row = channels.shape[2]
    flat = F.pad(channels.flatten(0, 2).float(), (0, 0, 0, 2 * (radius * row + radius) + 1))
    total = torch.zeros(b, h, w, flat.shape[1], device=match.device)
    for dy in range(2 * radius + 1):
        for dx in range(2 * radius + 1):
            window = (slice(None), slice(dy, dy + h), slice(dx, dx + w))
            position = match[window] - ((dy - radius) * row + dx - radius)
            total += flat.index_select(0, position.flatten()).view(total.shape) * weight[window][..., None]
    return (total[..., :-1] / total[..., -1:].clamp(min=1e-30)).to(torch.uint8)


def changed(previous: Tensor, current: Tensor, threshold: int, patch: int) -> Tensor:
    """Where a patch holds a pixel that changed by at least ``threshold`` in any channel.

    Args:
        previous, current: uint8 [B, H, W, C].

    Returns:
        bool [B, H, W].
    """
    moved = ((current.short() - previous.short()).abs().amax(dim=-1) >= threshold).float()
    return F.max_pool2d(moved[:, None], patch, 1, patch // 2)[:, 0] > 0
