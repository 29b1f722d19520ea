"""One rule for the masks of all nodes: what counts as connected, and which sizes and numbers fit."""

import torch

from ....common.errors import BetwixtError
from .notices import show_notice


def usable_mask(
    mask: torch.Tensor | None,
    name: str,
    size: tuple[int, int],
    count: int,
    node_id: str | None,
    *,
    resized: bool = False,
) -> torch.Tensor | None:
    """A MASK for ``count`` pictures, or None where there is none.

    'Load Image' gives black masks of 64x64 with pictures without transparency: a black mask of another size than the
    pictures counts as not connected, and the node says so. A black mask of the pictures' size selects nothing, which
    is legal; the node says that as well.

    Args:
        mask: float [B, H, W], as it arrives at a checked node, or None.
        name: the input's name as the user sees it.
        size: (height, width) of the pictures.
        node_id: ``cls.hidden.unique_id``, for the notices.
        resized: masks of other sizes are brought to the pictures' size later and may pass.

    Returns:
        float32 [1 or count, H, W], 0..1.

    Raises:
        BetwixtError: another size, or a number of masks other than one or ``count``.
    """
    if mask is None:
        return None
    (height, width), black = mask.shape[1:], not bool(mask.any())
    if black and (height, width) != tuple(size):
        show_notice(
            node_id,
            f"'{name}' is black and {width}x{height}, the pictures are {size[1]}x{size[0]}: it is taken as not "
            "connected. 'Load Image' gives such a mask with a picture without transparency.",
        )
        return None
    if (height, width) != tuple(size) and not resized or len(mask) not in (1, count):
        wanted = f"One mask{'' if count == 1 else f' or {count} masks'}"
        raise BetwixtError(
            f"'{name}' holds {len(mask)} mask{'' if len(mask) == 1 else 's'} of {width}x{height}.",
            f"{wanted} of the pictures' size, {size[1]}x{size[0]}, {'is' if count == 1 else 'are'} allowed.",
            f"Resize or pick what goes into '{name}', or disconnect it.",
        )
    if black:
        show_notice(node_id, f"'{name}' is black: nothing is selected. White is what is selected.")
    return mask.float().clamp(0, 1)
