"""Guide pictures of guided patch synthesis: edges, positions, and anything carried along by flow
(docs/methods/ebsynth.md, Guide pictures).

All are uint8; they cost nothing to recompute and are never written to disk.
"""

import cv2
import numpy as np
import torch

from ..flow.warping import warp_picture

LAPLACIAN = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]], np.float32)


def edge_guide(picture: np.ndarray) -> np.ndarray:
    """Laplacian of each channel, negative values cut to 0 as in the reference; uint8 [H, W, C] to the same shape."""
    return cv2.filter2D(picture, -1, LAPLACIAN)


def position_guide(height: int, width: int) -> np.ndarray:
    """Where each pixel is: uint8 [H, W, 3] with R = row, G = column (both 0..255 over the picture), B = 0.

    As in the reference, the coordinates 0..1 are scaled and then cut off, so that at some sizes a value whose exact
    quotient is whole comes out one lower.
    """
    picture = np.zeros((height, width, 3), np.uint8)
    picture[..., 0] = (255 * np.linspace(0, 1, height)[:, None]).astype(np.uint8)
    picture[..., 1] = (255 * np.linspace(0, 1, width)[None, :]).astype(np.uint8)
    return picture


def carried(picture: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """A picture of the previous frame moved to the current one.

    Args:
        picture: uint8 [H, W, C].
        flow: float32 [H, W, 2] in pixels, lives on the current frame and points into the previous one.

    Returns:
        uint8 [H, W, C], nearest pixel; 0 where the flow leaves the picture.
    """
    source, field = (torch.from_numpy(np.ascontiguousarray(values)) for values in (picture, flow))
    return carried_there(source, field).numpy()


def carried_there(picture: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    """As :func:`carried`, on the device of both."""
    return warp_picture(picture.float(), flow, "nearest").to(torch.uint8).contiguous()


def filled(picture: np.ndarray, missing: np.ndarray, radius: int = 3) -> np.ndarray:
    """``picture`` with its ``missing`` pixels (bool [H, W]) filled in from around them by Telea's method; the
    reference's ``radius`` is 30, whose cost grows with its square."""
    return cv2.inpaint(picture, missing.astype(np.uint8), radius, cv2.INPAINT_TELEA) if missing.any() else picture
