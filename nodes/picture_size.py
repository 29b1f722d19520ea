"""Sizes that a latent picture model can take."""

import torch

from ..common.errors import BetwixtError

CELL = 8  # pixels per latent cell


def whole_cells(pictures: torch.Tensor, name: str) -> None:
    """Raises:
    BetwixtError: height or width of [..., H, W, C] is no multiple of 8.
    """
    height, width = pictures.shape[-3:-1]
    if height % CELL or width % CELL:
        nearest = [max(CELL, round(length / CELL) * CELL) for length in (width, height)]
        raise BetwixtError(
            f"'{name}' is {width}x{height}.",
            f"Both sides must be multiples of {CELL}; the nearest size is {nearest[0]}x{nearest[1]}.",
            f"Put 'Fit Frames' before '{name}'.",
        )
