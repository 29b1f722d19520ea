"""Forward splatting with depth: what lies in front covers what lies behind, and nothing is mixed between depths."""

import cv2
import numpy as np

from ....common.compiled_kernels import compile_ahead, compiled, numba_available
from . import splat_kernels

LEAST = 0.35  # weight that a depth must gather on a pixel to cover it


class Splatter:
    """Splats the pixels of one picture again and again, each time to other places.

    Args:
        depth: int (H, W), larger is in front.
    """

    def __init__(self, depth: np.ndarray):
        self._size = depth.shape
        self._depth = depth.ravel().astype(np.int32)
        self._order = np.argsort(self._depth, kind="stable")
        self._bounds = np.append(np.flatnonzero(np.diff(self._depth[self._order], prepend=-1)), depth.size)
        self._scratch: tuple[np.ndarray, ...] | None = None  # left as it was found by the kernel

    def __call__(self, places: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where every pixel's values come to lie.

        Args:
            places: float32 (H, W, 2), px, where the pixels go.
            values: float32 (H, W, C), C up to 4.

        Returns:
            float32 (H, W, C), the mean of the foremost depth's values, and int32 (H, W), that depth, -1 where nothing
            comes to lie.
        """
        height, width = self._size
        missing = splat_kernels.CHANNELS - values.shape[-1]
        if missing:
            full, top = self(places, np.pad(values, ((0, 0), (0, 0), (0, missing))))
            return full[..., :-missing], top
        flat = places.reshape(-1, 2), np.ascontiguousarray(values, np.float32).reshape(height * width, -1)
        out, top = np.zeros_like(flat[1]), np.full(height * width, -1, np.int32)
        if numba_available():
            if self._scratch is None:
                self._scratch = (
                    np.zeros((len(out), splat_kernels.CHANNELS + 1), np.float32),
                    np.zeros(len(out), np.int64),
                )
            kernel = compiled(splat_kernels).splat
            kernel(self._order, self._bounds, self._depth, *flat, np.float32(LEAST), height, width, out, top,
                   *self._scratch)  # fmt: skip
        else:
            _plain(self._order, self._depth, *flat, self._size, out, top)
        return out.reshape(height, width, -1), top.reshape(height, width)


def _plain(order, depth, places, values, size, out, top) -> None:
    """The same in numpy, one depth after the other."""
    height, width = size
    bounds = np.flatnonzero(np.diff(depth[order], prepend=depth[order[0]] - 1))
    for own in np.split(order, bounds[1:]):
        corner = np.floor(places[own]).astype(np.int64)
        share = places[own] - corner
        targets, shares, pixels = [], [], []
        for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
            x, y = corner[:, 0] + dx, corner[:, 1] + dy
            part = np.abs(1 - dx - share[:, 0]) * np.abs(1 - dy - share[:, 1])
            inside = (x >= 0) & (y >= 0) & (x < width) & (y < height) & (part > 0)
            targets.append((y * width + x)[inside])
            shares.append(part[inside])
            pixels.append(own[inside])
        target, share, pixel = (np.concatenate(parts) for parts in (targets, shares, pixels))
        if not len(target):
            continue
        low, span = target.min(), target.max() - target.min() + 1
        weight = np.bincount(target - low, share, span)
        covered = np.flatnonzero(weight > LEAST)
        top[covered + low] = depth[own[0]]
        for channel in range(values.shape[1]):
            total = np.bincount(target - low, share * values[pixel, channel], span)
            out[covered + low, channel] = total[covered] / weight[covered]


def compile_splatter() -> None:
    """The smallest splat that calls the kernel."""
    Splatter(np.zeros((2, 2), int))(np.zeros((2, 2, 2), np.float32), np.zeros((2, 2, 4), np.float32))


def prepare_splatting() -> None:
    """Have the kernel ready when layers are rendered: in a thread beside the search for them."""
    compile_ahead(compile_splatter)


def nearest_known(known: np.ndarray, pixels: np.ndarray) -> np.ndarray | None:
    """Numbers (row by row) of the pixels that are ``known`` (H, W) and nearest to those numbered ``pixels`` (N,), int
    (N,); None if none is."""
    if not known.any():
        return None
    _, number = cv2.distanceTransformWithLabels(
        (~known).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    own = np.flatnonzero(known)
    table = np.zeros(number.max() + 1, np.int64)
    table[number.take(own)] = own
    return table.take(number.take(pixels))
