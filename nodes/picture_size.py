"""Sizes that a latent picture model can take."""

import torch

from ..common.errors import BetwixtError
from ..common.pictures import nearest_size

CELL = 8  # pixels per latent cell


def whole_cells(pictures: torch.Tensor, name: str) -> None:
    """Refuse, by a BetwixtError, pictures [..., H, W, C] whose height or width is no multiple of 8."""
    height, width = pictures.shape[-3:-1]
    if height % CELL or width % CELL:
        nearest = nearest_size(width, height, CELL)
        raise BetwixtError(
            f"'{name}' is {width}x{height}.",
            f"Both sides must be multiples of {CELL}; the nearest size is {nearest[0]}x{nearest[1]}.",
            f"Put 'Fit Frames' before '{name}'.",
        )
