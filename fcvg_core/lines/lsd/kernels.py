"""Scalar part of the line segment detector LSD: region growing and a-contrario validation.

Published algorithm: Grompone von Gioi, Jakubowicz, Morel, Randall, "LSD: a fast line segment detector with a false
detection control", TPAMI 2010 and IPOL 2012, in the variant of docs/methods/lines.md, Line segment detector (22.5
degree tolerance, no density refinement). Kernel module, see common/compiled_kernels.py: every sequence is flat, a list
in plain Python or an array when compiled. Pixel (x, y) has the index ``y * stride + x`` with ``stride = width + 1``:
the extra column, and an extra row below, are marked as used so that no neighbour has to be tested against the border.
All float64.
"""

import math

KERNELS = ("gradient_angles", "find_segments", "log_false_alarms")
LN_10 = 2.302585092994046
HALF_TURN_AND_HALF = 4.71238898038  # 3 pi / 2 and 2 pi to the digits of the published detector
FULL_TURN = 6.28318530718
TOLERANCE_SHARE = 22.5 / 180.0  # p0: chance that a random gradient is aligned
TOLERANCE = math.pi * 22.5 / 180.0
STEPS = 5  # trials per phase of the refinement
NARROWER = 0.5  # pixels a trial takes off the width

# A rectangle is the tuple (x1, y1, x2, y2, width, theta, dx, dy, p): the axis's endpoints, the width in pixels, the
# direction as angle and unit vector, and the share p of all directions that count as aligned (tolerance pi * p).


def gradient_angles(gradient_x, gradient_y, indices, angles):
    """Fill ``angles`` (level-line direction, radians) at ``indices`` from the gradients listed in the same order."""
    for i in range(len(indices)):
        angles[indices[i]] = math.atan2(-gradient_x[i], gradient_y[i])


def find_segments(seeds, angles, norms, used, region, width, height, segments):
    """Detect all segments.

    Args:
        seeds: pixel indices in the order in which regions are started.
        angles, norms, used: per pixel; ``used`` is nonzero where the angle is undefined, and is written.
        region: work space for as many indices as there are defined pixels.
        width, height: size of the picture.
        segments: output, flat (x1, y1, x2, y2, p) per segment in pixels; long enough for every seed's region.

    Returns:
        Number of segments.
    """
    stride = width + 1
    log_tests = 2.5 * (math.log10(width) + math.log10(height)) + math.log10(11.0)
    smallest = int(-log_tests / math.log10(TOLERANCE_SHARE))
    count = 0
    for i in range(len(seeds)):
        if used[seeds[i]]:
            continue
        size, direction = grow_region(seeds[i], angles, used, region, stride)
        if size < smallest:
            continue
        rectangle = fit_rectangle(region, size, norms, direction, stride)
        best, significance = refine_rectangle(rectangle, angles, width, height, log_tests)
        if significance > 0.0:
            for k in range(4):
                segments[5 * count + k] = best[k]
            segments[5 * count + 4] = best[8]
            count += 1
    return count


def angle_difference(first, second):
    """Absolute difference of two directions, 0..pi for inputs at most a turn and a half apart."""
    difference = abs(first - second)
    if difference > HALF_TURN_AND_HALF:
        difference = abs(difference - FULL_TURN)
    return difference


def grow_region(seed, angles, used, region, stride):
    """Collect the pixels connected to ``seed`` whose angle agrees with the region's mean; mark them used.

    Returns the number of indices written to ``region`` and the mean angle.
    """
    direction = angles[seed]
    sum_x = math.cos(direction)
    sum_y = math.sin(direction)
    used[seed] = 1
    region[0] = seed
    size = 1
    visited = 0
    while visited < size:
        centre = region[visited]
        visited += 1
        for column in range(centre - 1, centre + 2):
            for index in (column - stride, column, column + stride):
                if used[index]:
                    continue
                angle = angles[index]
                difference = abs(direction - angle)  # angle_difference, written out for plain Python's sake
                if difference > HALF_TURN_AND_HALF:
                    difference = abs(difference - FULL_TURN)
                if difference <= TOLERANCE:
                    used[index] = 1
                    region[size] = index
                    size += 1
                    sum_x += math.cos(angle)
                    sum_y += math.sin(angle)
                    direction = math.atan2(sum_y, sum_x)
    return size, direction


