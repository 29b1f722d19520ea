"""Kernel of :mod:`.splatting`, in the Python that numba compiles."""

import numpy as np

CHANNELS = 4  # known when it is compiled, which takes a quarter of the time off
KERNELS = ("splat",)


def splat(order, bounds, depth, places, values, least, height, width, out, top, sums, touched):
    """Lay pixels onto the pixels nearest to where they go, back to front.

    Args:
        order: int64 (N,), the pixels in the order of ``depth``.
        bounds: int64 (D + 1,), where in ``order`` each of the D depths begins, and its length.
        depth: int32 (N,), larger is in front.
        places: float32 (N, 2), x and y where each goes.
        values: float32 (N, CHANNELS).
        least: float32, weight a depth must gather on a pixel to cover it.
        out: float32 (height * width, CHANNELS), receives the mean of the values of the foremost depth.
        top: int32 (height * width,), receives that depth; filled with -1.
        sums, touched: scratch, float32 (height * width, CHANNELS + 1), zero, the last of each the weight; int64
            (height * width,).
    """
    one, nothing = np.float32(1), np.float32(0)
    for number_of_depth in range(len(bounds) - 1):
        begin, end = bounds[number_of_depth], bounds[number_of_depth + 1]
        level = depth[order[begin]]
        number = 0
        for at in range(begin, end):
            pixel = order[at]
            px, py = places[pixel, 0], places[pixel, 1]
            if not (px > -one and py > -one and px < width and py < height):
                continue
            left, upper = int(px + one) - 1, int(py + one) - 1
            right_share, lower_share = px - np.float32(left), py - np.float32(upper)
            for corner in range(4):
                cx, cy = left + corner % 2, upper + corner // 2
                if cx < 0 or cy < 0 or cx >= width or cy >= height:
                    continue
                share = right_share if corner % 2 else one - right_share
                share *= lower_share if corner // 2 else one - lower_share
                if share <= nothing:
                    continue
                target = cy * width + cx
                weight = sums[target, CHANNELS]
                if weight == nothing:
                    touched[number] = target
                    number += 1
                sums[target, CHANNELS] = weight + share
                for channel in range(CHANNELS):
                    sums[target, channel] += share * values[pixel, channel]
        for place in range(number):
            target = touched[place]
            weight = sums[target, CHANNELS]
            if weight > least:
                top[target] = level
                for channel in range(CHANNELS):
                    out[target, channel] = sums[target, channel] / weight
            for channel in range(CHANNELS + 1):
                sums[target, channel] = nothing
