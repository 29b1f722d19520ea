"""Kernel of :mod:`.splatting`, in the Python that numba compiles."""

import numpy as np


def splat(order, bounds, depth, places, values, least, height, width, out, top, sums, weights, touched):
    """Lay pixels onto the pixels nearest to where they go, back to front.

    Args:
        order: int64 (N,), the pixels in the order of ``depth``.
        bounds: int64 (D + 1,), where in ``order`` each of the D depths begins, and its length.
        depth: int32 (N,), larger is in front.
        places: float32 (N, 2), x and y where each goes.
        values: float32 (N, C).
        least: float32, weight a depth must gather on a pixel to cover it.
        out: float32 (height * width, C), receives the mean of the values of the foremost depth.
        top: int32 (height * width,), receives that depth; filled with -1.
        sums, weights, touched: scratch, float32 like ``out``, float32 and int64 (height * width,), the first two zero.
    """
    channels = values.shape[1]
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
                if weights[target] == nothing:
                    touched[number] = target
                    number += 1
                weights[target] += share
                for channel in range(channels):
                    sums[target, channel] += share * values[pixel, channel]
        for place in range(number):
            target = touched[place]
            if weights[target] > least:
                top[target] = level
                for channel in range(channels):
                    out[target, channel] = sums[target, channel] / weights[target]
            weights[target] = nothing
            for channel in range(channels):
                sums[target, channel] = nothing
