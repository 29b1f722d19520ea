"""Kernel of :mod:`.splatting`, in the Python that numba compiles."""


def splat(order, depth, x, y, values, least, height, width, out, top, sums, weights, touched):
    """Lay pixels onto the pixels nearest to where they go, back to front.

    Args:
        order: int64 (N,), the pixels in the order of ``depth``.
        depth: int32 (N,), larger is in front.
        x, y: float32 (N,), where each goes.
        values: float32 (N, C).
        least: weight a depth must gather on a pixel to cover it.
        out: float32 (height * width, C), receives the mean of the values of the foremost depth.
        top: int32 (height * width,), receives that depth; filled with -1.
        sums, weights, touched: scratch, float32 like ``out``, float32 and int64 (height * width,), the first two zero.
    """
    count, channels = values.shape
    begin = 0
    while begin < count:
        level = depth[order[begin]]
        number = 0
        at = begin
        while at < count and depth[order[at]] == level:
            pixel = order[at]
            at += 1
            px, py = x[pixel], y[pixel]
            if not (px > -1.0 and py > -1.0 and px < width and py < height):
                continue
            left, upper = int(px + 1.0) - 1, int(py + 1.0) - 1
            right_share, lower_share = px - left, py - upper
            for corner in range(4):
                cx, cy = left + corner % 2, upper + corner // 2
                if cx < 0 or cy < 0 or cx >= width or cy >= height:
                    continue
                share = right_share if corner % 2 else 1.0 - right_share
                share *= lower_share if corner // 2 else 1.0 - lower_share
                if share <= 0.0:
                    continue
                target = cy * width + cx
                if weights[target] == 0.0:
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
            weights[target] = 0.0
            for channel in range(channels):
                sums[target, channel] = 0.0
        begin = at