def fit_rectangle(region, size, norms, direction, stride):
    """The rectangle along the region's principal axis of inertia, weighted by gradient magnitude."""
    total = 0.0
    centre_x = 0.0
    centre_y = 0.0
    for i in range(size):
        index = region[i]
        weight = norms[index]
        centre_x += (index % stride) * weight
        centre_y += (index // stride) * weight
        total += weight
    centre_x /= total
    centre_y /= total

    inertia_xx = 0.0
    inertia_yy = 0.0
    inertia_xy = 0.0
    for i in range(size):
        index = region[i]
        weight = norms[index]
        x = index % stride - centre_x
        y = index // stride - centre_y
        inertia_xx += y * y * weight
        inertia_yy += x * x * weight
        inertia_xy -= x * y * weight
    difference = inertia_xx - inertia_yy
    smallest = 0.5 * (inertia_xx + inertia_yy - math.sqrt(difference * difference + 4.0 * inertia_xy * inertia_xy))
    if abs(inertia_xx) > abs(inertia_yy):
        theta = math.atan2(smallest - inertia_xx, inertia_xy)
    else:
        theta = math.atan2(inertia_xy, smallest - inertia_yy)
    if angle_difference(theta, direction) > TOLERANCE:
        theta += math.pi

    dx = math.cos(theta)
    dy = math.sin(theta)
    along_least = 0.0
    along_most = 0.0
    across_least = 0.0
    across_most = 0.0
    for i in range(size):
        index = region[i]
        x = index % stride - centre_x
        y = index // stride - centre_y
        along = x * dx + y * dy
        across = -x * dy + y * dx
        along_least = min(along_least, along)
        along_most = max(along_most, along)
        across_least = min(across_least, across)
        across_most = max(across_most, across)
    x1 = centre_x + along_least * dx
    y1 = centre_y + along_least * dy
    x2 = centre_x + along_most * dx
    y2 = centre_y + along_most * dy
    return x1, y1, x2, y2, max(across_most - across_least, 1.0), theta, dx, dy, TOLERANCE_SHARE


def refine_rectangle(rectangle, angles, width, height, log_tests):
    """Try finer tolerances, narrower and shifted rectangles until one is significant; the best and its value."""
    best = rectangle
    best_value = significance(best, angles, width, height, log_tests)
    for phase in range(5):
        if best_value > 0.0:
            break
        x1, y1, x2, y2, wide, theta, dx, dy, p = best
        side = 0.0
        if phase == 2:
            side = 0.25
        elif phase == 3:
            side = -0.25
        for _ in range(STEPS):
            if phase == 0 or phase == 4:
                p /= 2.0
            else:
                if wide - NARROWER < 0.5:
                    break
                x1 -= dy * side
                y1 += dx * side
                x2 -= dy * side
                y2 += dx * side
                wide -= NARROWER
            value = significance((x1, y1, x2, y2, wide, theta, dx, dy, p), angles, width, height, log_tests)
            if value > best_value:
                best_value = value
                best = (x1, y1, x2, y2, wide, theta, dx, dy, p)
    return best, best_value


def significance(rectangle, angles, width, height, log_tests):
    """-log10 of the number of false alarms of a rectangle; above 0 it is accepted."""
    x1, y1, x2, y2, wide, theta, dx, dy, p = rectangle
    across_x = -dy * wide / 2.0
    across_y = dx * wide / 2.0
    corner0 = (x1 + across_x, y1 + across_y)
    corner1 = (x2 + across_x, y2 + across_y)
    corner2 = (x2 - across_x, y2 - across_y)
    corner3 = (x1 - across_x, y1 - across_y)
    # The left corner first, and one call: numba would compile as many copies as there are.
    left, low, right, high = corner3, corner0, corner1, corner2
    if x1 < x2 and y1 <= y2:
        left, low, right, high = corner0, corner1, corner2, corner3
    elif x1 >= x2 and y1 < y2:
        left, low, right, high = corner1, corner2, corner3, corner0
    elif x1 > x2 and y1 >= y2:
        left, low, right, high = corner2, corner3, corner0, corner1
    inside, aligned = count_aligned(left, low, right, high, angles, width, height, theta, math.pi * p)
    return log_false_alarms(inside, aligned, p, log_tests)


def side_at(x, start, end, lower):
    """y of the side from ``start`` to ``end`` at column x; of a vertical side the lower or higher end."""
    if start[0] == end[0]:
        return min(start[1], end[1]) if lower else max(start[1], end[1])
    return start[1] + (x - start[0]) * (end[1] - start[1]) / (end[0] - start[0])


def count_aligned(left, low, right, high, angles, width, height, theta, tolerance):
    """Pixels of the picture inside a rectangle, and those among them aligned with ``theta``.

    ``left`` is the corner with the smallest x; ``high`` follows it on the side of small y, ``low`` on the other.
    """
    stride = width + 1
    inside = 0
    aligned = 0
    for x in range(max(math.ceil(left[0]), 0), min(math.floor(right[0]), width - 1) + 1):
        y_first = side_at(x, left, high, True) if x < high[0] else side_at(x, high, right, True)
        y_last = side_at(x, left, low, False) if x < low[0] else side_at(x, low, right, False)
        first = max(math.ceil(y_first), 0) * stride + x
        last = min(math.floor(y_last), height - 1) * stride + x
        for index in range(first, last + 1, stride):
            inside += 1
            difference = abs(theta - angles[index])
            if difference > HALF_TURN_AND_HALF:
                difference = abs(difference - FULL_TURN)
            if difference <= tolerance:
                aligned += 1
    return inside, aligned


def log_false_alarms(n, k, p, log_tests):
    """-log10(tests * P(at least k of n pixels aligned)), the binomial tail to a relative error of 10 %."""
    if n == 0 or k == 0:
        return -log_tests
    if n == k:
        return -log_tests - n * math.log10(p)
    log_term = log_gamma(n + 1.0) - log_gamma(k + 1.0) - log_gamma(n - k + 1.0)
    log_term += k * math.log(p) + (n - k) * math.log(1.0 - p)
    term = math.exp(log_term)
    if term == 0.0:
        return -log_term / LN_10 - log_tests if k > n * p else -log_tests
    odds = p / (1.0 - p)
    tail = term
    for i in range(k + 1, n + 1):
        combinations = (n - i + 1) / i
        ratio = combinations * odds
        term *= ratio
        tail += term
        if combinations < 1.0:
            remainder = term * ((1.0 - math.pow(ratio, n - i + 1)) / (1.0 - ratio) - 1.0)
            if remainder < 0.1 * abs(-math.log10(tail) - log_tests) * tail:
                break
    return -math.log10(tail) - log_tests


def log_gamma(x):
    """Natural logarithm of the gamma function for x >= 1: Lanczos up to 15, Windschitl above."""
    if x > 15.0:
        series = x * math.sinh(1.0 / x) + 1.0 / (810.0 * math.pow(x, 6.0))
        return 0.918938533204673 + (x - 0.5) * math.log(x) - x + 0.5 * x * math.log(series)
    result = (x + 0.5) * math.log(x + 5.5) - (x + 5.5)
    total = 0.0
    coefficients = (
        75122.6331530,
        80916.6278952,
        36308.2951477,
        8687.24529705,
        1168.92649479,
        83.8676043424,
        2.50662827511,
    )
    power = 1.0
    for i in range(7):
        result -= math.log(x + i)
        total += coefficients[i] * power
        power *= x
    return result + math.log(total)
